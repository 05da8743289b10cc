//! One decoded event. It is reused from event to event.

use std::ops::Range;

use xxhash_rust::xxh3::xxh3_64;

use crate::numeric_text::numeric_text;

/// A JSON value at one of the plan's pointers.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Slot {
    /// No value, or `null`.
    #[default]
    Absent,
    /// `true` or `false`
    Bool(bool),
    /// A finite number.
    Number(f64),
    /// Text, as a range for [`Event::text`].
    Text(Range<u32>),
    /// An object or an array.
    Composite,
}

/// An event, filled by a decoder.
#[derive(Clone, Debug, Default)]
pub struct Event {
    text: String,
    customer_id: Range<u32>,
    customer_hash: u64,
    /// Index of the event's name in [`crate::plan::Plan::names`]; `None` if no feature uses the name.
    pub name: Option<u16>,
    /// [`hash`] of the event's name.
    pub name_hash: u64,
    /// The amount of money that a reversal states, by the format; absent if it states none.
    pub amount: Slot,
    /// The amount is what was taken back of the order so far, this event included.
    pub is_so_far: bool,
    /// Event time, milliseconds since the epoch.
    pub time_ms: i64,
    /// [`hash`] of its event id, if it has one.
    pub id: Option<u64>,
    /// [`hash`] of the id of its order, if it has one.
    pub order: Option<u64>,
    single: Vec<Slot>,
    many: Vec<(u16, Slot)>,
}

/// The hash of ids for dedup and sampling: XXH3, 64 bits. It is part of the changelog's format.
#[must_use]
pub fn hash(bytes: &[u8]) -> u64 {
    xxh3_64(bytes)
}

/// Scrambles a number so that each bit of the result depends on all bits (the finaliser of SplitMix64, Steele, Lea
/// and Flood 2014).
#[must_use]
pub fn mix(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

impl Event {
    /// Clears the previous event and makes room for `pointers` slots.
    pub fn clear(&mut self, pointers: usize) {
        self.text.clear();
        self.customer_id = 0..0;
        self.name = None;
        self.id = None;
        self.order = None;
        self.amount = Slot::Absent;
        self.is_so_far = false;
        self.many.clear();
        self.single.clear();
        self.single.resize(pointers, Slot::Absent);
    }

    /// Stores a text and returns its range.
    #[inline]
    pub fn keep(&mut self, text: &str) -> Range<u32> {
        let start = self.text.len() as u32;
        self.text.push_str(text);
        start..self.text.len() as u32
    }

    /// Length of all texts that are stored.
    #[must_use]
    pub fn text_bytes(&self) -> usize {
        self.text.len()
    }

    /// The text at a range that [`Event::keep`] returned.
    #[inline]
    #[must_use]
    pub fn text(&self, range: &Range<u32>) -> &str {
        &self.text[range.start as usize..range.end as usize]
    }

    /// Sets the customer's id, given as a range from [`Event::keep`].
    #[inline]
    pub fn set_customer_id(&mut self, id: Range<u32>) {
        self.customer_hash = hash(self.text(&id).as_bytes());
        self.customer_id = id;
    }

    /// [`hash`] of the customer's id.
    #[must_use]
    pub fn customer_hash(&self) -> u64 {
        self.customer_hash
    }

    /// The customer's id.
    #[must_use]
    pub fn customer_id(&self) -> &str {
        self.text(&self.customer_id)
    }

    /// Sets the value at a pointer without `*`.
    #[inline]
    pub fn put(&mut self, pointer: usize, slot: Slot) {
        self.single[pointer] = slot;
    }

    /// Adds a value at a pointer with `*`.
    #[inline]
    pub fn add(&mut self, pointer: usize, slot: Slot) {
        self.many.push((pointer as u16, slot));
    }

    /// All values that are present, with the indices of their pointers: first those of pointers without `*`, then
    /// the others in document order.
    pub fn slots(&self) -> impl Iterator<Item = (usize, &Slot)> {
        let many = self.many.iter();
        self.single
            .iter()
            .enumerate()
            .chain(many.map(|(pointer, slot)| (usize::from(*pointer), slot)))
            .filter(|(_, slot)| **slot != Slot::Absent)
    }

    /// The values at a pointer, in document order. A pointer without `*` has exactly one, which may be absent.
    pub fn values(&self, pointer: Values) -> impl Iterator<Item = &Slot> {
        let single = (!pointer.many).then(|| &self.single[pointer.index]);
        let many = if pointer.many {
            self.many.as_slice()
        } else {
            &[]
        };
        single.into_iter().chain(
            many.iter()
                .filter(move |(index, _)| usize::from(*index) == pointer.index)
                .map(|(_, slot)| slot),
        )
    }

    /// The number that a value is, also if it is written as text.
    #[inline]
    #[must_use]
    pub fn number(&self, slot: &Slot) -> Option<f64> {
        match slot {
            Slot::Number(number) => Some(*number),
            Slot::Text(range) => numeric_text(self.text(range)),
            Slot::Absent | Slot::Bool(_) | Slot::Composite => None,
        }
    }

    /// The numbers at a pointer, in document order.
    pub fn numbers(&self, pointer: Values) -> impl Iterator<Item = f64> {
        self.values(pointer).filter_map(|slot| self.number(slot))
    }
}

/// One of the plan's pointers: its index, and whether it can have many values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Values {
    /// Index in [`crate::plan::Plan::pointers`].
    pub index: usize,
    /// Whether the pointer contains a `*`.
    pub many: bool,
}
