//! Compaction: keeps the last record of every key.

use std::collections::HashSet;

use crate::log::{Log, Pool};

/// A smaller partition is not compacted.
const SMALLEST_BYTES: usize = 4 * 1024 * 1024;

/// When a partition is compacted next, and which tombstones may be removed then.
#[derive(Debug)]
pub(crate) struct Compaction {
    due_at_bytes: usize,
    /// The offset up to which the last run looked. A run keeps the tombstones that no earlier run has seen, so that a
    /// reader at the end of the log sees them.
    seen_up_to: i64,
}

impl Compaction {
    pub(crate) fn new() -> Self {
        Self {
            due_at_bytes: SMALLEST_BYTES,
            seen_up_to: 0,
        }
    }

    /// Compacts a partition that has doubled in size, so that the cost per record is constant.
    pub(crate) fn run_if_due(&mut self, log: &mut Log, pool: &mut Pool) {
        if log.bytes < self.due_at_bytes {
            return;
        }
        let superseded = superseded(log);
        let mut superseded = superseded.into_iter().rev();
        let seen_up_to = std::mem::replace(&mut self.seen_up_to, log.end);
        log.retain(pool, |entry| {
            let is_old = superseded.next().unwrap_or(false);
            let is_gone = entry.shape.is_tombstone() && entry.offset < seen_up_to;
            !is_old && !is_gone
        });
        self.due_at_bytes = SMALLEST_BYTES.max(2 * log.bytes);
    }
}

/// For each record, from the last to the first: whether a later record has its key.
fn superseded(log: &Log) -> Vec<bool> {
    let mut keys = HashSet::new();
    let backwards = log
        .chunks
        .iter()
        .rev()
        .flat_map(|chunk| chunk.entries().rev());
    backwards
        .map(|(entry, bytes)| !keys.insert(entry.shape.split(bytes).key))
        .collect()
}
