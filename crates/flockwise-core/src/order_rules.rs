//! What a second event about an order means, and how reversals state their amounts.

use crate::pointer::Pointer;

/// What a second event with the same name and order id means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// It is a repetition of the first, and does not count.
    First,
    /// It replaces what earlier events about the order added, unless it is older.
    Last,
    /// It counts like the first.
    Each,
}

impl Repeat {
    /// All meanings in their order, with their names in the configuration.
    pub const ALL: [(&'static str, Self); 3] = [
        ("first", Self::First),
        ("last", Self::Last),
        ("each", Self::Each),
    ];

    /// The name in the configuration.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::ALL[self as usize].0
    }
}

/// Rules for the orders of all inputs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OrderRules {
    /// What a second event about the same order means, by event name.
    pub repeats: Vec<(String, Repeat)>,
    /// Where a reversal states its amount. A feature with one of these as its value uses that first, then
    /// [`crate::event::Event::amount`].
    pub amounts: Vec<Pointer>,
    /// Where an order states its amount. A feature with one of these as its value uses only
    /// [`crate::event::Event::amount`] of a reversal, unless it is among `amounts` too.
    pub of: Vec<Pointer>,
}
