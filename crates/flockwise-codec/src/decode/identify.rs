//! Who, what and when: an event's identity and time from the values of its fields.

use std::ops::Range;

use flockwise_core::event::{Event, Slot, hash};
use flockwise_core::plan::Plan;
use flockwise_json::Number;

use super::Decoder;
use super::event_time::event_time;
use super::limits::LONGEST_CUSTOMER_ID;
use super::reject::{Reason, Reject, reject};
use crate::event_sink::Identity;
use crate::found_value::IdentityValue;
use crate::projection::Field;

/// How many characters of a text a detail quotes.
const LONGEST_QUOTE: usize = 40;

impl Decoder {
    /// Sets the event's identity and time from the values of its fields, whatever the encoding was.
    ///
    /// # Errors
    /// If a required field is missing, or a value has the wrong type or length.
    pub(super) fn identify(
        &self,
        plan: &Plan,
        event: &mut Event,
        fields: &[Option<Identity>; Field::COUNT],
    ) -> Result<(), Reject> {
        let field = |field: Field| fields[field as usize].as_ref().map(|found| &found.value);
        let required = |wanted: Field| field(wanted).ok_or_else(|| self.missing(wanted));
        let mut customer_id = text(event, Field::CustomerId, required(Field::CustomerId)?)?;
        if !self.format.normalization.is_none() {
            let id = self.format.normalization.apply(event.text(&customer_id));
            let id = id.into_owned();
            customer_id = event.keep(&id);
        }
        let length = customer_id.len();
        if length > LONGEST_CUSTOMER_ID {
            return reject(
                Reason::WrongType,
                format!("customer_id has {length} bytes: 1 to {LONGEST_CUSTOMER_ID} are allowed"),
            );
        }
        let name = text(event, Field::Event, required(Field::Event)?)?;
        event.time_ms = event_time(&self.format, event, required(Field::Time)?)?;
        event.id = optional_hash(event, Field::EventId, field(Field::EventId))?;
        event.order = optional_hash(event, Field::OrderId, field(Field::OrderId))?;
        event.name = plan.name(event.text(&name));
        if event.name.is_some_and(|name| plan.is_reversal(name)) {
            event.is_so_far = self.format.reversal.is_cumulative;
        } else {
            event.amount = Slot::Absent;
        }
        event.name_hash = hash(event.text(&name).as_bytes());
        event.set_customer_id(customer_id);
        Ok(())
    }

    fn missing(&self, field: Field) -> Reject {
        let detail = format!("no {}: {}", field.name(), self.expected(field));
        Reject {
            reason: Reason::MissingField,
            detail,
        }
    }

    /// Why an event is rejected that has this text, blanks or a placeholder, in place of a customer's id.
    #[cold]
    pub(super) fn no_customer(&self, text: &str) -> Reject {
        let shown: String = text.chars().take(LONGEST_QUOTE).collect();
        let expected = self.expected(Field::CustomerId);
        Reject {
            reason: Reason::NoCustomer,
            detail: format!("customer_id is {shown:?}, which stands for no customer: {expected}"),
        }
    }

    /// Where a field is expected.
    fn expected(&self, field: Field) -> String {
        let pointers = match field {
            Field::CustomerId => &self.format.customer_id,
            Field::Event => &self.format.event,
            Field::Time => &self.format.time,
            // Nothing is missing without them.
            Field::EventId | Field::OrderId => return String::new(),
        };
        let places: Vec<String> = pointers.iter().map(ToString::to_string).collect();
        let places = places.join(" or ");
        format!("expected at {places} in format {}", self.format.name)
    }
}

/// Where the event keeps a field's text. An integer is converted to text.
fn text(event: &mut Event, field: Field, value: &IdentityValue) -> Result<Range<u32>, Reject> {
    let found = match value {
        IdentityValue::Text(range) if field.is_id() => return Ok(trimmed(event, range)),
        IdentityValue::Text(range) => return Ok(range.clone()),
        IdentityValue::Number(_) if field == Field::Event => "a number",
        IdentityValue::Instant(_) | IdentityValue::Local(_) => "a timestamp",
        IdentityValue::Number(Number::Natural(number)) => {
            return Ok(event.keep(&number.to_string()));
        }
        IdentityValue::Number(Number::Negative(number)) => {
            return Ok(event.keep(&number.to_string()));
        }
        IdentityValue::Number(Number::Float(_)) => "a number that is not a 64-bit integer",
        IdentityValue::Other(kind) => kind,
    };
    let expected = if field == Field::Event {
        "text"
    } else {
        "text or an integer"
    };
    reject(
        Reason::WrongType,
        format!("{} is {found}: {expected} was expected", field.name()),
    )
}

/// The range of a text without the blanks around it.
fn trimmed(event: &Event, range: &Range<u32>) -> Range<u32> {
    let text = event.text(range);
    let start = text.len() - text.trim_start().len();
    let end = text.trim_end().len();
    range.start + start as u32..range.start + end as u32
}

fn optional_hash(
    event: &mut Event,
    field: Field,
    value: Option<&IdentityValue>,
) -> Result<Option<u64>, Reject> {
    let Some(value) = value else { return Ok(None) };
    let range = text(event, field, value)?;
    Ok(Some(hash(event.text(&range).as_bytes())))
}
