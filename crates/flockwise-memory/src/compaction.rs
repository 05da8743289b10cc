//! Compaction: keeps the last record of every key.

use std::collections::{HashSet, VecDeque};

use crate::log::{Log, Pool};

/// A smaller partition is not compacted.
const SMALLEST_BYTES: usize = 4 * 1024 * 1024;

/// When a partition is compacted next, and which tombstones may be removed then.
#[derive(Debug)]
pub(crate) struct Compaction {
    due_at_bytes: usize,
    /// Earlier runs: the offset up to which each looked, and its time in milliseconds. A run keeps the tombstones
    /// that no earlier run has seen, so that a reader at the end of the log sees them.
    runs: VecDeque<(i64, i64)>,
}

/// When a compaction runs, and how long it keeps tombstones that an earlier run has seen: milliseconds.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct CompactionTime {
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

    /// Compacts a partition that has doubled in size, so that the cost per record is constant.
    pub(crate) fn run_if_due(&mut self, log: &mut Log, pool: &mut Pool) {
        if log.bytes >= self.due_at_bytes {
            self.run(log, pool, CompactionTime::default());
        }
    }

    /// Compacts the readable records of a partition now.
    pub(crate) fn run(&mut self, log: &mut Log, pool: &mut Pool, terms: CompactionTime) {
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

    /// Tombstones before this offset were first seen long enough ago to be removed.
    fn seen_up_to(&mut self, terms: CompactionTime) -> i64 {
        let is_past = |(_, at_ms): &(i64, i64)| at_ms + terms.keep_ms <= terms.now_ms;
        let past = self.runs.iter().take_while(|run| is_past(run)).count();
        // The latest of these runs has seen what the earlier ones have seen.
        self.runs.drain(..past.saturating_sub(1));
        self.runs
            .front()
            .filter(|run| is_past(run))
            .map_or(0, |(up_to, _)| *up_to)
    }
}

/// For each record, from the last to the first: whether a later record has its key. A record whose transaction is
/// open may still be aborted, so it supersedes nothing.
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
