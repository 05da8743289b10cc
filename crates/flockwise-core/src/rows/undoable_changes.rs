//! Changes of rows that can be rolled back: each one first makes sure that the undo log has what it changes.

use super::row_header::OPEN;
use super::*;
use crate::dedup::IdMemory;

impl Rows {
    /// Adds a row for a customer who has none; `hash` is the [`hash`] of the id.
    pub(crate) fn add(&mut self, hash: u64, customer_id: &str) -> u32 {
        let was_free = !self.free.is_empty();
        let row = self.put(hash, customer_id, ADDED);
        self.undo.moves.push(ScheduleChange::Came { row, was_free });
        row
    }

    /// A row's sums and reference time, mutable.
    pub(crate) fn sums_mut(&mut self, row: u32) -> (&mut [f64], &mut i64) {
        self.log(row);
        self.log_columns(row);
        let columns = self.columns.row_mut(row as usize);
        (columns, &mut self.heads.get_mut(row).reference_ms)
    }

    /// Sets the customer's standing.
    pub(crate) fn set_standing(&mut self, row: u32, standing: &Standing) {
        self.log(row);
        self.heads.get_mut(row).set_standing(standing);
    }

    /// Marks the row as one to be written to the changelog.
    pub(crate) fn touch(&mut self, row: u32) {
        self.log(row);
        let head = self.heads.get_mut(row);
        if !head.has(TOUCHED) {
            head.flags |= TOUCHED;
            self.touched.push(row);
        }
    }

    /// Whether this event id was seen before. If not, it is remembered, in place of the oldest once there are enough.
    /// `time_ms` must not go back.
    pub(crate) fn is_repeated(
        &mut self,
        row: u32,
        id: u64,
        memory: IdMemory,
        time_ms: i64,
    ) -> bool {
        let ids = self.heads.get(row).ids.halves(&self.blocks, ID);
        let repeated = ids[0].contains(&id) || ids[1].contains(&id);
        if !repeated {
            self.log(row);
            let head = self.heads.get_mut(row);
            let bound = head.recent.count(memory, time_ms);
            let is_new = head.has(IDS_NEW);
            let room = &mut room(&mut self.blocks, &mut self.undo, bound, is_new);
            if head.ids.push(&[id], room) {
                head.flags |= IDS_NEW;
            }
        }
        repeated
    }

    /// Remembers an order, in place of the oldest once there are `bound`. It has added nothing yet.
    pub(crate) fn remember_order(&mut self, row: u32, key: u64, time_ms: i64, bound: usize) {
        self.log(row);
        self.order.clear();
        self.order.extend([key, time_ms.cast_unsigned()]);
        self.order.resize(self.order_words(), 0);
        let head = self.heads.get_mut(row);
        let is_new = head.has(ORDERS_NEW);
        let room = &mut room(&mut self.blocks, &mut self.undo, bound, is_new);
        if head.orders.push(&self.order, room) {
            head.flags |= ORDERS_NEW;
        }
    }

    /// Changes the time and the sums of a remembered order, given by its index, oldest first.
    pub(crate) fn change_order(&mut self, row: u32, index: usize, time_ms: i64, sums: &[f64]) {
        self.log(row);
        let words = self.order_words();
        let head = self.heads.get_mut(row);
        let is_new = head.has(ORDERS_NEW);
        let room = &mut room(&mut self.blocks, &mut self.undo, usize::MAX, is_new);
        let sums = sums.iter().map(|sum| sum.to_bits());
        let new = [time_ms.cast_unsigned()].into_iter().chain(sums);
        head.orders.overwrite(index, words, 1, new, room);
    }

    /// Removes a customer who has expired: the row can no longer be found, and becomes free on commit.
    pub(crate) fn expire(&mut self, row: u32) {
        self.log(row);
        self.heads.get_mut(row).flags |= GONE;
        self.unlist(row);
        self.gone += 1;
        self.undo.moves.push(ScheduleChange::Went { row });
    }

    /// Ids of the customers who have expired since [`Rows::commit`].
    pub(crate) fn expired(&self) -> impl Iterator<Item = &str> {
        self.undo.moves.iter().filter_map(|step| match step {
            ScheduleChange::Went { row } => Some(self.customer_id(*row)),
            ScheduleChange::Came { .. } => None,
        })
    }

    pub(crate) fn has_expired(&self) -> bool {
        self.gone > 0
    }

    /// Logs a row's header as it was before the transaction.
    fn log(&mut self, row: u32) {
        let head = self.heads.get_mut(row);
        if !head.has(LOGGED) {
            self.undo.heads.push((row, *head));
            head.flags |= LOGGED;
        }
    }

