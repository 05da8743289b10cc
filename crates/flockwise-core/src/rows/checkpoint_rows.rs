//! What the rows tell the checkpoint: which of them it must update.

use std::collections::VecDeque;

use super::Rows;
use super::dirty_rows::DirtyRow;
use super::row_header::DIRTY;

impl Rows {
    /// Upper bound of the number of customers whose state differs from the checkpoint.
    pub(crate) fn dirty_len(&self) -> usize {
        self.waiting.gone.len() + self.waiting.rows.len()
    }

    /// Passes up to `limit` of them to `each`: first customers who are gone, then rows, the longest waiting first.
    pub(crate) fn take_dirty(&mut self, limit: usize, each: &mut dyn FnMut(DirtyRow<'_>)) {
        debug_assert!(self.undo.is_empty(), "taken during a transaction");
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

    /// A customer who has returned since is passed as a row instead.
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

    /// Marks all rows dirty, for a checkpoint that starts empty. It has no customers that could be gone.
    pub(crate) fn mark_all_dirty(&mut self) {
        debug_assert!(self.undo.is_empty(), "marked during a transaction");
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

/// Releases the memory of a list that held all rows.
fn shrink<T>(waiting: &mut VecDeque<T>) {
    if waiting.capacity() > 1024 && waiting.capacity() > 8 * waiting.len() {
        waiting.shrink_to(2 * waiting.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_gives_memory_back_once_it_is_mostly_empty() {
        let room = |capacity: usize, waiting: usize| {
            let mut list = VecDeque::with_capacity(capacity);
            list.resize(waiting, 0_u8);
            shrink(&mut list);
            assert_eq!(list.len(), waiting);
            list.capacity()
        };
        assert_eq!(room(1024, 0), 1024);
        assert_eq!(room(1025, 0), 0);
        assert_eq!(room(4096, 512), 4096);
        assert_eq!(room(4096, 511), 2 * 511);
    }
}
