//! Counts of changes and dead letters for the summary.

use std::collections::BTreeMap;

use flockwise_core::feature_inputs::FeatureInputs;
use flockwise_core::task::DuplicateBy;
use flockwise_memory::CommittedRecord;
use flockwise_runtime::worker::SegmentMoves;

use crate::local::dead_letters::{LocatedDeadLetter, header};

/// Changes and dead letters so far.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Segment changes.
    pub(crate) changes: u64,
    /// Changes by cause.
    pub(crate) by_cause: BTreeMap<&'static str, u64>,
    /// Changes into and out of each segment. A customer's first segment does not count.
    pub(crate) by_segment: BTreeMap<u32, (u64, u64)>,
    /// Events skipped as duplicates, in the order of [`DuplicateBy::NAMES`].
    pub(crate) duplicates: [u64; DuplicateBy::NAMES.len()],
    /// What the features found.
    pub(crate) inputs: FeatureInputs,
    /// Dead letters by reason.
    pub(crate) dead_letters: BTreeMap<String, u64>,
    /// By reason: the place of a dead letter, and its detail.
    pub(crate) examples: BTreeMap<String, String>,
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

    /// Adds a dead letter of a file with this name.
    pub(crate) fn add_located(&mut self, file: &str, letter: &LocatedDeadLetter) {
        self.add_dead_letter(&letter.record);
        let example = self
            .examples
            .entry(header(&letter.record, "flockwise.reason"));
        example.or_insert_with(|| {
            let (line, detail) = (
                letter.origin.line,
                header(&letter.record, "flockwise.detail"),
            );
            format!("{file}, line {line}: {detail}")
        });
    }

    /// Adds a record of the dead letter topic.
    pub(crate) fn add_dead_letter(&mut self, record: &CommittedRecord) {
        *self
            .dead_letters
            .entry(header(record, "flockwise.reason"))
            .or_default() += 1;
    }
}
