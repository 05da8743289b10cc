//! A pipeline on Kafka that `flockwise run` processes, and the replay that gives the expected result.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use flockwise_codec::partitioner::Partitioner;
use flockwise_codec::time::write_time;
use flockwise_config::Config;
use flockwise_core::customer_view::{CustomerView, customer_view};
use flockwise_core::plan::Plan;
use flockwise_runtime::topics::{Topic, Topics};
use serde_json::Value;
use tempfile::TempDir;

use crate::events::{InputRecord, lines, record};
use crate::kafka::{Kafka, servers};
use crate::process::{Process, flockwise, folder, free_address, get, json_lines, run, write_lines};
use crate::scenario_pipeline::{AT_ONCE, FEATURES, config, pipeline};
use crate::test_broker::{TestBroker, topics};
use crate::{changelog, checks, eventually};

/// Number of partitions of the input and of the state.
pub const PARTITIONS: u32 = 12;

/// Extra configuration: a session timeout of 6 s instead of 45 s, so that brokers notice a killed process soon.
pub const SHORT_SESSION: &str = "\n[kafka.properties]\n\"session.timeout.ms\" = \"6000\"\n";

/// File name of the configuration that reads the first input only.
pub const FIRST: &str = "run.toml";
/// File name of the configuration that reads all inputs.
pub const BOTH: &str = "both.toml";

/// A pipeline and the folder with its files.
pub struct KafkaPipeline {
    folder: TempDir,
    /// Reads and writes its topics.
    pub kafka: Kafka,
    /// Their names.
    pub topics: Topics,
    /// Names of the features, in order.
    features: Vec<String>,
}

impl KafkaPipeline {
    /// Creates an input topic and the configuration files `learning.toml`, `run.toml` and `both.toml`; `None`, with a
    /// message on stderr, if there is no Kafka.
    ///
    /// # Panics
    /// If they cannot be created.
    #[must_use]
    pub fn create() -> Option<Self> {
        Some(Self::on(&servers()?, folder(), ""))
    }

    /// The same on this Kafka and in this folder, with `more` appended to each configuration.
    ///
    /// # Panics
    /// If they cannot be created.
    #[must_use]
    pub fn on(servers: &str, folder: TempDir, more: &str) -> Self {
        Self::with(servers, folder, &[PARTITIONS], more)
    }

    /// The same with one input per element of `partitions`, with that number of partitions. `run.toml` reads the
    /// first input, `both.toml` reads all.
    ///
    /// # Panics
    /// If they cannot be created.
    #[must_use]
    pub fn with(servers: &str, folder: TempDir, partitions: &[u32], more: &str) -> Self {
        let topics = topics(PARTITIONS, partitions.len());
        let kafka = Kafka::of(servers, topics.clone());
        for (name, partitions) in topics.inputs.iter().zip(partitions) {
            kafka.create_input(name, *partitions);
        }
        let features = config(&["segment"], &[]).features.into_iter();
        let features = features.map(|feature| feature.name).collect();
        let kafka_pipeline = Self {
            folder,
            kafka,
            topics,
            features,
        };
        let write = |name: &str, inputs: &[String], model: &str| {
            let config = kafka_pipeline.config(servers, inputs, &format!("{model}{more}"));
            fs::write(kafka_pipeline.path(name), config).expect("written");
        };
        let (all, first) = (
            &kafka_pipeline.topics.inputs,
            &kafka_pipeline.topics.inputs[..1],
        );
        let learning = "[model]\nk = 6\nwarm_up = { customers = 50 }\n";
        let fixed = "[model]\nlearn = false\nimport = \"learnt/model.json\"\n";
        write("learning.toml", first, learning);
        write(FIRST, first, fixed);
        write(BOTH, all, fixed);
        kafka_pipeline
    }

    /// Keeps its files when it is dropped, for inspection.
    pub fn keep_files(&mut self) {
        self.folder.disable_cleanup(true);
    }

    fn config(&self, servers: &str, inputs: &[String], model: &str) -> String {
        let app = &self.topics.app;
        let input =
            |topic: &String| format!("[[input]]\ntopic = \"{topic}\"\nformat = \"segment\"\n");
        let inputs: String = inputs.iter().map(input).collect();
        format!(
            "app = \"{app}\"\nshards = 2\n[kafka]\nbootstrap_servers = \"{servers}\"\n\
             {inputs}{FEATURES}\n{model}\n{AT_ONCE}"
        )
    }

    /// The plan of its features.
    #[must_use]
    pub fn plan(&self) -> Plan {
        config(&["segment"], &[]).plan()
    }

    /// The path of one of its files.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs `flockwise replay` on the file `events` with the configuration `config`, and writes to the folder `out`.
    ///
    /// # Panics
    /// If the command fails.
    pub fn replay(&self, events: &str, config: &str, out: &str) {
        let [events, config, out] = [events, config, out].map(|name| self.path(name));
        let arguments = ["--config", text(&config), "--out", text(&out)];
        run(flockwise(&["replay", text(&events)]).args(arguments)).expect(0, &[]);
    }

    /// Learns the model that `run.toml` imports from the `first` events, and replays all events with it into
    /// `expected`. Returns the events as records, partitioned by CRC-32 and not by the pipeline's own partitioner.
    #[must_use]
    pub fn expect(&self, events: u64, customers: u32, first: usize) -> Vec<InputRecord> {
        let lines = lines(events, customers, 1);
        let write = |name: &str, lines: &[String]| {
            write_lines(&self.path(name), lines.iter().map(String::as_bytes));
        };
        write("first.jsonl", &lines[..first]);
        write("all.jsonl", &lines);
        self.replay("first.jsonl", "learning.toml", "learnt");
        self.replay("all.jsonl", FIRST, "expected");
        let records = lines.iter().map(|line| record("segment", line));
        records
            .map(|record| record.keyed(Partitioner::Crc32, PARTITIONS))
            .collect()
    }

