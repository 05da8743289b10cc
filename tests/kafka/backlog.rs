//! A pipeline that starts on a backlog of weeks on real Kafka learns the same model as a replay.

use std::fs;
use std::path::Path;
use std::process::Command;

use flockwise_codec::partitioner::Partitioner;
use flockwise_tests::events::{InputRecord, lines_over, record};
use flockwise_tests::eventually;
use flockwise_tests::kafka::{Kafka, servers};
use flockwise_tests::process::{Process, flockwise, folder, run, write_lines};
use flockwise_tests::scenario_pipeline::FEATURES;
use flockwise_tests::test_broker::{TestBroker, topics};
use serde_json::Value;

/// Partitions of the two inputs. `TASKS` divides both.
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

/// The record of a line. All events of a customer are in one partition, whose number usually differs from that of the
/// customer's task. Producers of the second input use another partitioner.
fn record_of(line: &str) -> InputRecord {
    let record = record("segment", line);
    let is_second = record.key.last().is_some_and(|last| last % 2 == 1);
    let (input, partitioner) = match is_second {
        true => (1, Partitioner::Crc32),
        false => (0, Partitioner::Murmur2),
    };
    InputRecord { input, ..record }.keyed(partitioner, PARTITIONS[usize::from(input)])
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
            .filter(|record| usize::from(record.input) == number);
        let values = of_input.filter_map(|record| record.value.as_deref());
        write_lines(&folder.join(&name), values);
        replay.arg(name);
    }
    run(&mut replay).expect(0, &[]);
    model(&fs::read(folder.join("replayed/model.json")).expect("a model was learned"))
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

/// Runs one worker with a daily sweep, and two instances of two workers with a sweep of a minute, which skips most
/// sweeps.
#[test]
fn a_backlog_teaches_what_a_replay_teaches() {
    let Some(servers) = servers() else { return };
    let lines = lines_over(DAYS, EVENTS, CUSTOMERS, 11);
    let mut records: Vec<InputRecord> = lines.iter().map(|line| record_of(line)).collect();
    // Sorted, because a late event has different samples before it in a file than in a partition.
    records.sort_by_key(|record| record.timestamp_ms);
    for (sweep, shards, instances) in [("1d", 1, 1), ("1m", 2, 2)] {
        let topics = topics(TASKS, 2);
        let kafka = Kafka::of(&servers, topics.clone());
        let mut inputs = String::new();
        for (name, partitions) in topics.inputs.iter().zip(PARTITIONS) {
            kafka.create_input(name, partitions);
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
        eventually("everything is committed", || kafka.is_drained());
        eventually("the last version is published", || {
            exported(folder.path()).is_some_and(|model| model["version"] == expected["version"])
        });
        let found = exported(folder.path()).expect("a model");
        assert_eq!(found, expected, "sweep {sweep}, {shards} shards");
        for process in instances {
            process.terminate().expect(0, &[]);
        }
    }
}
