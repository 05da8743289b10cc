//! Counts of changes and dead letters for the summary.

use std::collections::BTreeMap;

use flockwise_core::feature_inputs::FeatureInputs;
use flockwise_memory::CommittedRecord;
use flockwise_runtime::worker::SegmentMoves;

/// Changes and dead letters so far.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Segment changes.
    pub(crate) changes: u64,
    /// Changes by cause.
    pub(crate) by_cause: BTreeMap<&'static str, u64>,
    /// Changes into and out of each segment. A customer's first segment does not count.
    pub(crate) by_segment: BTreeMap<u32, (u64, u64)>,
    /// What the features found.
    pub(crate) inputs: FeatureInputs,
    /// Dead letters by reason.
    pub(crate) dead_letters: BTreeMap<String, u64>,
}

impl Tally {
    /// Adds the moves of one worker.
    pub(crate) fn add_moves(&mut self, moves: &SegmentMoves) {
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

    /// Adds a record of the dead letter topic.
    pub(crate) fn add_dead_letter(&mut self, record: &CommittedRecord) {
        *self
            .dead_letters
            .entry(header(record, "flockwise.reason"))
            .or_default() += 1;
    }
}

/// The value of a header; empty if there is none.
pub(crate) fn header(record: &CommittedRecord, name: &str) -> String {
    let found = record.headers.iter().find(|(known, _)| known == name);
    found
        .map(|(_, value)| String::from_utf8_lossy(value).into_owned())
        .unwrap_or_default()
}
