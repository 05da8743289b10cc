//! The customers of one task: an index from id to row, a fixed header per row, flat columns, and arenas for data
//! of variable length.
//!
//! All changes of rows can be rolled back until the task commits them: see `undo_log`.

mod buddy_allocator;
mod checkpoint_rows;
mod chunked_vec;
mod dedup_ring;
mod dirty_rows;
mod id_arena;
mod prefetch;
mod row;
mod row_header;
mod undo_log;
mod undoable_changes;

use hashbrown::HashTable;

use crate::aggregate;
use crate::decide::Standing;
use crate::dedup::{DedupMemoryRef, ORDER_HEAD, OrderSums};
use crate::event::hash;
use crate::plan::Plan;

use buddy_allocator::BuddyAllocator;
use chunked_vec::ChunkedVec;
use dedup_ring::{ID, Ring, Room};
pub use dirty_rows::DirtyRow;
use dirty_rows::DirtyRows;
use id_arena::IdArena;
pub use row::Row;
use row_header::{
    ADDED, COLUMNS_LOGGED, DIRTY, GONE, IDS_NEW, LOGGED, ORDERS_NEW, RowHeader, TOUCHED,
};
use undo_log::{ScheduleChange, UndoLog};

/// Number of rows that are loaded into the cache together.
const TOGETHER: usize = 32;

/// Rows of one task. A row keeps its number as long as its customer exists; then another customer may get it.
#[derive(Clone, Debug)]
pub struct Rows {
    index: HashTable<u32>,
    heads: ChunkedVec<RowHeader>,
    columns: ChunkedVec<f64>,
    names: IdArena,
    blocks: BuddyAllocator,
    free: Vec<u32>,
    gone: usize,
    touched: Vec<u32>,
    undo: UndoLog,
    waiting: DirtyRows,
    empty: Vec<f64>,
    order_sums: OrderSums,
    /// The order that is being remembered.
    order: Vec<u64>,
}

impl Rows {
    /// Rows without customers.
    #[must_use]
    pub fn new(plan: &Plan) -> Self {
        Self {
            index: HashTable::new(),
            heads: ChunkedVec::new(1),
            columns: ChunkedVec::new(plan.stride()),
            names: IdArena::default(),
            blocks: BuddyAllocator::default(),
            free: Vec::new(),
            gone: 0,
            touched: Vec::new(),
            undo: UndoLog::default(),
            waiting: DirtyRows::default(),
            empty: aggregate::empty(plan),
            order_sums: plan.order_sums(),
            order: Vec::new(),
        }
    }

    /// Number of customers.
    #[must_use]
    pub fn len(&self) -> usize {
        self.heads.len() - self.free.len() - self.gone
    }

    /// Whether there are no customers.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Upper bound of the row numbers, exclusive.
    #[must_use]
    pub fn end(&self) -> u32 {
        self.heads.len() as u32
    }

    /// Whether the row belongs to a customer.
    #[must_use]
    pub fn is_live(&self, row: u32) -> bool {
        self.heads.get(row).is_live()
    }

    /// The numbers of all customers' rows, ascending.
    pub fn numbers(&self) -> impl Iterator<Item = u32> {
        (0..self.end()).filter(|row| self.is_live(*row))
    }

