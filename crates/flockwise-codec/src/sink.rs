//! What a document's values become: slots of the event, and the fields that say whose it is.

use std::ops::Range;

use flockwise_core::event::{Event, Slot, Values};

use crate::projection::{Field, LARGEST_NUMBER, Target};
use crate::scan::{Invalid, Number, unescape};

/// A value met at a node of the tree.
#[derive(Clone, Debug)]
pub(crate) enum JsonValue {
    Null,
    Bool(bool),
    Number(Number),
    /// Where the event keeps it.
    Text(Range<u32>),
    Composite,
}

/// What the pass fills.
pub(crate) struct Sink<'e> {
    pub(crate) event: &'e mut Event,
    pub(crate) fields: [Option<Identity>; Field::COUNT],
    /// The pointer at which a value of the plan was a number out of range.
    pub(crate) out_of_range: Option<usize>,
}

/// A field's value and the rank of the pointer that found it.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    rank: u8,
    pub(crate) value: IdentityValue,
}

/// The kinds of value that fields take.
#[derive(Clone, Debug)]
pub(crate) enum IdentityValue {
    Text(Range<u32>),
    Number(Number),
    /// Something that no field can be, by its name.
    Other(&'static str),
}

impl<'e> Sink<'e> {
    /// Nothing found yet.
    pub(crate) fn new(event: &'e mut Event) -> Self {
        Self {
            event,
            fields: [const { None }; Field::COUNT],
            out_of_range: None,
        }
    }

    /// Keeps a text as it is meant, of one with escapes, once for all its targets.
    #[cold]
    pub(crate) fn keep(&mut self, raw: &[u8]) -> Result<Range<u32>, Invalid> {
        let text = str::from_utf8(raw).map_err(|_| Invalid)?;
        let mut kept = self.event.keep("");
        // What is kept one after the other lies together.
        unescape(text, |piece| kept.end = self.event.keep(piece).end)?;
        Ok(kept)
    }

    /// Puts a value where it belongs.
    #[inline(always)]
    pub(crate) fn take(&mut self, targets: &[Target], found: &JsonValue) {
        for target in targets {
            match *target {
                Target::Slot(values) => self.put(values, found),
                Target::Field { field, rank } => self.identify(field, rank, found),
            }
        }
    }

    #[inline(always)]
    fn put(&mut self, values: Values, found: &JsonValue) {
        let slot = match found {
            JsonValue::Null => return,
            JsonValue::Bool(value) => Slot::Bool(*value),
            JsonValue::Number(number) => Slot::Number(number.nearest()),
            JsonValue::Text(range) => Slot::Text(range.clone()),
            JsonValue::Composite => Slot::Composite,
        };
        if matches!(slot, Slot::Number(number) if number.abs() > LARGEST_NUMBER) {
            self.out_of_range = Some(values.index);
        }
        if values.many {
            self.event.add(values.index, slot);
        } else {
            self.event.put(values.index, slot);
        }
    }

    #[inline(always)]
    fn identify(&mut self, field: Field, rank: u8, found: &JsonValue) {
        let known = &mut self.fields[field as usize];
        if known.as_ref().is_some_and(|known| known.rank < rank) {
            return;
        }
        let value = match found {
            JsonValue::Null => return,
            JsonValue::Text(range) => IdentityValue::Text(range.clone()),
            JsonValue::Number(number) => IdentityValue::Number(*number),
            JsonValue::Bool(_) => IdentityValue::Other("a boolean"),
            JsonValue::Composite => IdentityValue::Other("an object or an array"),
        };
        *known = Some(Identity { rank, value });
    }
}
