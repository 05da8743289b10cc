//! What a session came to.

use std::collections::BTreeMap;

use flockwise_memory::Committed;
use flockwise_runtime::worker::SegmentMoves;

/// Changes and dead letters so far.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Changes of segment.
    pub(crate) changes: u64,
    /// Changes by cause.
    pub(crate) by_cause: BTreeMap<&'static str, u64>,
    /// Changes by segment: in, out. The first segment of a customer is neither.
    pub(crate) by_segment: BTreeMap<u32, (u64, u64)>,
    /// Dead letters by reason.
    pub(crate) dead_letters: BTreeMap<String, u64>,
}

impl Tally {
    /// Counts how customers moved.
    pub(crate) fn moves(&mut self, moves: &SegmentMoves) {
        for ((cause, from, to), count) in moves {
            self.changes += count;
            *self.by_cause.entry(cause.name()).or_default() += count;
            if let Some(from) = from {
                self.by_segment.entry(*from).or_default().1 += count;
            }
            if let (Some(_), Some(to)) = (from, to) {
                self.by_segment.entry(*to).or_default().0 += count;
            }
        }
    }

    /// Counts a record of the dead letters' topic.
    pub(crate) fn dead_letter(&mut self, record: &Committed) {
        *self
            .dead_letters
            .entry(header(record, "flockwise.reason"))
            .or_default() += 1;
    }
}

/// A header's text; empty where it is not there.
pub(crate) fn header(record: &Committed, name: &str) -> String {
    let found = record.headers.iter().find(|(known, _)| known == name);
    found
        .map(|(_, value)| String::from_utf8_lossy(value).into_owned())
        .unwrap_or_default()
}
