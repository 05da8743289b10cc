//! Which rows local state does not have as they are.

use std::collections::VecDeque;

use super::id_arena::IdSlot;
use super::row_header::DIRTY;
use super::{Row, Rows};

/// What local state is to be told of a customer.
#[derive(Clone, Copy, Debug)]
pub enum DirtyRow<'a> {
    /// The row, as of the last settled transaction.
    Row(Row<'a>),
    /// The customer of this id is gone.
    Gone(&'a str),
}

/// What waits to be handed to local state, in the order in which it came up.
#[derive(Clone, Debug, Default)]
pub(super) struct DirtyRows {
    /// Each once, as their flags say.
    pub(super) rows: VecDeque<u32>,
    /// Ids of customers who are gone.
    pub(super) gone: VecDeque<IdSlot>,
}

impl DirtyRows {
    pub(super) fn bytes(&self) -> usize {
        self.rows.capacity() * size_of::<u32>() + self.gone.capacity() * size_of::<IdSlot>()
    }
}

impl Rows {
    /// Customers whom local state does not have as they are, at most.
    pub(crate) fn dirty_len(&self) -> usize {
        self.waiting.gone.len() + self.waiting.rows.len()
    }

    /// Hands out up to `limit` of them: first who is gone, then rows, the longest waiting first.
    pub(crate) fn take_dirty(&mut self, limit: usize, each: &mut dyn FnMut(DirtyRow<'_>)) {
        debug_assert!(self.undo.is_empty(), "handed out amid a transaction");
        let gone = limit.min(self.waiting.gone.len());
        for _ in 0..gone {
            self.take_gone(each);
        }
        for _ in 0..(limit - gone).min(self.waiting.rows.len()) {
            self.take_row(each);
        }
        shrink(&mut self.waiting.gone);
        shrink(&mut self.waiting.rows);
    }

    /// One who is back since is told as a row.
    fn take_gone(&mut self, each: &mut dyn FnMut(DirtyRow<'_>)) {
        let Some(name) = self.waiting.gone.pop_front() else {
            return;
        };
        let customer_id = self.names.text(name);
        if self.find(customer_id).is_none() {
            each(DirtyRow::Gone(customer_id));
        }
        self.names.remove(name);
    }

    fn take_row(&mut self, each: &mut dyn FnMut(DirtyRow<'_>)) {
        let Some(row) = self.waiting.rows.pop_front() else {
            return;
        };
        let head = self.heads.get_mut(row);
        head.flags &= !DIRTY;
        if head.is_live() {
            each(DirtyRow::Row(self.row(row)));
        }
    }

    pub(crate) fn mark_dirty(&mut self, row: u32) {
        let head = self.heads.get_mut(row);
        if !head.has(DIRTY) {
            head.flags |= DIRTY;
            self.waiting.rows.push_back(row);
        }
    }

    /// Local state begins empty: it has nobody, and so need not be told who is gone.
    pub(crate) fn mark_all_dirty(&mut self) {
        debug_assert!(self.undo.is_empty(), "handed out amid a transaction");
        for name in std::mem::take(&mut self.waiting.gone) {
            self.names.remove(name);
        }
        for row in 0..self.end() {
            if self.is_live(row) {
                self.mark_dirty(row);
            }
        }
    }
}

/// After a whole copy was handed out, its list is not kept.
fn shrink<T>(waiting: &mut VecDeque<T>) {
    if waiting.capacity() > 1024 && waiting.capacity() > 8 * waiting.len() {
        waiting.shrink_to(2 * waiting.len());
    }
}
