//! Compaction: of every key the last record stays.

use std::collections::{HashSet, VecDeque};

use crate::log::{Log, Pool};

/// Below this a partition is not worth the work.
const SMALLEST_BYTES: usize = 4 * 1024 * 1024;

/// When a compacted partition is next due, and which tombstones may go then.
#[derive(Debug)]
pub(crate) struct Compaction {
    due_at_bytes: usize,
    /// Earlier runs: how far each looked, and when. Whoever reads along gets to see a tombstone that a run
    /// has only just found.
    runs: VecDeque<(i64, i64)>,
}

/// When a compaction runs, and how long one leaves the tombstones that another has found: milliseconds.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Terms {
    pub(crate) now_ms: i64,
    pub(crate) keep_ms: i64,
}

impl Compaction {
    pub(crate) fn new() -> Self {
        Self {
            due_at_bytes: SMALLEST_BYTES,
            runs: VecDeque::new(),
        }
    }

    /// Compacts once a partition has doubled, which makes the work a constant per record.
    pub(crate) fn run_if_due(&mut self, log: &mut Log, pool: &mut Pool) {
        if log.bytes >= self.due_at_bytes {
            self.run(log, pool, Terms::default());
        }
    }

    /// Compacts now what may be read.
    pub(crate) fn run(&mut self, log: &mut Log, pool: &mut Pool, terms: Terms) {
        let superseded = superseded(log);
        let mut superseded = superseded.into_iter().rev();
        let seen_up_to = self.seen_up_to(terms);
        self.runs.push_back((log.stable(), terms.now_ms));
        log.retain(pool, |entry| {
            let is_old = superseded.next().unwrap_or(false);
            let is_gone = entry.shape.is_tombstone() && entry.offset < seen_up_to;
            !is_old && !is_gone
        });
        self.due_at_bytes = SMALLEST_BYTES.max(2 * log.bytes);
    }

    /// Tombstones before this were found long enough ago.
    fn seen_up_to(&mut self, terms: Terms) -> i64 {
        let is_past = |(_, at_ms): &(i64, i64)| at_ms + terms.keep_ms <= terms.now_ms;
        let past = self.runs.iter().take_while(|run| is_past(run)).count();
        // The latest of them goes for those before.
        self.runs.drain(..past.saturating_sub(1));
        self.runs
            .front()
            .filter(|run| is_past(run))
            .map_or(0, |(up_to, _)| *up_to)
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