    /// Memory used, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.index.allocation_size()
            + self.heads.bytes()
            + self.columns.bytes()
            + self.names.bytes()
            + self.blocks.bytes()
            + undo_log::bytes(&self.free)
            + undo_log::bytes(&self.touched)
            + self.undo.bytes()
            + self.waiting.bytes()
            + undo_log::bytes(&self.empty)
    }

    /// The row of a customer; `None` if there is none.
    #[must_use]
    pub fn find(&self, customer_id: &str) -> Option<u32> {
        self.look_up(hash(customer_id.as_bytes()), customer_id)
    }

    /// Like [`Rows::find`], with the [`hash`] of the id already computed.
    pub(crate) fn look_up(&self, hash: u64, customer_id: &str) -> Option<u32> {
        let matches = |row: &u32| {
            let head = self.heads.get(*row);
            head.hash == hash && self.names.get(head.name()) == customer_id.as_bytes()
        };
        self.index.find(hash, matches).copied()
    }

    /// The customer's id. The row of an expired customer keeps it until the commit.
    #[must_use]
    pub fn customer_id(&self, row: u32) -> &str {
        self.names.text(self.heads.get(row).name())
    }

    /// [`hash`] of the customer's id.
    #[must_use]
    pub fn customer_hash(&self, row: u32) -> u64 {
        self.heads.get(row).hash
    }

    /// The whole row.
    #[must_use]
    pub fn row(&self, row: u32) -> Row<'_> {
        let head = self.heads.get(row);
        Row {
            customer_id: self.names.text(head.name()),
            reference_ms: head.reference_ms,
            columns: self.columns.row(row as usize),
            standing: head.standing(),
            dedup: self.dedup(row),
        }
    }

    /// A row's sums and its reference time.
    pub(crate) fn sums(&self, row: u32) -> (&[f64], i64) {
        let reference_ms = self.heads.get(row).reference_ms;
        (self.columns.row(row as usize), reference_ms)
    }

    /// Reference time of a row.
    pub(crate) fn reference_ms(&self, row: u32) -> i64 {
        self.heads.get(row).reference_ms
    }

    /// The customer's segment and decision state.
    #[must_use]
    pub fn standing(&self, row: u32) -> Standing {
        self.heads.get(row).standing()
    }

    /// The dedup memory of a row.
    #[inline]
    pub(crate) fn dedup(&self, row: u32) -> DedupMemoryRef<'_> {
        let head = self.heads.get(row);
        DedupMemoryRef {
            ids: head.ids.halves(&self.blocks, ID),
            orders: head.orders.halves(&self.blocks, self.order_words()),
            sums: self.order_sums,
            recent: head.recent,
        }
    }

    /// Whether a row was touched since the last commit whose customer still exists.
    #[must_use]
    pub fn has_touched(&self) -> bool {
        self.touched.iter().any(|row| self.is_live(*row))
    }

    /// Rows touched since the last commit, in the order of their first touch, without those of customers who have
    /// expired since. Rows are loaded into the cache some at a time, because the caller reads each at once.
    pub fn touched(&self) -> impl Iterator<Item = &u32> {
        let together = self.touched.chunks(TOGETHER);
        together.flat_map(|rows| {
            self.load_lines(rows);
            rows.iter().filter(|row| self.is_live(**row))
        })
    }

    /// Restores a row from the changelog. It replaces an earlier row of the same customer. Returns the number of
    /// the row, and whether the customer is new.
    ///
    /// # Panics
    /// If the number of columns is not that of the plan. Callers have compared fingerprints.
    pub(crate) fn restore(&mut self, row: &Row<'_>) -> (u32, bool) {
        debug_assert!(self.undo.is_empty(), "restored during a transaction");
        assert_eq!(
            row.columns.len(),
            self.empty.len(),
            "the row belongs to another plan"
        );
        let hash = hash(row.customer_id.as_bytes());
        let known = self.look_up(hash, row.customer_id);
        let number = known.unwrap_or_else(|| self.put(hash, row.customer_id, 0));
        self.columns
            .row_mut(number as usize)
            .copy_from_slice(row.columns);
        let words = self.order_words();
        let head = self.heads.get_mut(number);
        head.reference_ms = row.reference_ms;
        head.recent = row.dedup.recent;
        head.set_standing(&row.standing);
        head.ids.give_back(&mut self.blocks, ID);
        head.orders.give_back(&mut self.blocks, words);
        head.ids = Ring::fill(row.dedup.ids, ID, &mut self.blocks);
        head.orders = match row.dedup.sums == self.order_sums {
            true => Ring::fill(row.dedup.orders, words, &mut self.blocks),
            false => {
                let orders = without_sums(row.dedup, self.order_sums.len);
                Ring::fill([&orders, &[]], words, &mut self.blocks)
            }
        };
        (number, known.is_none())
    }

    /// Sets a customer's standing during a restore. It is not logged, and the row is not touched.
    pub(crate) fn restore_standing(&mut self, row: u32, standing: &Standing) {
        self.heads.get_mut(row).set_standing(standing);
    }

    /// Words per remembered order.
    fn order_words(&self) -> usize {
        ORDER_HEAD + self.order_sums.len
    }

    /// Makes a row for a customer who has none.
    fn put(&mut self, hash: u64, customer_id: &str, flags: u8) -> u32 {
        let name = self.names.add(customer_id);
        let row = if let Some(row) = self.free.pop() {
            let kept = self.heads.get(row).flags & DIRTY;
            *self.heads.get_mut(row) = RowHeader::new(hash, name, flags | kept);
            self.columns
                .row_mut(row as usize)
                .copy_from_slice(&self.empty);
            row
        } else {
            self.heads.push(&[RowHeader::new(hash, name, flags)]);
            self.columns.push(&self.empty);
            (self.heads.len() - 1) as u32
        };
        self.list(row, hash);
        row
    }

    fn list(&mut self, row: u32, hash: u64) {
        let heads = &self.heads;
        self.index
            .insert_unique(hash, row, |other| heads.get(*other).hash);
    }

    fn unlist(&mut self, row: u32) {
        let hash = self.heads.get(row).hash;
        if let Ok(entry) = self.index.find_entry(hash, |other| *other == row) {
            entry.remove();
        }
    }
}

/// Orders whose sums have another meaning: what they added is not known any more.
fn without_sums(dedup: DedupMemoryRef<'_>, sums: usize) -> Vec<u64> {
    let unknown = std::iter::repeat_n(f64::NAN.to_bits(), sums);
    let orders = dedup.orders().flat_map(|order| {
        let head = [order.key, order.time_ms.cast_unsigned()];
        head.into_iter().chain(unknown.clone())
    });
    orders.collect()
}
