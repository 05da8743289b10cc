//! A pipeline that starts on months of events on real Kafka learns what a replay of them learns. Skipped, with a word, where
//! no Kafka is named.

use std::fs;
use std::path::Path;
use std::process::Command;

use flockwise_codec::partitioner::Partitioner;
use flockwise_tests::events::{InputRecord, lines_over, put};
use flockwise_tests::eventually;
use flockwise_tests::kafka::{Kafka, servers};
use flockwise_tests::pipeline::FEATURES;
use flockwise_tests::process::{Process, flockwise, folder, run, write_lines};
use flockwise_tests::test_broker::{TestBroker, topics};
use serde_json::Value;

/// Of the two inputs; the tasks are as many as divide both.
const PARTITIONS: [u32; 2] = [8, 4];
const TASKS: u32 = 4;
const EVENTS: u64 = 4_000;
const CUSTOMERS: u32 = 200;
const DAYS: u32 = 45;
const CONFIG: &str = "shop.toml";

const LEARNING: &str = r#"
[model]
k = { min = 2, max = 8 }
warm_up = { customers = 100 }
half_life = "10d"

[time]
max_ahead = "36500d"
"#;

/// Where a customer's events are: always in one partition, which is not that of its task. Producers of the second input
/// have another partitioner.
fn placed(line: &str) -> InputRecord {
    let put = put("segment", line);
    let is_second = put.key.last().is_some_and(|last| last % 2 == 1);
    let (input, partitioner) = match is_second {
        true => (1, Partitioner::Crc32),
        false => (0, Partitioner::Murmur2),
    };
    InputRecord { input, ..put }.keyed(partitioner, PARTITIONS[usize::from(input)])
}

fn model(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).expect("a model")
}

fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = flockwise(arguments);
    command.current_dir(folder).args(["--config", CONFIG]);
    command
}

fn replayed(folder: &Path, inputs: &[String], records: &[InputRecord]) -> Value {
    let mut replay = command(folder, &["replay", "--out", "replayed"]);
    for (number, input) in inputs.iter().enumerate() {
        let name = format!("{input}.jsonl");
        let of_input = records
            .iter()
            .filter(|put| usize::from(put.input) == number);
        let values = of_input.filter_map(|put| put.value.as_deref());
        write_lines(&folder.join(&name), values);
        replay.arg(name);
    }
    run(&mut replay).expect(0, &[]);
    model(&fs::read(folder.join("replayed/model.json")).expect("a model was learnt"))
}

fn start(folder: &Path, instance: &str) -> Process {
    let mut command = command(folder, &["run"]);
    command.env("FLOCKWISE__STATE__DIRECTORY", folder.join(instance));
    command.env("FLOCKWISE__HTTP__LISTEN", "127.0.0.1:0");
    Process::start(&mut command)
}

fn exported(folder: &Path) -> Option<Value> {
    let mut export = command(folder, &["model", "export", "--out", "exported.json"]);
    let is_there = export.output().expect("it runs").status.success();
    let read = || fs::read(folder.join("exported.json")).expect("exported");
    is_there.then(|| model(&read()))
}

/// With a sweep of a minute, which leaps over most of them, and of a day; with one worker, and with two instances of two.
#[test]
fn a_backlog_teaches_what_a_replay_teaches() {
    let Some(servers) = servers() else { return };
    let lines = lines_over(DAYS, EVENTS, CUSTOMERS, 11);
    let mut records: Vec<InputRecord> = lines.iter().map(|line| placed(line)).collect();
    // An event that comes late meets other samples in a file than in a partition.
    records.sort_by_key(|put| put.timestamp_ms);
    for (sweep, shards, instances) in [("1d", 1, 1), ("1m", 2, 2)] {
        let topics = topics(TASKS, 2);
        let kafka = Kafka::of(&servers, topics.clone());
        let mut inputs = String::new();
        for (name, partitions) in topics.inputs.iter().zip(PARTITIONS) {
            kafka.make_input(name, partitions);
            inputs += &format!("[[input]]\ntopic = \"{name}\"\nformat = \"segment\"\n");
        }
        let folder = folder();
        let app = &topics.app;
        let config = format!(
            "app = \"{app}\"\nshards = {shards}\n[kafka]\nbootstrap_servers = \"{servers}\"\n{inputs}\n\
             [sweep]\nevery = \"{sweep}\"\n{FEATURES}\n{LEARNING}"
        );
        fs::write(folder.path().join(CONFIG), config).expect("written");
        let expected = replayed(folder.path(), &topics.inputs, &records);
        assert!(expected["version"].as_u64() > Some(5), "{expected}");

        kafka.put(&records);
        let instances = (0..instances).map(|number| start(folder.path(), &number.to_string()));
        let instances: Vec<Process> = instances.collect();
        eventually("all is read", || kafka.is_drained());
        eventually("the last version is there", || {
            exported(folder.path()).is_some_and(|model| model["version"] == expected["version"])
        });
        let found = exported(folder.path()).expect("a model");
        assert_eq!(found, expected, "sweep {sweep}, {shards} shards");
        for process in instances {
            process.terminate().expect(0, &[]);
        }
    }
}
