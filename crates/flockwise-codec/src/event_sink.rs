//! Stores the values of a record: in the event's slots, and in the fields that identify the event.

use std::ops::Range;

use flockwise_core::event::{Event, Slot, Values};
use flockwise_core::numeric_text::LARGEST_NUMBER;
use flockwise_json::Number;

use crate::format::Format;
use crate::placeholder_ids::is_placeholder;
use crate::projection::{Field, Target};

/// A value found at a node of the tree.
#[derive(Clone, Debug)]
pub(crate) enum FoundValue {
    Null,
    Bool(bool),
    Number(Number),
    /// The range of the event's text buffer.
    Text(Range<u32>),
    Bytes,
    /// An instant, milliseconds since the epoch.
    Instant(i64),
    /// A timestamp without a zone, milliseconds from 1970-01-01T00:00:00 in its zone.
    LocalTimestamp(i64),
    /// A date or a time of day, as a number.
    Civil(i64),
    Composite,
}

/// Stores the values that a decoder finds. A text of blanks is as absent as `null`, and so is the placeholder of an id.
pub(crate) struct EventSink<'e> {
    pub(crate) event: &'e mut Event,
    /// See [`Format::no_customer`].
    no_customer: &'e [String],
    pub(crate) fields: [Option<Identity>; Field::COUNT],
    /// Index of the pointer in the plan at which a number was out of range.
    pub(crate) out_of_range: Option<usize>,
    /// The texts of the event are too large; values were left out.
    pub(crate) is_too_large: bool,
    /// A text in place of the customer's id: blanks, or a placeholder.
    pub(crate) no_customer_text: Option<Range<u32>>,
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
    /// An instant, milliseconds since the epoch.
    Instant(i64),
    /// A timestamp without a zone, milliseconds from 1970-01-01T00:00:00 in its zone.
    Local(i64),
    /// A type that no field can have, in words.
    Other(&'static str),
}

impl<'e> EventSink<'e> {
    /// A sink that has found nothing yet.
    pub(crate) fn new(event: &'e mut Event, format: &'e Format) -> Self {
        Self {
            event,
            no_customer: &format.no_customer,
            fields: [const { None }; Field::COUNT],
            out_of_range: None,
            is_too_large: false,
            no_customer_text: None,
        }
    }

    /// Stores a value at each of its targets.
    #[inline(always)]
    pub(crate) fn take(&mut self, targets: &[Target], found: &FoundValue) {
        let is_blank = match found {
            FoundValue::Text(range) => self.event.text(range).trim_start().is_empty(),
            _ => false,
        };
        for target in targets {
            match *target {
                Target::Slot(_) if is_blank => {}
                Target::Slot(values) => self.put(values, found),
                Target::Field { field, rank } => self.identify(field, rank, found, is_blank),
            }
        }
    }

    #[inline(always)]
    fn put(&mut self, values: Values, found: &FoundValue) {
        let slot = match found {
            FoundValue::Null => return,
            FoundValue::Bool(value) => Slot::Bool(*value),
            FoundValue::Number(number) => Slot::Number(number.nearest()),
            FoundValue::Instant(number)
            | FoundValue::Civil(number)
            | FoundValue::LocalTimestamp(number) => Slot::Number(*number as f64),
            FoundValue::Text(range) => Slot::Text(range.clone()),
            FoundValue::Bytes | FoundValue::Composite => Slot::Composite,
        };
        if let Slot::Number(number) = slot
            && !(-LARGEST_NUMBER..=LARGEST_NUMBER).contains(&number)
        {
            self.out_of_range = Some(values.index);
        }
        if values.many {
            self.event.add(values.index, slot);
        } else {
            self.event.put(values.index, slot);
        }
    }

    #[inline(always)]
    fn identify(&mut self, field: Field, rank: u8, found: &FoundValue, is_blank: bool) {
        if is_blank || field.is_id() && self.is_placeholder(found) {
            if field == Field::CustomerId {
                self.no_customer_text = Some(match found {
                    FoundValue::Text(range) => range.clone(),
                    _ => self.event.keep("0"),
                });
            }
            return;
        }
        let known = &mut self.fields[field as usize];
        if known.as_ref().is_some_and(|known| known.rank < rank) {
            return;
        }
        let value = match found {
            FoundValue::Null => return,
            FoundValue::Text(range) => IdentityValue::Text(range.clone()),
            FoundValue::Number(number) => IdentityValue::Number(*number),
            FoundValue::Instant(ms) => IdentityValue::Instant(*ms),
            FoundValue::Bool(_) => IdentityValue::Other("a boolean"),
            FoundValue::Bytes => IdentityValue::Other("bytes"),
            FoundValue::LocalTimestamp(ms) => IdentityValue::Local(*ms),
            FoundValue::Civil(_) => IdentityValue::Other("a date or a time of day alone"),
            FoundValue::Composite => IdentityValue::Other("an object or an array"),
        };
        *known = Some(Identity { rank, value });
    }

    #[inline(always)]
    fn is_placeholder(&self, found: &FoundValue) -> bool {
        match found {
            FoundValue::Text(range) => {
                is_placeholder(self.event.text(range).trim(), self.no_customer)
            }
            FoundValue::Number(Number::Natural(0)) => true,
            _ => false,
        }
    }
}
