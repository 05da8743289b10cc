//! What it takes to take back everything since rows were last settled.
//!
//! A row's head and columns are copied when they are first changed, into vectors that are used again; a
//! ring's entries when they are overwritten. Customers who came and went are noted in order.

use super::row_header::RowHeader;

/// A log's vectors are not made smaller than this many entries.
const FLOOR: usize = 1024;
/// A vector that is so many times larger than what was used gives back.
const SLACK: usize = 8;

/// The log of a transaction.
#[derive(Clone, Debug, Default)]
pub(super) struct UndoLog {
    pub(super) heads: Vec<(u32, RowHeader)>,
    pub(super) columns_of: Vec<u32>,
    pub(super) columns: Vec<f64>,
    pub(super) overwritten: Vec<(u32, u64)>,
    pub(super) released: Vec<(u32, u32)>,
    pub(super) moves: Vec<ScheduleChange>,
}

/// A customer who came or went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ScheduleChange {
    /// Into a row, that was free or is one more.
    Came { row: u32, was_free: bool },
    /// Out of a row.
    Went { row: u32 },
}

impl UndoLog {
    pub(super) fn is_empty(&self) -> bool {
        self.heads.is_empty() && self.moves.is_empty()
    }

    /// Forgets everything; what grew huge gives its memory back.
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

/// Empties a vector that is filled anew in every transaction.
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
