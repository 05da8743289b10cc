//! `flockwise run` on real Kafka, two processes, killed in the middle: what comes out is what a replay of
//! the same events gives, every change once. Skipped, with a word, where no Kafka is named.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use flockwise_codec::partitioner::Partitioner;
use flockwise_codec::time::write_time;
use flockwise_config::Config;
use flockwise_core::portrait::{Portrait, portrait};
use flockwise_runtime::ownership::restore;
use flockwise_runtime::pipeline::Pipeline;
use flockwise_runtime::topics::{Topic, Topics};
use flockwise_tests::broker::{Stage, topics};
use flockwise_tests::events::{Put, lines, put};
use flockwise_tests::kafka::{Kafka, servers};
use flockwise_tests::pipeline::{AT_ONCE, FEATURES, config, pipeline};
use flockwise_tests::process::{
    Process, flockwise, folder, free_address, get, json_lines, run, write_lines,
};
use flockwise_tests::{checks, eventually};
use tempfile::TempDir;

const EVENTS: u64 = 200_000;
const PARTITIONS: u32 = 12;

/// A pipeline on Kafka that processes of their own run.
struct Plant {
    folder: TempDir,
    kafka: Kafka,
    topics: Topics,
    /// Names of the features, in order.
    features: Vec<String>,
}

impl Plant {
    fn set(servers: &str) -> Self {
        let topics = topics(PARTITIONS, 1);
        let kafka = Kafka::of(servers, topics.clone());
        kafka.make_input(&topics.inputs[0], PARTITIONS);
        let features = config(&["segment"], &[]).features.into_iter();
        let features = features.map(|feature| feature.name).collect();
        let plant = Self {
            folder: folder(),
            kafka,
            topics,
            features,
        };
        let model = "[model]\nk = 6\nwarm_up = { customers = 50 }\n";
        fs::write(plant.path("learning.toml"), plant.config(servers, model)).expect("written");
        let model = "[model]\nlearn = false\nimport = \"learnt/model.json\"\n";
        fs::write(plant.path("run.toml"), plant.config(servers, model)).expect("written");
        plant
    }

