//! One TOML file and the environment, validated.
//!
//! The way in has two steps: `sources` merges file and environment into one tree of values, each of which knows
//! where it came from; the readers below turn the tree into one typed [`Config`] and gather every problem on the
//! way. A reader asks its `Section` for the keys it knows, and what nobody asked for is an unknown key,
//! so that no second list of keys can go stale. (A derived deserializer would stop at the first problem.)

#![cfg_attr(test, allow(clippy::unwrap_used))]

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use flockwise_codec::format::Format;
use flockwise_core::feature::Feature;
use flockwise_core::policy::{DecisionPolicy, LearningPolicy, TimePolicy};

mod condition;
pub mod duration;
mod feature;
mod horizon;
mod input;
mod kafka;
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
pub use flockwise_vocabulary::start::InitialStart;
pub use problem::{ConfigErrors, Problem};
pub use sources::environment;

/// Everything a pipeline is told, checked: nothing is left to parse.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Consumer group and prefix of every internal topic.
    pub app: String,
    /// Partitions of the state, and so of the repartition topic; left out: from the input topics.
    pub state_partitions: Option<u32>,
    /// Threads; left out: one a core.
    pub shards: Option<usize>,
    /// Of the tasks of others, how many are kept warm on either side for each of one's own.
    pub standbys: usize,
    /// Which state partition a customer belongs to.
    pub partitioner: Partitioner,
    /// How to reach the brokers.
    pub kafka: Kafka,
    /// Where events come from, at least one.
    pub inputs: Vec<Input>,
    /// What is computed of a customer, in the order of the feature vector, at least one.
    pub features: Vec<Feature>,
    /// How the model learns.
    pub learning: LearningPolicy,
    /// A model to start from instead of a warm-up.
    pub import: Option<PathBuf>,
    /// When a customer changes segment.
    pub decision: DecisionPolicy,
    /// How event time is judged.
    pub time: TimePolicy,
    /// Input partitions are read in step, to within this; milliseconds of event time.
    pub max_skew_ms: i64,
    /// A partition with unread records that gives none holds the others back no longer than this.
    pub idle_timeout: Duration,
    /// Where an instance keeps what is its own, from the working directory.
    pub state_directory: PathBuf,
    /// Memory that the customers' state may take, bytes; left out: any.
    pub memory: Option<u64>,
    /// Where the HTTP API and `/metrics` listen.
    pub http_listen: SocketAddr,
    /// Changes of segment are published that happened before the pipeline was first started.
    pub publishes_history: bool,
    /// The feature, one of [`Self::features`], whose sum is what a segment brings in.
    pub brings_in: Option<String>,
}

/// How to reach the brokers and how often to commit.
#[derive(Clone, PartialEq, Eq)]
pub struct Kafka {
    /// `host:port`, separated by commas.
    pub bootstrap_servers: String,
    /// Under load a transaction is committed this often.
    pub commit_interval_ms: u64,
    /// What happens where events are gone before they were read.
    pub lost_records: LostRecords,
    /// Handed to librdkafka as they are.
    pub properties: BTreeMap<String, String>,
}

/// One input topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    /// Its name on the broker.
    pub topic: String,
    /// Where reading begins at the very first start.
    pub start: InitialStart,
    /// Where an event's identity lies.
    pub format: Format,
}

impl Config {
    /// Reads a file and lets the environment override it: pass [`environment()`].
    ///
    /// # Errors
    /// Every problem of file and environment, together.
    pub fn load(
        path: &Path,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigErrors> {
        let mut config = root::read(&sources::load(path, environment)?)?;
        // A configuration works from any working directory: what it names lies beside it.
        let folder = path.parent().unwrap_or(Path::new(""));
        config.import = config.import.map(|import| folder.join(import));
        Ok(config)
    }

    /// Reads a text without an environment; relative paths stay as they are.
    ///
    /// # Errors
    /// Every problem of the text, together.
    pub fn parse(toml: &str) -> Result<Self, ConfigErrors> {
        root::read(&sources::parse(toml)?)
    }
}

/// Properties hold passwords, so only their names are shown.
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