    fn log_columns(&mut self, row: u32) {
        let head = self.heads.get_mut(row);
        if !head.has(COLUMNS_LOGGED) {
            head.flags |= COLUMNS_LOGGED;
            self.undo.columns_of.push(row);
            let columns = self.columns.row(row as usize);
            self.undo.columns.extend_from_slice(columns);
        }
    }

    /// Makes all changes permanent; the touched rows have been written. Calls `freed` with each row that has
    /// become free, and the hash of its former customer's id.
    pub(crate) fn commit(&mut self, mut freed: impl FnMut(u32, u64)) {
        let touched = std::mem::take(&mut self.touched);
        for row in &touched {
            if self.is_live(*row) {
                self.mark_dirty(*row);
            }
        }
        self.touched = touched;
        undo_log::empty(&mut self.touched);
        let mut log = std::mem::take(&mut self.undo);
        for (row, _) in &log.heads {
            self.heads.get_mut(*row).flags &= !OPEN;
        }
        for step in &log.moves {
            match *step {
                ScheduleChange::Came { row, .. } => self.heads.get_mut(row).flags &= !OPEN,
                ScheduleChange::Went { row } => {
                    self.gone -= 1;
                    freed(row, self.customer_hash(row));
                    self.discard(row);
                }
            }
        }
        for (block, words) in &log.released {
            self.blocks.give_back(*block, *words as usize);
        }
        log.clear();
        self.undo = log;
    }

    /// Rolls back everything since [`Rows::commit`]. Calls `left` with each row that was added, the last one
    /// first, and the hash of its customer's id.
    pub(crate) fn roll_back(&mut self, mut left: impl FnMut(u32, u64)) {
        undo_log::empty(&mut self.touched);
        let mut log = std::mem::take(&mut self.undo);
        for step in log.moves.iter().rev() {
            match *step {
                ScheduleChange::Came { row, was_free } => {
                    left(row, self.customer_hash(row));
                    self.take_out(row, was_free);
                }
                ScheduleChange::Went { row } => {
                    self.gone -= 1;
                    self.list(row, self.customer_hash(row));
                }
            }
        }
        let words = self.order_words();
        for (row, before) in &log.heads {
            let head = self.heads.get_mut(*row);
            if head.has(IDS_NEW) {
                head.ids.give_back(&mut self.blocks, ID);
            }
            if head.has(ORDERS_NEW) {
                head.orders.give_back(&mut self.blocks, words);
            }
            *head = *before;
        }
        let columns = log.columns.chunks_exact(self.empty.len().max(1));
        for (row, before) in log.columns_of.iter().zip(columns) {
            self.columns.row_mut(*row as usize).copy_from_slice(before);
        }
        for (at, before) in log.overwritten.iter().rev() {
            self.blocks.words_mut(*at, 1)[0] = *before;
        }
        log.clear();
        self.undo = log;
    }

    /// Removes a customer for whom the changelog has a tombstone. Nothing of it is logged. Returns the row, which
    /// is free now, and the hash of the customer's id.
    pub(crate) fn remove(&mut self, customer_id: &str) -> Option<(u32, u64)> {
        debug_assert!(self.undo.is_empty(), "removed during a transaction");
        let row = self.find(customer_id)?;
        let hash = self.customer_hash(row);
        self.unlist(row);
        self.discard(row);
        Some((row, hash))
    }

    /// Frees a row that is no longer in the index.
    fn discard(&mut self, row: u32) {
        let words = self.order_words();
        let head = *self.heads.get(row);
        head.ids.give_back(&mut self.blocks, ID);
        head.orders.give_back(&mut self.blocks, words);
        self.waiting.gone.push_back(head.name());
        *self.heads.get_mut(row) = RowHeader::free(head.flags & DIRTY);
        self.free.push(row);
    }

    /// Undoes [`Rows::add`] for the last added row that is left.
    fn take_out(&mut self, row: u32, was_free: bool) {
        let words = self.order_words();
        self.unlist(row);
        let head = *self.heads.get(row);
        head.ids.give_back(&mut self.blocks, ID);
        head.orders.give_back(&mut self.blocks, words);
        self.names.remove(head.name());
        if was_free {
            *self.heads.get_mut(row) = RowHeader::free(head.flags & DIRTY);
            self.free.push(row);
        } else {
            self.heads.pop();
            self.columns.pop();
        }
    }
}

fn room<'a>(
    blocks: &'a mut BuddyAllocator,
    undo: &'a mut UndoLog,
    bound: usize,
    is_new: bool,
) -> Room<'a> {
    Room {
        blocks,
        bound,
        is_new,
        overwritten: &mut undo.overwritten,
        released: &mut undo.released,
    }
}
