//! Compaction: of every key the last record stays.

use std::collections::HashSet;

use crate::log::{Log, Pool};

/// Below this a partition is not worth the work.
const SMALLEST_BYTES: usize = 4 * 1024 * 1024;

/// When a compacted partition is next due, and which tombstones may go then.
#[derive(Debug)]
pub(crate) struct Compaction {
    due_at_bytes: usize,
    /// A tombstone is kept once, so that whoever reads along gets to see it.
    seen_up_to: i64,
}

impl Compaction {
    pub(crate) fn new() -> Self {
        Self {
            due_at_bytes: SMALLEST_BYTES,
            seen_up_to: 0,
        }
    }

    /// Compacts once a partition has doubled, which makes the work a constant per record.
    pub(crate) fn run_if_due(&mut self, log: &mut Log, pool: &mut Pool) {
        if log.bytes >= self.due_at_bytes {
            self.run(log, pool);
        }
    }

    /// Compacts now what may be read.
    pub(crate) fn run(&mut self, log: &mut Log, pool: &mut Pool) {
        let superseded = superseded(log);
        let mut superseded = superseded.into_iter().rev();
        let seen_up_to = std::mem::replace(&mut self.seen_up_to, log.stable());
        log.retain(pool, |entry| {
            let is_old = superseded.next().unwrap_or(false);
            let is_gone = entry.shape.is_tombstone() && entry.offset < seen_up_to;
            !is_old && !is_gone
        });
        self.due_at_bytes = SMALLEST_BYTES.max(2 * log.bytes);
    }
}

/// Has each record a later one of its key? From the last record to the first. What may come to nothing
/// takes the place of nothing.
fn superseded(log: &Log) -> Vec<bool> {
    let mut keys = HashSet::new();
    let backwards = log
        .chunks
        .iter()
        .rev()
        .flat_map(|chunk| chunk.entries().rev());
    backwards
        .map(|(entry, bytes)| {
            entry.offset < log.held_from && !keys.insert(entry.shape.split(bytes).key)
        })
        .collect()
}
