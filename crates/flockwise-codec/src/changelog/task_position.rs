//! The task position as JSON.

use std::collections::BTreeMap;

use flockwise_core::sweep_schedule::SkippedSpan;
use flockwise_core::task::{InputPartition, Progress, TaskPosition};
use serde::{Deserialize, Serialize};

use super::error::{ChangelogError, VERSION};

#[derive(Serialize, Deserialize)]
struct TaskPositionRecord {
    format: u8,
    inputs: Vec<PositionRecord>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    topic_ids: BTreeMap<String, String>,
    repartition_offset: i64,
    stream_ms: i64,
    swept_ms: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    passed_ms: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sampled_ms: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    leap: Option<LeapRecord>,
    version: u64,
    version_since_ms: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    customers: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    owner: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct LeapRecord {
    from_ms: i64,
    to_ms: i64,
}

#[derive(Serialize, Deserialize)]
struct PositionRecord {
    topic: String,
    partition: u32,
    next_offset: i64,
    time_ms: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    leader_epoch: Option<i32>,
}

impl PositionRecord {
    fn new(topic: &str, partition: u32, progress: Progress) -> Self {
        Self {
            topic: topic.to_owned(),
            partition,
            next_offset: progress.next_offset,
            time_ms: progress.time_ms,
            leader_epoch: progress.leader_epoch,
        }
    }
}

/// Appends a task position to `out`. `topics` are the names of the configured inputs. `owner` is the writer's
/// transactional id.
pub fn encode_task_position(
    position: &TaskPosition,
    topics: &[String],
    owner: Option<&str>,
    out: &mut Vec<u8>,
) {
    let inputs = position
        .inputs
        .iter()
        .map(|((topic, partition), progress)| {
            PositionRecord::new(&topics[usize::from(*topic)], *partition, *progress)
        });
    let others = position.other_inputs.iter();
    let others = others
        .map(|((topic, partition), progress)| PositionRecord::new(topic, *partition, *progress));
    let record = TaskPositionRecord {
        format: VERSION,
        inputs: inputs.chain(others).collect(),
        topic_ids: position.topic_ids.clone(),
        repartition_offset: position.repartition_offset,
        stream_ms: position.stream_ms,
        swept_ms: position.swept_ms,
        passed_ms: (position.passed_ms != position.stream_ms).then_some(position.passed_ms),
        sampled_ms: (position.sampled_ms != position.stream_ms).then_some(position.sampled_ms),
        leap: position.leap.map(|leap| LeapRecord {
            from_ms: leap.from_ms,
            to_ms: leap.to_ms,
        }),
        version: position.version,
        version_since_ms: position.version_since_ms,
        customers: position.customers,
        owner: owner.map(str::to_owned),
    };
    // Cannot fail: it writes to memory, and all map keys are text.
    let _ = serde_json::to_writer(out, &record);
}

/// Decodes a task position, and its owner's transactional id if it has one. Positions of topics that are not
/// configured are kept by name, in [`TaskPosition::other_inputs`].
///
/// # Errors
/// If the record is malformed or has a later format.
pub fn decode_task_position(
    value: &[u8],
    topics: &[String],
) -> Result<(TaskPosition, Option<String>), ChangelogError> {
    let record: TaskPositionRecord = serde_json::from_slice(value)
        .map_err(|error| ChangelogError::Malformed(error.to_string()))?;
    if record.format > VERSION {
        return Err(ChangelogError::Version {
            found: record.format,
        });
    }
    let mut inputs: BTreeMap<InputPartition, Progress> = BTreeMap::new();
    let mut other_inputs = BTreeMap::new();
    for input in record.inputs {
        let progress = Progress {
            next_offset: input.next_offset,
            time_ms: input.time_ms,
            leader_epoch: input.leader_epoch,
        };
        match topics.iter().position(|topic| *topic == input.topic) {
            Some(topic) => drop(inputs.insert((topic as u16, input.partition), progress)),
            None => drop(other_inputs.insert((input.topic, input.partition), progress)),
        }
    }
    let position = TaskPosition {
        inputs,
        other_inputs,
        topic_ids: record.topic_ids,
        repartition_offset: record.repartition_offset,
        stream_ms: record.stream_ms,
        swept_ms: record.swept_ms,
        passed_ms: record.passed_ms.unwrap_or(record.stream_ms),
        sampled_ms: record.sampled_ms.unwrap_or(record.stream_ms),
        leap: record.leap.map(|leap| SkippedSpan {
            from_ms: leap.from_ms,
            to_ms: leap.to_ms,
        }),
        version: record.version,
        version_since_ms: record.version_since_ms,
        customers: record.customers,
    };
    Ok((position, record.owner))
}
