//! The summary of a task: the sizes of its segments, for dashboards.
//!
//! A task publishes it in the transaction that it describes, under the task's number. The sum over all tasks is that of
//! the pipeline.

use std::collections::BTreeMap;

use flockwise_core::aggregate::NEVER_MS;
use flockwise_core::task::Task;
use flockwise_vocabulary::task_id::TaskId;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::time::{parse_time, write_time};

/// The customers of one task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskSummary {
    /// The task that owns the customers.
    pub task: TaskId,
    /// Latest event time of the task, milliseconds since the epoch; `None` before its first event.
    pub as_of_ms: Option<i64>,
    /// Number of customers, those without a segment included.
    pub customers: u64,
    /// Number of customers by segment id. Segments without customers are left out.
    pub segments: BTreeMap<u32, u64>,
}

impl TaskSummary {
    /// The present summary of a task.
    #[must_use]
    pub fn of(task_id: TaskId, task: &Task) -> Self {
        Self {
            task: task_id,
            as_of_ms: Some(task.stream_ms()).filter(|time_ms| *time_ms > NEVER_MS),
            customers: task.rows().len() as u64,
            segments: task.segment_sizes().sizes().clone(),
        }
    }
}

/// A record of the summaries topic is malformed.
#[derive(Debug, Error)]
pub enum SummaryError {
    /// Not JSON, or a field is missing or of a wrong type.
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    /// `as_of` is no time.
    #[error("as_of is {0:?}, expected a time such as 2026-03-01T00:00:00.000Z")]
    AsOf(String),
}

#[derive(Deserialize, Serialize)]
struct SummaryRecord {
    task: u32,
    as_of: Option<String>,
    customers: u64,
    segments: BTreeMap<u32, u64>,
}

/// Key of a task's summary.
#[must_use]
pub fn summary_key(task: TaskId) -> String {
    task.to_string()
}

/// Appends the JSON of a summary.
pub fn encode_summary(summary: &TaskSummary, out: &mut Vec<u8>) {
    let record = SummaryRecord {
        task: summary.task.0,
        as_of: summary.as_of_ms.map(write_time),
        customers: summary.customers,
        segments: summary.segments.clone(),
    };
    // Cannot fail: it writes texts and numbers to memory.
    out.extend(serde_json::to_vec(&record).unwrap_or_default());
}

/// Decodes a summary.
///
/// # Errors
/// If the record is no summary.
pub fn decode_summary(value: &[u8]) -> Result<TaskSummary, SummaryError> {
    let record: SummaryRecord = serde_json::from_slice(value)?;
    let as_of_ms = match record.as_of {
        None => None,
        Some(text) => Some(parse_time(&text).ok_or(SummaryError::AsOf(text))?),
    };
    Ok(TaskSummary {
        task: TaskId(record.task),
        as_of_ms,
        customers: record.customers,
        segments: record.segments,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_bytes_stay_as_they_are_and_come_back() {
        let summary = TaskSummary {
            task: TaskId(3),
            as_of_ms: Some(1_772_323_200_000),
            customers: 42,
            segments: BTreeMap::from([(2, 30), (11, 7)]),
        };
        let mut bytes = Vec::new();
        encode_summary(&summary, &mut bytes);
        let golden = concat!(
            r#"{"task":3,"as_of":"2026-03-01T00:00:00.000Z","customers":42,"#,
            r#""segments":{"2":30,"11":7}}"#
        );
        assert_eq!(String::from_utf8_lossy(&bytes), golden);
        assert_eq!(decode_summary(&bytes).unwrap(), summary);
    }

    #[test]
    fn an_error_names_what_was_found() {
        let wrong = br#"{"task":3,"as_of":"noon","customers":1,"segments":{}}"#;
        let error = decode_summary(wrong).unwrap_err().to_string();
        assert!(error.contains("\"noon\""), "{error}");
        assert!(decode_summary(b"[]").is_err());
    }
}
