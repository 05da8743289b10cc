//! Stores the values of a record: in the event's slots, and in the fields that identify the event.

use std::ops::Range;

use flockwise_core::event::{Event, Slot, Values};
use flockwise_core::numeric_text::LARGEST_NUMBER;
use flockwise_json::Number;

use crate::format::Format;
use crate::found_value::{FoundValue, IdentityValue};
use crate::keyed_elements::KeyedElements;
use crate::placeholder_ids::is_placeholder;
use crate::projection::{Field, JoinedId, Projection, Target};
use crate::stated_amount::StatedAmount;

/// Stores the values that a decoder finds. A text of blanks is as absent as `null`, and so is the placeholder of an id.
pub(crate) struct EventSink<'e> {
    pub(crate) event: &'e mut Event,
    pub(crate) projection: &'e Projection,
    /// See [`Format::no_customer`].
    no_customer: &'e [String],
    pub(crate) fields: [Option<Identity>; Field::COUNT],
    /// Index of the pointer in the plan at which a number was out of range.
    pub(crate) out_of_range: Option<usize>,
    /// The texts of the event are too large; values were left out.
    pub(crate) is_too_large: bool,
    /// A text in place of the customer's id: blanks, or a placeholder.
    pub(crate) no_customer_text: Option<Range<u32>>,
    amount: StatedAmount,
    /// Parts of ids, with the indices of the id and of the part.
    parts: Vec<(u8, u8, IdentityValue)>,
    elements: KeyedElements,
}

/// A field's value and the rank of the pointer that found it.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    rank: u8,
    pub(crate) value: IdentityValue,
}

impl<'e> EventSink<'e> {
    /// A sink that has found nothing yet.
    pub(crate) fn new(
        event: &'e mut Event,
        format: &'e Format,
        projection: &'e Projection,
    ) -> Self {
        Self {
            event,
            projection,
            no_customer: &format.no_customer,
            fields: [const { None }; Field::COUNT],
            out_of_range: None,
            is_too_large: false,
            no_customer_text: None,
            amount: StatedAmount::default(),
            parts: Vec::new(),
            elements: KeyedElements::default(),
        }
    }

    /// Stores a value at each of its targets.
    #[inline(always)]
    pub(crate) fn take(&mut self, targets: &[Target], found: &FoundValue) {
        let is_blank = match found {
            FoundValue::Text(range) => is_blank(self.event.text(range)),
            _ => false,
        };
        for target in targets {
            match *target {
                Target::Slot(_) if is_blank => {}
                Target::Slot(values) => self.put(values, found),
                Target::Field { field, rank } => self.identify(field, rank, found, is_blank),
                rare => self.take_rarely(rare, found, is_blank),
            }
        }
    }

    /// Stores the part of an id or of an amount.
    fn take_rarely(&mut self, target: Target, found: &FoundValue, is_blank: bool) {
        match target {
            Target::Element { array } => return self.end_element(array),
            Target::ElementKey { array } => return self.set_key(array, found),
            Target::ElementValue { array, wanted } => {
                return self.elements.add_value(array, wanted, found.clone());
            }
            _ => {}
        }
        let slot = found.slot();
        let is_absent = is_blank || slot == Slot::Absent;
        match target {
            Target::Product => self.amount.begin_product(),
            _ if is_absent => {}
            Target::Amount { rank } => self.amount.find(rank, slot),
            Target::Price => self.amount.set_price(self.event.number(&slot)),
            Target::Quantity => self.amount.set_quantity(self.event.number(&slot)),
            Target::Part { id, part } => {
                if !self.is_placeholder(found)
                    && let Some(value) = found.identity()
                {
                    self.parts.push((id, part, value));
                }
            }
            _ => {}
        }
    }

    fn set_key(&mut self, array: u16, found: &FoundValue) {
        let key = match found {
            FoundValue::Text(range) => self.event.text(range).to_owned(),
            FoundValue::Number(Number::Natural(number)) => number.to_string(),
            FoundValue::Number(Number::Negative(number)) => number.to_string(),
            _ => return,
        };
        self.elements.set_key(array, key);
    }

    /// Takes the wanted values of the present element.
    fn end_element(&mut self, array: u16) {
        let keyed = &self.projection.keyed[usize::from(array)];
        for (target, found) in self.elements.end(array, keyed) {
            self.take(&[target], &found);
        }
    }

    /// Completes what consists of several values: elements with keys, joined ids and amounts.
    pub(crate) fn finish(&mut self) {
        for array in 0..self.projection.keyed.len() as u16 {
            self.end_element(array);
        }
        self.event.amount = std::mem::take(&mut self.amount).end();
        for (id, joined) in self.projection.joined.iter().enumerate() {
            self.join(id, joined);
        }
    }

    fn join(&mut self, id: usize, joined: &JoinedId) {
        let rank = joined.rank;
        let known = &self.fields[joined.field as usize];
        if known.as_ref().is_some_and(|known| known.rank < rank) {
            return;
        }
        let mut text = String::new();
        for part in 0..joined.parts {
            let is_part =
                |(known, place, _): &&(u8, u8, _)| usize::from(*known) == id && *place == part;
            let Some((_, _, value)) = self.parts.iter().rfind(is_part) else {
                return;
            };
            // A character that ids do not contain, so that no two lists of parts give the same id.
            text.push('\u{1f}');
            match value {
                IdentityValue::Text(range) => text.push_str(self.event.text(range).trim()),
                IdentityValue::Number(Number::Natural(number)) => text += &number.to_string(),
                IdentityValue::Number(Number::Negative(number)) => text += &number.to_string(),
                // No id has this type: the event is rejected.
                other => {
                    let value = other.clone();
                    self.fields[joined.field as usize] = Some(Identity { rank, value });
                    return;
                }
            }
        }
        let value = IdentityValue::Text(self.event.keep(&text));
        self.fields[joined.field as usize] = Some(Identity { rank, value });
    }

    #[inline(always)]
    fn put(&mut self, values: Values, found: &FoundValue) {
        let slot = found.slot();
        if slot == Slot::Absent {
            return;
        }
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
        if let Some(value) = found.identity() {
            *known = Some(Identity { rank, value });
        }
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

/// Whether a text has nothing but blanks.
#[inline(always)]
fn is_blank(text: &str) -> bool {
    // Nearly every text begins with a letter or a digit.
    let begins = text.as_bytes().first();
    !begins.is_some_and(u8::is_ascii_graphic) && text.trim_start().is_empty()
}
