//! Compaction: keeps the last record of every key, and a tombstone for a while.

use std::collections::{HashSet, VecDeque};

use crate::partition_log::PartitionLog;

/// The earlier compactions of a partition: the offset up to which each looked, and its time in milliseconds. A
/// compaction keeps the tombstones that no earlier one has seen, so that a reader at the end of the log sees them.
#[derive(Debug, Default)]
pub(crate) struct Compactions(VecDeque<(i64, i64)>);

impl Compactions {
    /// Compacts the readable records of a partition. Removes the tombstones that were first seen at least `keep_ms`
    /// milliseconds ago.
    pub(crate) fn run(&mut self, log: &mut PartitionLog, now_ms: i64, keep_ms: i64) {
        let superseded = superseded(log);
        let mut superseded = superseded.into_iter().rev();
        let seen_up_to = self.seen_up_to(now_ms, keep_ms);
        self.0.push_back((log.stable(), now_ms));
        log.records.retain(|record| {
            let is_old = superseded.next().unwrap_or(false);
            let is_gone = record.value.is_none() && record.offset < seen_up_to;
            !is_old && !is_gone
        });
    }

    /// Tombstones before this offset were first seen long enough ago to be removed.
    fn seen_up_to(&mut self, now_ms: i64, keep_ms: i64) -> i64 {
        let is_past = |(_, at_ms): &(i64, i64)| at_ms + keep_ms <= now_ms;
        let past = self.0.iter().take_while(|run| is_past(run)).count();
        // The latest of these runs has seen what the earlier ones have seen.
        self.0.drain(..past.saturating_sub(1));
        let first = self.0.front().filter(|run| is_past(run));
        first.map_or(0, |(up_to, _)| *up_to)
    }
}

/// For each record, from the last to the first: whether a later record has its key. A record whose transaction is
/// open may still be aborted, so it supersedes nothing.
fn superseded(log: &PartitionLog) -> Vec<bool> {
    let mut keys = HashSet::new();
    let backwards = log.records.iter().rev();
    backwards
        .map(|record| record.offset < log.held_from && !keys.insert(&record.key))
        .collect()
}
