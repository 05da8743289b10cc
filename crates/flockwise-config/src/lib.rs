//! Reads the configuration from one TOML file and the environment, and validates it.
//!
//! Reading has two steps. `sources` merges file and environment into one tree, in which each value knows its source.
//! The readers then turn the tree into one typed [`Config`] and collect every problem on the way. A reader asks its
//! `Section` for the keys that it knows; a key that no reader asked for is unknown. So there is no separate list of
//! keys that could go stale. (A derived deserializer would stop at the first problem.)

#![cfg_attr(test, allow(clippy::unwrap_used))]

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use flockwise_codec::format::{Encoding, Format};
use flockwise_core::feature::Feature;
use flockwise_core::order_rules::OrderRules;
use flockwise_core::plan::Plan;
use flockwise_core::policy::{DecisionPolicy, LearningPolicy, TimePolicy};

mod condition;
pub mod duration;
mod feature;
mod horizon;
mod input;
mod kafka;
mod key_path;
mod order_rules;
mod pointers;
mod policies;
mod problem;
mod root;
mod section;
mod size;
mod sources;
mod suggestion;
mod value;

pub use flockwise_codec::partitioner::Partitioner;
pub use flockwise_vocabulary::lost_records::LostRecords;
pub use flockwise_vocabulary::start_position::InitialStart;
pub use problem::{ConfigErrors, Problem};
pub use sources::environment;

/// The validated configuration of a pipeline.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Consumer group and prefix of every internal topic.
    pub app: String,
    /// Number of state partitions, and so of partitions of the repartition and changelog topics. `None`: derived
    /// from the input topics.
    pub state_partitions: Option<u32>,
    /// Number of workers. `None`: one for each core.
    pub shards: Option<usize>,
    /// Standbys: for each task that an instance owns, it also keeps this many neighbouring tasks on each side current.
    pub standbys: usize,
    /// Maps a customer to a state partition.
    pub partitioner: Partitioner,
    /// Connection to the brokers, and commits.
    pub kafka: Kafka,
    /// The input topics, at least one.
    pub inputs: Vec<Input>,
    /// The features in the order of the feature vector, at least one.
    pub features: Vec<Feature>,
    /// What second events about an order mean, and how reversals state their amounts.
    pub orders: OrderRules,
    /// How the model learns.
    pub learning: LearningPolicy,
    /// Path of a model to start from instead of a warm-up.
    pub import: Option<PathBuf>,
    /// When a customer changes segment.
    pub decision: DecisionPolicy,
    /// Lateness, sweep, dedup and expiry.
    pub time: TimePolicy,
    /// Alignment: input partitions are read in step to within this many milliseconds of event time.
    pub max_skew_ms: i64,
    /// A partition that has unread records but delivers none holds the others back for this long at most.
    pub idle_timeout: Duration,
    /// Directory for the instance's identity and its checkpoints. A relative path starts at the working directory.
    pub state_directory: PathBuf,
    /// Limit on the memory of the customers' state, bytes. `None`: no limit.
    pub memory: Option<u64>,
    /// Address of the HTTP server.
    pub http_listen: SocketAddr,
    /// Whether changes are published that happened during the backfill, before the pipeline's first start.
    pub publishes_history: bool,
    /// Name of the feature whose sum over a segment's customers is reported as what the segment brings in. One of
    /// [`Self::features`], with aggregate `sum`.
    pub brings_in: Option<String>,
}

/// Connection to the brokers, and commits.
#[derive(Clone, PartialEq, Eq)]
pub struct Kafka {
    /// One or more `host:port`, separated by commas.
    pub bootstrap_servers: String,
    /// Milliseconds between commits under load.
    pub commit_interval_ms: u64,
    /// What to do if events were deleted before they were read.
    pub lost_records: LostRecords,
    /// Properties that are passed to librdkafka unchanged.
    pub properties: BTreeMap<String, String>,
}

/// One input topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    /// The topic's name on the broker.
    pub topic: String,
    /// Where reading begins at the pipeline's first start.
    pub start: InitialStart,
    /// Where the fields of an event are.
    pub format: Format,
}

impl Config {
    /// Reads a file, overridden by the environment: pass [`environment()`].
    ///
    /// # Errors
    /// If the file cannot be read, or with all problems of file and environment.
    pub fn load(
        path: &Path,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigErrors> {
        let mut config = root::read(&sources::load(path, environment)?)?;
        // Relative to the file, so that a configuration works from any working directory.
        let folder = path.parent().unwrap_or(Path::new(""));
        config.import = config.import.map(|import| folder.join(import));
        for input in &mut config.inputs {
            if let Encoding::Avro { schemas, .. } = &mut input.format.encoding {
                *schemas = folder.join(&*schemas);
            }
        }
        Ok(config)
    }

    /// The feature plan: the features, compiled with the rules for orders.
    #[must_use]
    pub fn plan(&self) -> Plan {
        Plan::with_orders(&self.features, &self.orders)
    }

    /// Reads a text, without the environment. Relative paths stay relative.
    ///
    /// # Errors
    /// With all problems of the text.
    pub fn parse(toml: &str) -> Result<Self, ConfigErrors> {
        root::read(&sources::parse(toml)?)
    }
}

/// Shows only the names of properties, because their values may be passwords.
impl fmt::Debug for Kafka {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Kafka")
            .field("bootstrap_servers", &self.bootstrap_servers)
            .field("commit_interval_ms", &self.commit_interval_ms)
            .field("lost_records", &self.lost_records)
            .field("properties", &self.properties.keys())
            .finish()
    }
}