    /// Starts an instance. The name decides its state directory, so that an instance keeps its identity over
    /// restarts.
    #[must_use]
    pub fn start(&self, instance: &str) -> Process {
        Process::start(&mut self.command(instance))
    }

    /// The same with another configuration file.
    #[must_use]
    pub fn start_with(&self, config: &str, instance: &str) -> Process {
        Process::start(&mut self.command_with(config, instance))
    }

    /// The command that starts an instance.
    #[must_use]
    pub fn command(&self, instance: &str) -> Command {
        self.command_with(FIRST, instance)
    }

    /// The same with another configuration file.
    #[must_use]
    pub fn command_with(&self, config: &str, instance: &str) -> Command {
        let mut command = flockwise(&["run", "--config", text(&self.path(config))]);
        command.env("FLOCKWISE__STATE__DIRECTORY", self.path(instance));
        command.env("FLOCKWISE__HTTP__LISTEN", free_address().to_string());
        command
    }

    /// Number of committed events; 0 while it is unknown.
    #[must_use]
    pub fn processed(&self) -> u64 {
        self.kafka.processed().unwrap_or(0)
    }

    /// Waits until `events` events are committed, while all processes keep running.
    ///
    /// # Panics
    /// If one of the processes ends.
    pub fn wait_for(&self, events: u64, processes: &mut [&mut Process]) {
        eventually("events are committed", || {
            processes
                .iter_mut()
                .try_for_each(|process| process.is_running())
                .expect("running");
            self.processed() >= events
        });
    }

    /// Every customer, restored from the changelog.
    fn customers(&self) -> BTreeMap<String, CustomerView> {
        let config = Config::load(&self.path(FIRST), []).expect("a configuration");
        let pipeline = pipeline(&config, self.topics.clone(), None);
        let plan = &pipeline.task.plan;
        let mut customers = BTreeMap::new();
        for records in self.kafka.read(Topic::Changelog) {
            let task = changelog::restore(&pipeline, &changelog::compacted(records));
            for row in task.rows().numbers() {
                let row = task.rows().row(row);
                let view = customer_view(plan, None, &row, row.standing.as_of_ms);
                customers.insert(row.customer_id.to_owned(), view);
            }
        }
        customers
    }

    /// Waits until the group has committed everything.
    pub fn wait_until_drained(&self) {
        eventually("everything is committed", || self.kafka.is_drained());
    }

    /// Checks that the committed changes equal those of the replay and have no gaps, and that there are no dead
    /// letters. The events are older than the pipeline, so first segments have the cause `backfill`.
    ///
    /// # Panics
    /// If they differ.
    pub fn check_changes(&self) {
        let changes = self.kafka.read(Topic::SegmentChanges);
        checks::sequences(&changes);
        let mut expected = json_lines(&self.path("expected/segment-changes.jsonl"));
        assert!(expected.len() > 100, "too few changes to prove anything");
        for first in expected
            .iter_mut()
            .filter(|change| change["from"].is_null())
        {
            first["cause"] = "backfill".into();
        }
        checks::same_changes(checks::values(&changes), expected);
        let dead_letters = self.kafka.read(Topic::DeadLetters);
        assert!(dead_letters.iter().all(Vec::is_empty));
    }

    /// Checks that each customer in the changelog has the features, segment and sequence of the replay.
    ///
    /// # Panics
    /// If they differ.
    pub fn check_customers(&self) {
        let customers = self.customers();
        let expected = json_lines(&self.path("expected/customers.jsonl"));
        assert_eq!(customers.len(), expected.len());
        for line in &expected {
            let id = line["customer_id"].as_str().expect("an id");
            self.check_customer(&customers[id], line);
        }
    }

    /// Checks that an instance soon serves as many customers of each segment as the replay has.
    ///
    /// # Panics
    /// If it does not.
    pub fn check_segments(&self, instance: SocketAddr) {
        let mut expected = BTreeMap::<u64, u64>::new();
        for line in json_lines(&self.path("expected/customers.jsonl")) {
            let segment = line["segment"].as_u64().expect("a segment");
            *expected.entry(segment).or_default() += 1;
        }
        eventually("the instance serves the sizes of the segments", || {
            let served = get(instance, "/api/v1/segments").unwrap_or_default();
            let served: Value = serde_json::from_str(&served).unwrap_or_default();
            let segments = served["segments"].as_array().into_iter().flatten();
            let of =
                |entry: &Value| Some((entry["segment"].as_u64()?, entry["customers"].as_u64()?));
            let sizes = segments
                .filter_map(of)
                .filter(|(_, customers)| *customers > 0);
            served["tasks"]["reported"] == PARTITIONS
                && sizes.collect::<BTreeMap<_, _>>() == expected
        });
    }

    fn check_customer(&self, found: &CustomerView, line: &Value) {
        assert_eq!(
            line["segment"].as_u64(),
            found.segment.map(u64::from),
            "{line}"
        );
        assert_eq!(
            line["sequence"].as_u64(),
            Some(found.sequence.into()),
            "{line}"
        );
        assert_eq!(line["as_of"], write_time(found.as_of_ms), "{line}");
        let features = self.features.iter().map(|name| &line["features"][name]);
        let vector = line["vector"].as_array().expect("a vector").iter();
        let values = found.features.iter().chain(&found.vector);
        for (value, expected) in values.zip(features.chain(vector)) {
            let expected = expected.as_f64().expect("a number");
            assert!(
                checks::is_near(*value, expected),
                "{value} is not {expected}: {line}"
            );
        }
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}
