//! The records and offsets that a reset writes.

use flockwise_runtime::task_id::TaskId;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use flockwise_codec::changelog::{TASK_POSITION, encode_task_position};
use flockwise_codec::pipeline_record::PipelineRecord;
use flockwise_codec::time::write_time;
use flockwise_config::Config;
use flockwise_core::task::Task;
use flockwise_kafka::admin::ResetRecord;
use flockwise_runtime::broker::PIPELINE_KEY;
use flockwise_runtime::topics::{Topic, Topics};
use serde_json::json;

use super::parse_target::Positions;
use crate::args::ResetArguments;
use crate::build_pipeline::pipeline;
use crate::exit::Failed;

/// The pipeline record, a task position for each task, and a `pipeline.reset` record for each partition of the segment
/// changes.
pub(super) fn records(
    config: &Config,
    topics: &Topics,
    positions: &Positions,
    pinned: &PipelineRecord,
    arguments: &ResetArguments,
) -> Result<Vec<ResetRecord>, Failed> {
    let settings = pipeline(config, topics.state_partitions, None)?.task;
    let notice = notice(topics, positions, arguments);
    let mut records = vec![ResetRecord {
        topic: Topic::Pipeline,
        partition: 0,
        key: Some(PIPELINE_KEY.to_vec()),
        value: pinned.encode(),
    }];
    for number in 0..topics.state_partitions {
        let mut task = Task::new(Arc::clone(&settings));
        for (topic, partition, offset) in positions {
            if topics.task_of(*partition) == TaskId(number) {
                let input = topics.inputs.iter().position(|name| name == topic);
                task.advance_input((input.unwrap_or_default() as u16, *partition), *offset);
            }
        }
        let mut value = Vec::new();
        encode_task_position(&task.position(), &topics.inputs, None, &mut value);
        records.push(ResetRecord {
            topic: Topic::Changelog,
            partition: number,
            key: Some(vec![TASK_POSITION]),
            value,
        });
        records.push(ResetRecord {
            topic: Topic::SegmentChanges,
            partition: number,
            key: None,
            value: notice.clone(),
        });
    }
    Ok(records)
}

/// The `pipeline.reset` record, after which the customers' sequences start again at 1.
fn notice(topics: &Topics, positions: &Positions, arguments: &ResetArguments) -> Vec<u8> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now_ms = now.map_or(0, |now| i64::try_from(now.as_millis()).unwrap_or(i64::MAX));
    let position = |(topic, partition, offset): &(String, u32, i64)| json!({ "topic": topic, "partition": partition, "offset": offset });
    let record = json!({
        "type": "pipeline.reset",
        "app": topics.app,
        "occurred_at": write_time(now_ms),
        "to": arguments.to,
        "model_kept": arguments.keep_model,
        "positions": positions.iter().map(position).collect::<Vec<_>>(),
    });
    record.to_string().into_bytes()
}

/// The offsets to commit for the group: the input positions, and 0 for the recreated topics.
pub(super) fn offsets(
    topics: &Topics,
    positions: &Positions,
    remade: &[Topic],
) -> Vec<(String, u32, i64)> {
    let mut offsets = positions.clone();
    for topic in [Topic::Repartition, Topic::Samples] {
        if remade.contains(&topic) {
            let name = topics.name(topic);
            let partitions = 0..topics.partitions(topic);
            offsets.extend(partitions.map(|partition| (name.clone(), partition, 0)));
        }
    }
    offsets
}
