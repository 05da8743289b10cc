//! The segments of the version in use, with their customers.

use std::collections::BTreeMap;

use flockwise_codec::task_summary::TaskSummary;
use flockwise_codec::time::write_time;
use flockwise_core::model::ModelVersion;
use flockwise_vocabulary::task_id::TaskId;
use serde::Serialize;

use crate::version_entry::trained_at;

/// The segments of a model, and how many customers each has.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Segments {
    /// The version in use.
    pub model_version: u64,
    /// When it was trained; `None` for a model made by hand.
    pub trained_at: Option<String>,
    /// Event time up to which every count is complete: that of the task that is furthest behind. `None` before the first
    /// event.
    pub as_of: Option<String>,
    /// The tasks that the counts are from. While some are missing, so are their customers.
    pub tasks: TaskCount,
    /// Number of customers, those without a segment included.
    pub customers: u64,
    /// Number of customers without a segment.
    pub without_segment: u64,
    /// The segments, largest first.
    pub segments: Vec<SegmentEntry>,
}

/// How many tasks have published a summary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct TaskCount {
    /// Tasks with a summary.
    pub reported: usize,
    /// All tasks.
    pub of: u32,
}

/// A segment.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SegmentEntry {
    /// Its id.
    pub segment: u32,
    /// Its name; `None` if the version in use has no such segment. Its customers are then about to get another one.
    pub name: Option<String>,
    /// It is pinned: learning never moves, splits, merges or retires it.
    pub pinned: bool,
    /// Number of customers.
    pub customers: u64,
    /// Share of all customers that have a segment, 0 to 1.
    pub share: f64,
}

/// The segments of `model`, counted over the summaries of `tasks` tasks.
pub(crate) fn segments(
    model: &ModelVersion,
    summaries: &BTreeMap<TaskId, TaskSummary>,
    tasks: u32,
) -> Segments {
    let mut sizes: BTreeMap<u32, u64> = BTreeMap::new();
    sizes.extend(
        model
            .segmentation()
            .segments
            .iter()
            .map(|segment| (segment.id, 0)),
    );
    for (segment, customers) in summaries.values().flat_map(|summary| &summary.segments) {
        *sizes.entry(*segment).or_default() += customers;
    }
    let customers = summaries.values().map(|summary| summary.customers).sum();
    let assigned: u64 = sizes.values().sum();
    let entry = |(id, customers): (u32, u64)| entry(model, id, customers, assigned);
    let mut segments: Vec<SegmentEntry> = sizes.into_iter().map(entry).collect();
    segments.sort_by_key(|entry| std::cmp::Reverse(entry.customers));
    let as_of_ms = summaries.values().filter_map(|summary| summary.as_of_ms);
    Segments {
        model_version: model.version,
        trained_at: trained_at(model),
        as_of: as_of_ms.min().map(write_time),
        tasks: TaskCount {
            reported: summaries.len(),
            of: tasks,
        },
        customers,
        without_segment: customers.saturating_sub(assigned),
        segments,
    }
}

fn entry(model: &ModelVersion, id: u32, customers: u64, assigned: u64) -> SegmentEntry {
    let known = model
        .segmentation()
        .segments
        .iter()
        .find(|segment| segment.id == id);
    SegmentEntry {
        segment: id,
        name: known.map(|segment| segment.name.clone()),
        pinned: known.is_some_and(|segment| segment.is_pinned),
        customers,
        share: match assigned {
            0 => 0.0,
            assigned => customers as f64 / assigned as f64,
        },
    }
}
