//! How far a task has come.

use std::collections::BTreeMap;

use flockwise_vocabulary::topics::InputPartition;

use crate::aggregate::NEVER_MS;
use crate::sweep_schedule::SkippedSpan;

/// How far an input partition has been read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The next offset to read.
    pub next_offset: i64,
    /// Latest event time read from it; lateness is relative to it.
    pub time_ms: i64,
    /// Leader epoch up to which it was read, at least that of the record before `next_offset`. With it the brokers
    /// can tell whether that record still exists. `None` if unknown; then they cannot.
    pub leader_epoch: Option<i32>,
}

impl Progress {
    /// Nothing has been read.
    pub(super) const NONE: Self = Self {
        next_offset: 0,
        time_ms: NEVER_MS,
        leader_epoch: None,
    };
}

/// A task's position, which is stored beside its rows.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskPosition {
    /// Input partitions that the task has read.
    pub inputs: BTreeMap<InputPartition, Progress>,
    /// Positions in topics that are not inputs of this configuration, by name and partition. If such a topic
    /// becomes an input again, reading continues from there.
    pub other_inputs: BTreeMap<(String, u32), Progress>,
    /// Ids of the topics that the positions refer to, by name. A topic with another id is another topic.
    pub topic_ids: BTreeMap<String, String>,
    /// The next offset of the task's repartition partition.
    pub repartition_offset: i64,
    /// Stream time: the latest event time of the task's customers.
    pub stream_ms: i64,
    /// The time that has passed for the sweep: `stream_ms`, but no later than the watermark.
    pub passed_ms: i64,
    /// The time that has passed for sampling: the watermark, or `stream_ms` if no watermark is set.
    pub sampled_ms: i64,
    /// The instant that the sweep has reached.
    pub swept_ms: Option<i64>,
    /// The span that the sweep skipped less than a period ago, if there is one.
    pub leap: Option<SkippedSpan>,
    /// Version of the model in use; 0 if there is none.
    pub version: u64,
    /// The instant that the sweep had reached when that version came into use. Customers due later were scored by
    /// it.
    pub version_since_ms: Option<i64>,
    /// Number of customers, to check that a restore finds all of them. `None` if the position is from a version of
    /// Flockwise that did not count them.
    pub customers: Option<u64>,
}

impl TaskPosition {
    /// Before the first record.
    pub(super) fn start() -> Self {
        Self {
            inputs: BTreeMap::new(),
            other_inputs: BTreeMap::new(),
            topic_ids: BTreeMap::new(),
            repartition_offset: 0,
            stream_ms: NEVER_MS,
            swept_ms: None,
            passed_ms: NEVER_MS,
            sampled_ms: NEVER_MS,
            leap: None,
            version: 0,
            version_since_ms: None,
            customers: None,
        }
    }
}
