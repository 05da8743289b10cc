//! What all measurements may be told, and what they share.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs;
use std::iter;
use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, ValueEnum};
use flockwise_benches::events::{self, CUSTOMERS, EVENTS};
use flockwise_benches::workspace;
use xtask::data::generate::Load;

use crate::broker::Kafka;
use crate::jvm;
use crate::program::Program;

/// A part of the measurements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// CPU and speed beside the peers
    Cpu,
    /// From an event due to its change readable, 200 events a second
    Latency,
    /// The same at 70 % of the highest throughput
    Pressure,
    /// From the start of the process to the first change, and memory a customer
    Restart,
    /// One worker and two
    Scaling,
    /// Without a broker: replay, kernels, one event, allocations
    Kernels,
    /// Without a broker: the nearest centroid beside scikit-learn and FAISS
    Nearest,
}

/// What all measurements may be told.
#[derive(Args, Clone)]
pub(crate) struct Settings {
    /// These parts alone
    #[arg(long, value_enum, value_delimiter = ',', default_values = ["cpu", "latency", "pressure", "restart", "scaling", "kernels", "nearest"])]
    pub(crate) only: Vec<Part>,
    /// These programs alone
    #[arg(long, value_enum, value_delimiter = ',', default_values = ["bare", "flockwise", "streams", "flink"])]
    pub(crate) programs: Vec<Program>,
    /// Rounds of each
    #[arg(long, default_value_t = 3)]
    pub(crate) rounds: usize,
    /// Events of a cold run; a warm one has three times as many
    #[arg(long, default_value_t = EVENTS)]
    pub(crate) events: u64,
    /// Customers in state before a restart
    #[arg(long, default_value_t = 1_000_000)]
    pub(crate) customers: u32,
    /// How long latency is measured a round
    #[arg(long, default_value_t = 40)]
    pub(crate) seconds: u32,
    /// How long before that events flow unmeasured
    #[arg(long, default_value_t = 20)]
    pub(crate) warm_up: u32,
    /// Latency under pressure at so many events a second, instead of 70 % of the highest throughput
    #[arg(long)]
    pub(crate) rate: Option<f64>,
    /// Measure this program instead of building `flockwise` of this workspace
    #[arg(long, value_name = "PROGRAM")]
    pub(crate) flockwise: Option<PathBuf>,
    /// The profile that `flockwise` is built with: release, or dist as it is deployed
    #[arg(long, default_value = "release")]
    pub(crate) profile: String,
    /// A property of librdkafka that Flockwise is to be given, as in linger.ms=5
    #[arg(long = "property", value_name = "NAME=VALUE")]
    pub(crate) properties: Vec<String>,
    /// An option of the peers' JVM; the default is the collector that costs them least CPU
    #[arg(
        long = "jvm",
        value_name = "OPTION",
        allow_hyphen_values = true,
        default_value = "-XX:+UseParallelGC"
    )]
    pub(crate) jvm: Vec<String>,
    /// Only print: leave BENCHMARKS.md as it is
    #[arg(long)]
    pub(crate) print: bool,
}

/// What all measurements share.
pub(crate) struct Bench {
    pub(crate) settings: Settings,
    pub(crate) flockwise: PathBuf,
    pub(crate) kafka: Kafka,
    loaded: RefCell<BTreeSet<String>>,
}

impl Bench {
    /// Builds what is measured and starts Kafka.
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

    /// Those of the programs wanted that can do more than read.
    pub(crate) fn among(&self, able: &[Program]) -> Vec<Program> {
        let wanted = &self.settings.programs;
        able.iter()
            .copied()
            .filter(|program| wanted.contains(program))
            .collect()
    }

    /// A name that no other run of any round has.
    pub(crate) fn app(&self, program: Program, part: &str, number: usize) -> String {
        let name = program.name();
        format!("bench-{name}-{part}-{}-{number}", std::process::id())
    }

    /// The topic with a load of the job's customers, loaded at the first call.
    pub(crate) fn topic(&self, load: &Load) -> Result<String> {
        let topic = format!("bench-events-{}", load.events);
        if self.loaded.borrow_mut().insert(topic.clone()) {
            self.kafka.load(&topic, load, iter::empty())?;
        }
        Ok(topic)
    }
}

/// Deletes what programs of earlier runs have left: logs, state, checkpoints.
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

/// So many events of the job's customers.
pub(crate) fn job(events: u64) -> Load {
    events::load(events, CUSTOMERS)
}
