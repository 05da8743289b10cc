//! The customers of one task, struct of arrays: an index id -> row, then flat columns.

use hashbrown::HashTable;

use crate::aggregate::{self, NEVER_MS};
use crate::decide::Standing;
use crate::event::hash;
use crate::plan::Plan;
use crate::remembered::Remembered;

/// Rows of one task. A row's number is its place and stays.
#[derive(Clone, Debug)]
pub struct Rows {
    index: HashTable<u32>,
    hashes: Vec<u64>,
    ids: String,
    id_ends: Vec<usize>,
    stride: usize,
    columns: Vec<f64>,
    reference_ms: Vec<i64>,
    standings: Vec<Standing>,
    remembered: Vec<Remembered>,
    is_touched: Vec<bool>,
    touched: Vec<u32>,
    empty: Vec<f64>,
}

/// One customer's state, as it goes into the changelog.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    /// Whose.
    pub customer_id: &'a str,
    /// Latest event time.
    pub reference_ms: i64,
    /// The plan's columns.
    pub columns: &'a [f64],
    /// Segment, sequence, dwell.
    pub standing: &'a Standing,
    /// Event ids and orders.
    pub remembered: &'a Remembered,
}

impl Rows {
    /// Nobody yet.
    #[must_use]
    pub fn new(plan: &Plan) -> Self {
        Self {
            index: HashTable::new(),
            hashes: Vec::new(),
            ids: String::new(),
            id_ends: Vec::new(),
            stride: plan.stride(),
            columns: Vec::new(),
            reference_ms: Vec::new(),
            standings: Vec::new(),
            remembered: Vec::new(),
            is_touched: Vec::new(),
            touched: Vec::new(),
            empty: aggregate::empty(plan),
        }
    }

    /// Number of customers.
    #[must_use]
    pub fn len(&self) -> usize {
        self.hashes.len()
    }

    /// Nobody?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.hashes.is_empty()
    }

    /// The row of a customer, if there is one.
    #[must_use]
    pub fn find(&self, customer_id: &str) -> Option<u32> {
        self.look_up(hash(customer_id.as_bytes()), customer_id)
    }

    fn look_up(&self, hash: u64, customer_id: &str) -> Option<u32> {
        let matches =
            |row: &u32| self.hashes[*row as usize] == hash && self.customer_id(*row) == customer_id;
        self.index.find(hash, matches).copied()
    }

    /// The row of a customer, made if need be; `true` if it is new.
    pub fn find_or_add(&mut self, customer_id: &str) -> (u32, bool) {
        let hash = hash(customer_id.as_bytes());
        if let Some(row) = self.look_up(hash, customer_id) {
            return (row, false);
        }
        let row = self.hashes.len() as u32;
        self.hashes.push(hash);
        self.ids.push_str(customer_id);
        self.id_ends.push(self.ids.len());
        self.columns.extend_from_slice(&self.empty);
        self.reference_ms.push(NEVER_MS);
        self.standings.push(Standing::NEW);
        self.remembered.push(Remembered::default());
        self.is_touched.push(false);
        let hashes = &self.hashes;
        self.index
            .insert_unique(hash, row, |other| hashes[*other as usize]);
        (row, true)
    }

    /// Whose row it is.
    #[must_use]
    pub fn customer_id(&self, row: u32) -> &str {
        let row = row as usize;
        let start = if row == 0 { 0 } else { self.id_ends[row - 1] };
        &self.ids[start..self.id_ends[row]]
    }

    /// [`hash`] of the customer's id.
    #[must_use]
    pub fn customer_hash(&self, row: u32) -> u64 {
        self.hashes[row as usize]
    }

    /// The whole row.
    #[must_use]
    pub fn row(&self, row: u32) -> Row<'_> {
        let at = row as usize;
        Row {
            customer_id: self.customer_id(row),
            reference_ms: self.reference_ms[at],
            columns: &self.columns[at * self.stride..(at + 1) * self.stride],
            standing: &self.standings[at],
            remembered: &self.remembered[at],
        }
    }

    /// A row's sums and reference time, to be changed.
    pub fn sums_mut(&mut self, row: u32) -> (&mut [f64], &mut i64, &mut Remembered) {
        let at = row as usize;
        (
            &mut self.columns[at * self.stride..(at + 1) * self.stride],
            &mut self.reference_ms[at],
            &mut self.remembered[at],
        )
    }

    /// Where the customer stands, to be changed.
    pub fn standing_mut(&mut self, row: u32) -> &mut Standing {
        &mut self.standings[row as usize]
    }

    /// Notes that the row is to be written to the changelog.
    pub fn touch(&mut self, row: u32) {
        if !self.is_touched[row as usize] {
            self.is_touched[row as usize] = true;
            self.touched.push(row);
        }
    }

    /// Rows touched since [`Rows::settle`], in the order of their first touch.
    #[must_use]
    pub fn touched(&self) -> &[u32] {
        &self.touched
    }

    /// The touched rows are written.
    pub fn settle(&mut self) {
        for row in self.touched.drain(..) {
            self.is_touched[row as usize] = false;
        }
    }

    /// Puts a row as the changelog has it; a later one of the same customer replaces it.
    ///
    /// # Panics
    /// Where the number of columns is not the plan's: the caller has compared fingerprints.
    pub fn restore(&mut self, row: &Row<'_>) -> u32 {
        assert_eq!(row.columns.len(), self.stride, "a row of another plan");
        let (number, _) = self.find_or_add(row.customer_id);
        let at = number as usize;
        self.columns[at * self.stride..(at + 1) * self.stride].copy_from_slice(row.columns);
        self.reference_ms[at] = row.reference_ms;
        self.standings[at] = *row.standing;
        self.remembered[at] = row.remembered.clone();
        number
    }
}
