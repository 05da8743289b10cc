//! Stores a document's values: in the event's slots, and in the fields that identify the event.

use std::ops::Range;

use flockwise_core::event::{Event, Slot, Values};
use flockwise_json::{Invalid, JsonScalar, JsonSink, Number, RawText, unescape};

use crate::projection::{Field, LARGEST_NUMBER, Node, Target};

/// A value found at a node of the tree.
#[derive(Clone, Debug)]
pub(crate) enum JsonValue {
    Null,
    Bool(bool),
    Number(Number),
    /// The range of the event's text buffer.
    Text(Range<u32>),
    Composite,
}

/// Takes the values that the scan finds.
pub(crate) struct Sink<'e> {
    event: &'e mut Event,
    /// The end of the document in the event's text buffer.
    end: usize,
    pub(crate) fields: [Option<Identity>; Field::COUNT],
    /// Index of the pointer in the plan at which a number was out of range.
    pub(crate) out_of_range: Option<usize>,
}

/// A field's value and the rank of the pointer that found it.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    rank: u8,
    pub(crate) value: IdentityValue,
}

/// A value found for a field.
#[derive(Clone, Debug)]
pub(crate) enum IdentityValue {
    Text(Range<u32>),
    Number(Number),
    /// A JSON type that no field can have, in words.
    Other(&'static str),
}

impl<'e> Sink<'e> {
    /// A sink that has found nothing yet. The event keeps the whole document, so that a text without escapes is just a
    /// range of it.
    pub(crate) fn new(event: &'e mut Event, document: &str) -> Self {
        let end = event.keep(document).end as usize;
        Self {
            event,
            end,
            fields: [const { None }; Field::COUNT],
            out_of_range: None,
        }
    }

    /// Unescapes a text into the event's text buffer, once for all its targets.
    #[cold]
    fn keep(&mut self, raw: &[u8]) -> Result<Range<u32>, Invalid> {
        let text = str::from_utf8(raw).map_err(|_| Invalid)?;
        let mut kept = self.event.keep("");
        // Pieces that are kept one after the other are adjacent.
        unescape(text, |piece| kept.end = self.event.keep(piece).end)?;
        Ok(kept)
    }

    /// Stores a value at each of its targets.
    #[inline(always)]
    fn take(&mut self, targets: &[Target], found: &JsonValue) {
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

impl JsonSink<Node> for Sink<'_> {
    #[inline(always)]
    fn scalar(&mut self, place: &Node, value: JsonScalar) {
        let found = match value {
            JsonScalar::Null => JsonValue::Null,
            JsonScalar::Bool(value) => JsonValue::Bool(value),
            JsonScalar::Number(number) => JsonValue::Number(number),
            JsonScalar::Composite => JsonValue::Composite,
        };
        self.take(&place.targets, &found);
    }

    #[inline(always)]
    fn text(&mut self, place: &Node, text: &RawText<'_>) -> Result<(), Invalid> {
        let range = match text.has_escapes() {
            true => self.keep(text.bytes())?,
            false => text.range(self.end),
        };
        self.take(&place.targets, &JsonValue::Text(range));
        Ok(())
    }
}
