//! Progress of the backfill: which tasks have read all events from before the pipeline's first start.
//!
//! A task writes a mark to the pipeline topic in the transaction with which its backfill ends. Once all tasks have
//! their mark, the trainer announces it on the lineage topic, and marks the announcement too.

use std::collections::BTreeSet;

use flockwise_vocabulary::task_id::TaskId;
use serde::Serialize;
use xxhash_rust::xxh3::xxh3_128;

use crate::time::write_time;

/// Key of the mark that the end of the backfill was announced on the lineage topic.
pub const ANNOUNCED_KEY: &[u8] = b"caught-up";

const TASK_PREFIX: &str = "caught-up/";

#[derive(Serialize)]
struct CaughtUpRecord {
    id: String,
    r#type: &'static str,
    history_until: String,
    occurred_at: String,
    tasks: u32,
    model_version: u64,
}

/// Key of the mark that this task's backfill has ended.
#[must_use]
pub fn caught_up_key(task: TaskId) -> Vec<u8> {
    format!("{TASK_PREFIX}{task}").into_bytes()
}

/// Value of a mark. `at_ms` is wall-clock time, milliseconds since the epoch.
#[must_use]
pub fn encode_mark(at_ms: i64) -> Vec<u8> {
    format!(r#"{{"at":"{}"}}"#, write_time(at_ms)).into_bytes()
}

/// Encodes the announcement for the lineage topic: all tasks have read the events from before `until_ms`.
/// `model_version` is the version in use at that moment; 0: none.
#[must_use]
pub fn encode_caught_up(
    app: &str,
    until_ms: i64,
    at_ms: i64,
    tasks: u32,
    model_version: u64,
) -> Vec<u8> {
    let key = format!("{app}\0caught-up\0{until_ms}");
    let record = CaughtUpRecord {
        id: format!("{:032x}", xxh3_128(key.as_bytes())),
        r#type: "pipeline.caught_up",
        history_until: write_time(until_ms),
        occurred_at: write_time(at_ms),
        tasks,
        model_version,
    };
    // Cannot fail: it writes texts and numbers to memory.
    serde_json::to_vec(&record).unwrap_or_default()
}

/// The marks found on the pipeline topic.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    tasks: BTreeSet<TaskId>,
    /// The end of the backfill was announced on the lineage topic.
    pub is_announced: bool,
}

impl Marks {
    /// Takes in a record of the pipeline topic. Ignores a record that is not a mark.
    pub fn take(&mut self, key: Option<&[u8]>, value: Option<&[u8]>) {
        let (Some(key), Some(_)) = (key, value) else {
            return;
        };
        self.is_announced |= key == ANNOUNCED_KEY;
        let key = std::str::from_utf8(key).ok();
        let task = key.and_then(|key| key.strip_prefix(TASK_PREFIX)?.parse().ok());
        self.tasks.extend(task.map(TaskId));
    }

    /// Whether every task below `tasks` has its mark.
    #[must_use]
    pub fn is_complete(&self, tasks: u32) -> bool {
        TaskId::all(tasks).all(|task| self.tasks.contains(&task))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_tasks_must_have_left_their_mark() {
        let (mut marks, value) = (Marks::default(), encode_mark(0));
        marks.take(Some(b"pipeline"), Some(b"{}"));
        marks.take(None, Some(&value));
        for task in [0, 2, 2] {
            marks.take(Some(&caught_up_key(TaskId(task))), Some(&value));
        }
        assert!(!marks.is_complete(3) && marks.is_complete(1));
        marks.take(Some(&caught_up_key(TaskId(1))), Some(&value));
        assert!(marks.is_complete(3) && !marks.is_announced);
        marks.take(Some(ANNOUNCED_KEY), Some(&value));
        assert!(marks.is_announced);
    }

    #[test]
    fn its_bytes_stay_as_they_are() {
        let record = encode_caught_up("shop", 1_772_323_200_000, 1_772_326_800_000, 12, 7);
        let golden = concat!(
            r#"{"id":"00000000000000000000000000000000","type":"pipeline.caught_up","#,
            r#""history_until":"2026-03-01T00:00:00.000Z","occurred_at":"2026-03-01T01:00:00.000Z","#,
            r#""tasks":12,"model_version":7}"#
        );
        let found = String::from_utf8(record).unwrap();
        assert_eq!(found.len(), golden.len());
        assert_eq!(found[40..], golden[40..], "all but the id");
        assert_eq!(encode_mark(0), br#"{"at":"1970-01-01T00:00:00.000Z"}"#);
    }
}