    fn config(&self, servers: &str, model: &str) -> String {
        let Topics { app, inputs, .. } = &self.topics;
        let input = &inputs[0];
        format!(
            "app = \"{app}\"\nshards = 2\n[kafka]\nbootstrap_servers = \"{servers}\"\n\
             [[input]]\ntopic = \"{input}\"\nformat = \"segment\"\n{FEATURES}\n{model}\n{AT_ONCE}"
        )
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn replay(&self, events: &str, config: &str, out: &str) {
        let [events, config, out] = [events, config, out].map(|name| self.path(name));
        let arguments = ["--config", text(&config), "--out", text(&out)];
        run(flockwise(&["replay", text(&events)]).args(arguments)).expect(0, &[]);
    }

    /// Makes the model that `run` imports.
    fn learn_from(&self, events: u64) {
        let lines = lines(events, 100, 2);
        write_lines(
            &self.path("first.jsonl"),
            lines.iter().map(String::as_bytes),
        );
        self.replay("first.jsonl", "learning.toml", "learnt");
    }

    /// An instance with an identity of its own, the same whenever it is started.
    fn start(&self, instance: &str) -> Process {
        Process::start(&mut self.command(instance))
    }

    fn command(&self, instance: &str) -> std::process::Command {
        let mut command = flockwise(&["run", "--config", text(&self.path("run.toml"))]);
        command.env("FLOCKWISE__STATE__DIRECTORY", self.path(instance));
        command.env("FLOCKWISE__HTTP__LISTEN", free_address().to_string());
        command
    }

    fn processed(&self) -> u64 {
        self.kafka.processed().unwrap_or(0)
    }

    /// Waits until so many events are committed, all processes running.
    fn wait_for(&self, events: u64, processes: &mut [&mut Process]) {
        eventually("events are committed", || {
            processes
                .iter_mut()
                .try_for_each(|process| process.is_running())
                .expect("running");
            self.processed() >= events
        });
    }

    fn pipeline(&self) -> Pipeline {
        let config = Config::load(&self.path("run.toml"), []).expect("a configuration");
        pipeline(&config, self.topics.clone(), None)
    }

    /// Every customer as the changelog has it.
    fn customers(&self) -> BTreeMap<String, Portrait> {
        let pipeline = self.pipeline();
        let plan = &pipeline.task.plan;
        let mut client = self.kafka.join("checker").expect("connected");
        let mut customers = BTreeMap::new();
        for number in 0..PARTITIONS {
            let task = restore(&mut client, &pipeline, number).expect("restored");
            for row in 0..task.rows().len() as u32 {
                let row = task.rows().row(row);
                let portrait = portrait(plan, None, &row, row.standing.as_of_ms);
                customers.insert(row.customer_id.to_owned(), portrait);
            }
        }
        customers
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

/// In the partitions of a producer that keys otherwise than the pipeline.
fn wrongly_keyed(lines: &[String]) -> Vec<Put> {
    let puts = lines.iter().map(|line| put("segment", line));
    puts.map(|put| put.keyed(Partitioner::Crc32, PARTITIONS))
        .collect()
}

#[test]
fn killed_instances_lose_and_double_nothing() {
    let Some(servers) = servers() else { return };
    let plant = Plant::set(&servers);
    let lines = lines(EVENTS, 8_000, 1);
    write_lines(
        &plant.path("first.jsonl"),
        lines[..40_000].iter().map(String::as_bytes),
    );
    write_lines(&plant.path("all.jsonl"), lines.iter().map(String::as_bytes));
    plant.replay("first.jsonl", "learning.toml", "learnt");

    let records = wrongly_keyed(&lines);
    let (backlog, rest) = records.split_at(records.len() * 6 / 10);
    let (middle, last) = rest.split_at(rest.len() / 2);
    plant.kafka.put(backlog);
    let (mut first, mut second) = (plant.start("first"), plant.start("second"));
    plant.wait_for(EVENTS / 10, &mut [&mut first, &mut second]);
    first.kill();
    assert!(
        plant.processed() < backlog.len() as u64,
        "killed too late to be in the middle"
    );
    let mut first = plant.start("first");
    plant.kafka.put(middle);
    plant.wait_for(EVENTS * 6 / 10, &mut [&mut first, &mut second]);
    second.kill();
    // It stays away until the group gives its tasks to the other.
    plant.wait_for(EVENTS * 8 / 10, &mut [&mut first]);
    let mut second = plant.start("second");
    plant.kafka.put(last);
    plant.wait_for(EVENTS, &mut [&mut first, &mut second]);
    eventually("everything is committed", || plant.kafka.is_drained());
    first.terminate().expect(0, &[]);
    second.terminate().expect(0, &[]);

    plant.replay("all.jsonl", "run.toml", "expected");
    check_changes(&plant);
    check_customers(&plant);
}

/// A reader that sees committed records alone finds what the replay wrote, in unbroken chains.
fn check_changes(plant: &Plant) {
    let changes = plant.kafka.read(Topic::SegmentChanges);
    let count = checks::chains(&changes);
    assert!(count > 10_000, "{count} changes prove little");
    let expected = json_lines(&plant.path("expected/segment-changes.jsonl"));
    checks::same_changes(checks::values(&changes), expected);
    assert!(
        plant
            .kafka
            .read(Topic::DeadLetters)
            .iter()
            .all(Vec::is_empty)
    );
}

/// The changelog holds the features, the segment and the sequence that the replay came to.
fn check_customers(plant: &Plant) {
    let customers = plant.customers();
    let expected = json_lines(&plant.path("expected/customers.jsonl"));
    assert_eq!(customers.len(), expected.len());
    for line in &expected {
        let customer = &customers[line["customer_id"].as_str().expect("an id")];
        assert_eq!(
            line["segment"].as_u64(),
            customer.segment.map(u64::from),
            "{line}"
        );
        assert_eq!(
            line["sequence"].as_u64(),
            Some(customer.sequence.into()),
            "{line}"
        );
        assert_eq!(line["as_of"], write_time(customer.as_of_ms), "{line}");
        let features = plant.features.iter().map(|name| &line["features"][name]);
        let vector = line["vector"].as_array().expect("a vector").iter();
        let found = customer.features.iter().chain(&customer.vector);
        for (found, value) in found.zip(features.chain(vector)) {
            let value = value.as_f64().expect("a number");
            assert!(
                checks::is_near(*found, value),
                "{found} is not {value}: {line}"
            );
        }
    }
}

#[test]
fn a_signal_right_after_the_start_ends_in_good_order() {
    let Some(servers) = servers() else { return };
    let plant = Plant::set(&servers);
    let records = wrongly_keyed(&lines(2_000, 100, 2));
    plant.learn_from(2_000);
    plant.replay("first.jsonl", "run.toml", "expected");
    plant.kafka.put(&records);
    for _ in 0..3 {
        let address = free_address();
        let mut command = plant.command("only");
        let process = Process::start(command.env("FLOCKWISE__HTTP__LISTEN", address.to_string()));
        eventually("it answers", || get(address, "/livez").is_some());
        process.terminate().expect(0, &[]);
    }
    let mut process = plant.start("only");
    plant.wait_for(2_000, &mut [&mut process]);
    eventually("everything is committed", || plant.kafka.is_drained());
    process.terminate().expect(0, &[]);
    checks::chains(&plant.kafka.read(Topic::SegmentChanges));
    check_customers(&plant);
}

#[test]
fn what_is_wrong_at_the_start_is_said_with_its_exit_code() {
    let Some(servers) = servers() else { return };
    let plant = Plant::set(&servers);
    plant.learn_from(2_000);
    let state = plant.path("only");
    let ended = run(plant
        .command("only")
        .env("FLOCKWISE__KAFKA__COMMIT_INTERVAL", "soon"));
    ended.expect(2, &["commit_interval", "soon"]);
    let ended = run(plant
        .command("only")
        .env("FLOCKWISE__STATE_PARTITIONS", "0"));
    ended.expect(2, &["state_partitions"]);

    let address = free_address();
    let listener = std::net::TcpListener::bind(address).expect("the port");
    let ended = run(plant
        .command("only")
        .env("FLOCKWISE__HTTP__LISTEN", address.to_string()));
    ended.expect(1, &[&address.to_string()]);
    drop(listener);

    let process = plant.start("only");
    eventually("it holds its state", || state.join("lock").exists());
    eventually("it runs", || process.stderr().contains("tasks assigned"));
    run(&mut plant.command("only")).expect(1, &["in use"]);
    process.terminate().expect(0, &[]);
    // The number of state partitions is fixed by now.
    let ended = run(plant
        .command("only")
        .env("FLOCKWISE__STATE_PARTITIONS", "7"));
    ended.expect(1, &["12 partitions where 7 are expected"]);

    let text = fs::read_to_string(plant.path("run.toml")).expect("the configuration");
    let missing = text.replace(&plant.topics.inputs[0], "not-there");
    fs::write(plant.path("run.toml"), missing).expect("written");
    run(&mut plant.command("only")).expect(1, &["not-there"]);
}
