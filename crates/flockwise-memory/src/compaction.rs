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

    fn run(&mut self, log: &mut Log, pool: &mut Pool) {
        let superseded = superseded(log);
        let mut superseded = superseded.into_iter().rev();
        let old = std::mem::take(&mut log.chunks);
        log.bytes = 0;
        for chunk in old {
            for (entry, bytes) in chunk.entries() {
                let is_old = superseded.next().unwrap_or(false);
                let is_gone = entry.shape.is_tombstone() && entry.offset < self.seen_up_to;
                if !is_old && !is_gone {
                    log.push(pool, *entry, bytes);
                }
            }
            pool.give(chunk);
        }
        self.seen_up_to = log.end;
        self.due_at_bytes = SMALLEST_BYTES.max(2 * log.bytes);
    }
}

/// Has each record a later one of its key? From the last record to the first.
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
