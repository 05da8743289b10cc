//! The undo log: what a rollback to the last commit needs.
//!
//! A row's header and columns are copied before they are first changed, into vectors that are reused. A ring's
//! entries are copied before they are overwritten. Customers who were added or expired are logged in order.

use super::row_header::RowHeader;

/// Vectors never shrink below this number of entries.
const FLOOR: usize = 1024;
/// A vector shrinks if its capacity is this many times larger than what was used.
const SLACK: usize = 8;

/// The undo log of a transaction.
#[derive(Clone, Debug, Default)]
pub(super) struct UndoLog {
    pub(super) heads: Vec<(u32, RowHeader)>,
    pub(super) columns_of: Vec<u32>,
    pub(super) columns: Vec<f64>,
    pub(super) overwritten: Vec<(u32, u64)>,
    pub(super) released: Vec<(u32, u32)>,
    pub(super) moves: Vec<ScheduleChange>,
}

/// A customer who was added or has expired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ScheduleChange {
    /// Added in a row, which was free or is a new one.
    Came { row: u32, was_free: bool },
    /// Expired from a row.
    Went { row: u32 },
}

impl UndoLog {
    pub(super) fn is_empty(&self) -> bool {
        self.heads.is_empty() && self.moves.is_empty()
    }

    /// Clears the log. Vectors that have grown too large release memory.
    pub(super) fn clear(&mut self) {
        empty(&mut self.heads);
        empty(&mut self.columns_of);
        empty(&mut self.columns);
        empty(&mut self.overwritten);
        empty(&mut self.released);
        empty(&mut self.moves);
    }

    pub(super) fn bytes(&self) -> usize {
        bytes(&self.heads)
            + bytes(&self.columns_of)
            + bytes(&self.columns)
            + bytes(&self.overwritten)
            + bytes(&self.released)
            + bytes(&self.moves)
    }
}

/// Clears a vector that each transaction fills again.
pub(super) fn empty<T>(entries: &mut Vec<T>) {
    let wanted = entries.len().max(FLOOR);
    entries.clear();
    if entries.capacity() > SLACK * wanted {
        entries.shrink_to(2 * wanted);
    }
}

pub(super) fn bytes<T>(entries: &Vec<T>) -> usize {
    entries.capacity() * size_of::<T>()
}

#[cfg(test)]
mod tests {
    use super::super::id_arena::IdSlot;
    use super::*;

    #[test]
    fn a_log_is_empty_without_changed_and_without_moved_rows() {
        let (mut changed, mut moved) = (UndoLog::default(), UndoLog::default());
        assert!(changed.is_empty());
        let head = RowHeader::new(0, IdSlot::default(), 0);
        changed.heads.push((0, head));
        moved.moves.push(ScheduleChange::Went { row: 0 });
        assert!(!changed.is_empty() && !moved.is_empty());
    }

    #[test]
    fn a_vector_keeps_the_room_that_transactions_use() {
        let room = |capacity: usize, used: usize| {
            let mut entries = Vec::with_capacity(capacity);
            entries.resize(used, 0_u8);
            empty(&mut entries);
            assert!(entries.is_empty());
            entries.capacity()
        };
        assert_eq!(room(8 * 1024, 0), 8 * 1024);
        assert_eq!(room(8 * 1024 + 1, 0), 2 * 1024);
        assert_eq!(room(16_000, 2000), 16_000);
        assert_eq!(room(16_001, 2000), 4000);
    }

    #[test]
    fn a_log_tells_the_bytes_of_all_its_vectors() {
        let log = UndoLog {
            heads: Vec::with_capacity(1),
            columns_of: Vec::with_capacity(2),
            columns: Vec::with_capacity(3),
            overwritten: Vec::with_capacity(4),
            released: Vec::with_capacity(5),
            moves: Vec::with_capacity(6),
        };
        let heads = size_of::<(u32, RowHeader)>();
        let moves = 6 * size_of::<ScheduleChange>();
        assert_eq!(log.bytes(), heads + 2 * 4 + 3 * 8 + 4 * 16 + 5 * 8 + moves);
    }
}
