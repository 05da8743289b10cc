//! Settings and shared state of all measurements.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs;
use std::iter;
use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, ValueEnum};
use flockwise_benches::events::{self, CUSTOMERS, EVENTS};
use flockwise_benches::workspace;
use xtask::data::generate::GeneratedLoad;

use crate::bench_broker::Kafka;
use crate::jvm;
use crate::program::Program;

/// A part of the measurements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// CPU time and throughput, with the peers
    Cpu,
    /// Latency from event to readable change, at 200 events a second
    Latency,
    /// The same at 70 % of the highest throughput
    Pressure,
    /// Time from process start to the first change, and memory per customer
    Restart,
    /// One worker and two workers
    Scaling,
    /// Without a broker: replay, kernels, one event, allocations
    Kernels,
    /// Without a broker: nearest centroid, with scikit-learn and FAISS
    Nearest,
}

/// Settings of all measurements.
#[derive(Args, Clone)]
pub(crate) struct Settings {
    /// Measure only these parts
    #[arg(long, value_enum, value_delimiter = ',', default_values = ["cpu", "latency", "pressure", "restart", "scaling", "kernels", "nearest"])]
    pub(crate) only: Vec<Part>,
    /// Measure only these programs
    #[arg(long, value_enum, value_delimiter = ',', default_values = ["bare", "flockwise", "streams", "flink"])]
    pub(crate) programs: Vec<Program>,
    /// Rounds of each measurement
    #[arg(long, default_value_t = 3)]
    pub(crate) rounds: usize,
    /// Events of a cold run; a warm run has three times as many
    #[arg(long, default_value_t = EVENTS)]
    pub(crate) events: u64,
    /// Customers in state before a restart
    #[arg(long, default_value_t = 1_000_000)]
    pub(crate) customers: u32,
    /// Seconds for which latency is measured in a round
    #[arg(long, default_value_t = 40)]
    pub(crate) seconds: u32,
    /// Seconds of unmeasured events before that
    #[arg(long, default_value_t = 20)]
    pub(crate) warm_up: u32,
    /// Events a second for latency under pressure, instead of 70 % of the highest throughput
    #[arg(long)]
    pub(crate) rate: Option<f64>,
    /// Measure this program instead of building `flockwise` of this workspace
    #[arg(long, value_name = "PROGRAM")]
    pub(crate) flockwise: Option<PathBuf>,
    /// Cargo profile of `flockwise`: release, or dist as in deployments
    #[arg(long, default_value = "release")]
    pub(crate) profile: String,
    /// A librdkafka property for Flockwise, such as linger.ms=5
    #[arg(long = "property", value_name = "NAME=VALUE")]
    pub(crate) properties: Vec<String>,
    /// An option for the peers' JVM; the default is the garbage collector that costs them the least CPU
    #[arg(
        long = "jvm",
        value_name = "OPTION",
        allow_hyphen_values = true,
        default_value = "-XX:+UseParallelGC"
    )]
    pub(crate) jvm: Vec<String>,
    /// Only print the tables, and do not change BENCHMARKS.md
    #[arg(long)]
    pub(crate) print: bool,
}

/// Shared state of all measurements.
pub(crate) struct Bench {
    pub(crate) settings: Settings,
    pub(crate) flockwise: PathBuf,
    pub(crate) kafka: Kafka,
    loaded: RefCell<BTreeSet<String>>,
}

impl Bench {
    /// Builds the peers that are measured, and starts Kafka.
    pub(crate) fn prepare(settings: &Settings, flockwise: PathBuf) -> Result<Self> {
        if settings
            .programs
            .iter()
            .any(|program| *program > Program::Flockwise)
        {
            jvm::build()?;
        }
        clear_folders()?;
        let kafka = Kafka::start()?;
        kafka.delete_topics("bench-")?;
        Ok(Self {
            settings: settings.clone(),
            flockwise,
            kafka,
            loaded: RefCell::default(),
        })
    }

    /// Those of `able` that were asked for.
    pub(crate) fn among(&self, able: &[Program]) -> Vec<Program> {
        let wanted = &self.settings.programs;
        able.iter()
            .copied()
            .filter(|program| wanted.contains(program))
            .collect()
    }

    /// An app name that is unique among all runs.
    pub(crate) fn app(&self, program: Program, part: &str, number: usize) -> String {
        let name = program.name();
        format!("bench-{name}-{part}-{}-{number}", std::process::id())
    }

    /// The topic with a load. The first call creates and fills it.
    pub(crate) fn topic(&self, load: &GeneratedLoad) -> Result<String> {
        let topic = format!("bench-events-{}", load.events);
        if self.loaded.borrow_mut().insert(topic.clone()) {
            self.kafka.load(&topic, load, iter::empty())?;
        }
        Ok(topic)
    }
}

/// Deletes logs, state and checkpoints of earlier runs.
fn clear_folders() -> Result<()> {
    let folder = workspace("target/bench");
    fs::create_dir_all(&folder)?;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with("bench-") {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

/// A load of `events` events of the job's customers.
pub(crate) fn job(events: u64) -> GeneratedLoad {
    events::load(events, CUSTOMERS)
}
