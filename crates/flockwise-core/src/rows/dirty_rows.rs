//! Dirty rows: those that differ from the checkpoint.

use std::collections::VecDeque;

use super::id_arena::IdSlot;
use super::row::Row;

/// A customer whose state the checkpoint must update.
#[derive(Clone, Copy, Debug)]
pub enum DirtyRow<'a> {
    /// The row, as of the last commit.
    Row(Row<'a>),
    /// The customer with this id is gone.
    Gone(&'a str),
}

/// Customers that wait for the checkpoint, in the order in which they changed.
#[derive(Clone, Debug, Default)]
pub(super) struct DirtyRows {
    /// Each row once: the `DIRTY` flag marks rows that are in here.
    pub(super) rows: VecDeque<u32>,
    /// Ids of customers who are gone.
    pub(super) gone: VecDeque<IdSlot>,
}

impl DirtyRows {
    pub(super) fn bytes(&self) -> usize {
        self.rows.capacity() * size_of::<u32>() + self.gone.capacity() * size_of::<IdSlot>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_lists_count_as_memory() {
        let waiting = DirtyRows {
            rows: VecDeque::with_capacity(3),
            gone: VecDeque::with_capacity(5),
        };
        assert_eq!(waiting.bytes(), 3 * 4 + 5 * size_of::<IdSlot>());
    }
}
