//! Rebuilds tasks from their changelog records without a worker.

use std::collections::BTreeMap;
use std::sync::Arc;

use flockwise_codec::changelog::{StoredRow, TASK_POSITION, decode_row, decode_task_position};
use flockwise_core::task::Task;
use flockwise_memory::CommittedRecord;
use flockwise_runtime::pipeline::Pipeline;

/// The live keys and values of one changelog partition, without tombstones and the keys that they removed.
pub type Changelog = BTreeMap<Vec<u8>, Vec<u8>>;

/// Compacts a partition's records, given oldest first: keeps the last value of each key.
#[must_use]
pub fn compacted(records: Vec<CommittedRecord>) -> Changelog {
    let mut changelog = Changelog::new();
    for record in records {
        let key = record.key.unwrap_or_default();
        match record.value {
            Some(value) => drop(changelog.insert(key, value)),
            None => drop(changelog.remove(&key)),
        }
    }
    changelog
}

/// Restores a task from its compacted changelog.
///
/// # Panics
/// If a record is malformed or was written with another feature plan.
#[must_use]
pub fn restore(pipeline: &Pipeline, changelog: &Changelog) -> Task {
    let mut task = Task::new(Arc::clone(&pipeline.task));
    let (mut position, mut row) = (None, StoredRow::default());
    for (key, value) in changelog {
        if *key == [TASK_POSITION] {
            let found = decode_task_position(value, &pipeline.topics.inputs);
            position = Some(found.expect("a task position").0);
        } else {
            let fingerprint = pipeline.task.plan.fingerprint();
            decode_row(&key[1..], value, fingerprint, &mut row).expect("a row");
            task.restore_row(&row.as_row());
        }
    }
    if let Some(position) = position {
        task.restore_position(position);
    }
    task
}
