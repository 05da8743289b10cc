//! How many customers each segment has.

use std::collections::BTreeMap;

use crate::rows::Rows;

/// Number of customers by segment id, kept current with every change.
///
/// Invariant: it equals a count over the task's rows, also after a rollback. Segments without customers are not in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SegmentSizes {
    sizes: BTreeMap<u32, u64>,
    /// What the open transaction has added to each segment. A rollback takes it back.
    added: BTreeMap<u32, i64>,
}

impl SegmentSizes {
    /// Counts all rows.
    #[must_use]
    pub fn count(rows: &Rows) -> Self {
        let mut sizes = BTreeMap::new();
        let segments = rows.numbers().filter_map(|row| rows.standing(row).segment);
        segments.for_each(|segment| *sizes.entry(segment).or_default() += 1);
        Self {
            sizes,
            added: BTreeMap::new(),
        }
    }

    /// Number of customers by segment id, ascending. Segments without customers are left out.
    #[must_use]
    pub fn sizes(&self) -> &BTreeMap<u32, u64> {
        &self.sizes
    }

    /// A customer changes segment in the open transaction.
    pub(crate) fn change(&mut self, from: Option<u32>, to: Option<u32>) {
        for (segment, change) in [(from, -1), (to, 1)] {
            if let Some(segment) = segment {
                *self.added.entry(segment).or_default() += change;
                self.add(segment, change);
            }
        }
    }

    pub(crate) fn commit(&mut self) {
        self.added.clear();
    }

    pub(crate) fn roll_back(&mut self) {
        for (segment, added) in std::mem::take(&mut self.added) {
            self.add(segment, -added);
        }
    }

    fn add(&mut self, segment: u32, change: i64) {
        let size = self.sizes.entry(segment).or_default();
        *size = size.saturating_add_signed(change);
        if *size == 0 {
            self.sizes.remove(&segment);
        }
    }
}
