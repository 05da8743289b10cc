//! `flockwise run` on real Kafka, two processes, killed in the middle: what comes out is what a replay of
//! the same events gives, every change once. Skipped, with a word, where no Kafka is named.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use flockwise_codec::partitioner::Partitioner;
use flockwise_config::Config;
use flockwise_core::portrait::{Portrait, portrait};
use flockwise_runtime::ownership::restore;
use flockwise_runtime::pipeline::Pipeline;
use flockwise_runtime::topics::{Topic, Topics};
use flockwise_tests::broker::{Stage, topics};
use flockwise_tests::events::{Put, lines, put};
use flockwise_tests::kafka::{Kafka, servers};
use flockwise_tests::pipeline::{AT_ONCE, FEATURES, pipeline};
use flockwise_tests::process::{
    Ended, Process, flockwise, folder, free_address, get, json_lines, run, write_lines,
};
use flockwise_tests::{checks, eventually};
use serde_json::Value;
use tempfile::TempDir;

const EVENTS: u64 = 200_000;
const PARTITIONS: u32 = 12;

/// A pipeline on Kafka that processes of their own run.
struct Plant {
    folder: TempDir,
    kafka: Kafka,
    topics: Topics,
}

impl Plant {
    fn set(servers: &str) -> Self {
        let topics = topics(PARTITIONS, 1);
        let kafka = Kafka::of(servers, topics.clone());
        kafka.make_input(&topics.inputs[0], PARTITIONS);
        let plant = Self { folder: folder(), kafka, topics };
        let model = "[model]\nk = 6\nwarm_up = { customers = 200 }\n";
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
            processes.iter_mut().try_for_each(|process| process.is_running()).expect("running");
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
    puts.map(|put| put.keyed(Partitioner::Crc32, PARTITIONS)).collect()
}

#[test]
fn killed_instances_lose_and_double_nothing() {
    let Some(servers) = servers() else { return };
    let plant = Plant::set(&servers);
    let lines = lines(EVENTS, 8_000, 1);
    let (backlog, rest) = lines.split_at(lines.len() * 6 / 10);
    let bytes = |lines: &'static [String]| lines.iter().map(|line| line.as_bytes());
    todo!()
}
