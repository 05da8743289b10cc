//! Decodes a record's bytes to an [`Event`].

use std::ops::Range;

use flockwise_core::event::{Event, hash};
use flockwise_core::plan::Plan;
use flockwise_json::{Number, explain, scan};

use crate::event_sink::{Identity, IdentityValue, Sink};
use crate::format::Format;
use crate::projection::{Field, LARGEST_NUMBER, Node, Projection};
use crate::time::parse_time;

/// The longest customer id that is accepted, in bytes.
pub const LONGEST_CUSTOMER_ID: usize = 1024;

/// The largest event that is accepted, in bytes.
pub const LARGEST_EVENT: usize = 3 << 20;

/// How many characters of each end of a long error a detail quotes.
const LONGEST_QUOTE: usize = 100;

/// Decodes the events of one input.
#[derive(Clone, Debug)]
pub struct Decoder {
    projection: Projection,
    format: Format,
}

/// Why bytes are not an event. The dead letter carries it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Reject {
    /// The kind of failure, for headers and metrics.
    pub reason: Reason,
    /// What was found and what was expected.
    pub detail: String,
}

/// Why an event is rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    /// The record has no value, or only white space.
    Empty,
    /// The value is not exactly one JSON object in UTF-8.
    NotJson,
    /// The customer id, the event name or the time is missing.
    MissingField,
    /// A field has the wrong JSON type or length.
    WrongType,
    /// The time cannot be parsed.
    BadTime,
    /// A number is too large to be summed without losing precision.
    NumberOutOfRange,
    /// The event is too large to be forwarded or written whole to the dead-letter topic.
    TooLarge,
    /// The event time is further behind the input partition than the lateness allows.
    TooLate,
    /// The event time is too far ahead of the clock.
    TooFarAhead,
    /// A record of the repartition topic that Flockwise did not write.
    NotForwarded,
}

impl Reason {
    /// All reasons.
    pub const ALL: [Self; 10] = [
        Self::Empty,
        Self::NotJson,
        Self::MissingField,
        Self::WrongType,
        Self::BadTime,
        Self::NumberOutOfRange,
        Self::TooLarge,
        Self::TooLate,
        Self::TooFarAhead,
        Self::NotForwarded,
    ];

    /// The name in headers and metric labels.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::NotJson => "not_json",
            Self::MissingField => "missing_field",
            Self::WrongType => "wrong_type",
            Self::BadTime => "bad_time",
            Self::NumberOutOfRange => "number_out_of_range",
            Self::TooLarge => "too_large",
            Self::TooLate => "too_late",
            Self::TooFarAhead => "too_far_ahead",
            Self::NotForwarded => "not_forwarded",
        }
    }
}

fn reject<T>(reason: Reason, detail: impl Into<String>) -> Result<T, Reject> {
    Err(Reject {
        reason,
        detail: detail.into(),
    })
}

impl Decoder {
    /// A decoder for events of `format` that fills the slots of `plan`.
    #[must_use]
    pub fn new(format: &Format, plan: &Plan) -> Self {
        Self {
            projection: Projection::compile(format, plan),
            format: format.clone(),
        }
    }

    /// Decodes a record's value into `event`.
    ///
    /// # Errors
    /// If the value is not an event. `event` then has no meaning.
    pub fn decode(
        &self,
        plan: &Plan,
        value: Option<&[u8]>,
        event: &mut Event,
    ) -> Result<(), Reject> {
        let bytes = value.unwrap_or_default();
        if bytes.trim_ascii().is_empty() {
            return reject(
                Reason::Empty,
                "the record has no value, expected one JSON object",
            );
        }
        if bytes.len() > LARGEST_EVENT {
            let detail = format!(
                "{} bytes: at most {LARGEST_EVENT} are accepted",
                bytes.len()
            );
            return reject(Reason::TooLarge, detail);
        }
        event.clear(self.projection.slots);
        // Checking the whole document at once is several times cheaper than checking each text.
        let document = std::str::from_utf8(bytes)
            .or_else(|error| reject(Reason::NotJson, format!("not UTF-8: {error}")))?;
        let mut sink = Sink::new(event, document);
        scan(&self.projection.root, document, &mut sink)
            .or_else(|_| reject_json(&self.projection.root, document))?;
        if let Some(index) = sink.out_of_range {
            let pointer = &plan.pointers()[index];
            return reject(
                Reason::NumberOutOfRange,
                format!("the number at {pointer} is beyond ±{LARGEST_NUMBER:e}"),
            );
        }
        let fields = sink.fields;
        self.identify(plan, event, &fields)
    }

    fn identify(
        &self,
        plan: &Plan,
        event: &mut Event,
        fields: &[Option<Identity>; Field::COUNT],
    ) -> Result<(), Reject> {
        let field = |field: Field| fields[field as usize].as_ref().map(|found| &found.value);
        let required = |wanted: Field| field(wanted).ok_or_else(|| self.missing(wanted));
        let customer_id = text(event, Field::CustomerId, required(Field::CustomerId)?)?;
        let length = customer_id.len();
        if length == 0 || length > LONGEST_CUSTOMER_ID {
            return reject(
                Reason::WrongType,
                format!("customer_id has {length} bytes: 1 to {LONGEST_CUSTOMER_ID} are allowed"),
            );
        }
        let name = text(event, Field::Event, required(Field::Event)?)?;
        event.time_ms = time_ms(event, required(Field::Time)?)?;
        event.id = optional_hash(event, Field::EventId, field(Field::EventId))?;
        event.order = optional_hash(event, Field::OrderId, field(Field::OrderId))?;
        event.name = plan.name(event.text(&name));
        event.name_hash = hash(event.text(&name).as_bytes());
        event.set_customer_id(customer_id);
        Ok(())
    }

    fn missing(&self, field: Field) -> Reject {
        let pointers = match field {
            Field::CustomerId => &self.format.customer_id,
            Field::Event => &self.format.event,
            Field::Time => &self.format.time,
            Field::EventId => &self.format.event_id,
            Field::OrderId => &self.format.order_id,
        };
        let places: Vec<String> = pointers.iter().map(ToString::to_string).collect();
        let expected = places.join(" or ");
        let detail = format!(
            "no {}: expected at {expected} in format {}",
            field.name(),
            self.format.name
        );
        Reject {
            reason: Reason::MissingField,
            detail,
        }
    }
}

/// Makes a [`Reject`] of the scan's refusal. Shortens the error, which may quote a long text: the detail goes
/// into a header.
#[cold]
fn reject_json(root: &Node, text: &str) -> Result<(), Reject> {
    let error = explain(root, text).map_or_else(|error| error.to_string(), |()| String::new());
    if error.starts_with("number out of range") {
        return reject(
            Reason::NumberOutOfRange,
            format!("a {error}: it does not fit into a 64-bit float"),
        );
    }
    let count = error.chars().count();
    let mut shown: String = error.chars().take(LONGEST_QUOTE).collect();
    if count > LONGEST_QUOTE {
        let end: String = error.chars().skip(count - LONGEST_QUOTE).collect();
        shown = format!("{shown} … {end}");
    }
    reject(Reason::NotJson, format!("not one JSON object: {shown}"))
}

/// Where the event keeps a field's text. An integer is converted to text.
fn text(event: &mut Event, field: Field, value: &IdentityValue) -> Result<Range<u32>, Reject> {
    let found = match value {
        IdentityValue::Text(range) => return Ok(range.clone()),
        IdentityValue::Number(_) if field == Field::Event => "a number",
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

fn optional_hash(
    event: &mut Event,
    field: Field,
    value: Option<&IdentityValue>,
) -> Result<Option<u64>, Reject> {
    let Some(value) = value else { return Ok(None) };
    let range = text(event, field, value)?;
    Ok(Some(hash(event.text(&range).as_bytes())))
}

/// RFC 3339, or epoch seconds below 1e11, milliseconds below 1e14, microseconds from there on.
fn time_ms(event: &Event, value: &IdentityValue) -> Result<i64, Reject> {
    match value {
        IdentityValue::Text(range) => {
            let text = event.text(range);
            parse_time(text).ok_or_else(|| {
                let shown: String = text.chars().take(40).collect();
                let detail = format!(
                    "time `{shown}` is not RFC 3339 with a zone, as in 2026-01-02T03:04:05Z"
                );
                Reject {
                    reason: Reason::BadTime,
                    detail,
                }
            })
        }
        IdentityValue::Number(number) => epoch_ms(number.nearest()),
        IdentityValue::Other(kind) => reject(
            Reason::WrongType,
            format!("time is {kind}: RFC 3339 text or an epoch time was expected"),
        ),
    }
}

fn epoch_ms(number: f64) -> Result<i64, Reject> {
    let ms = match number.abs() {
        // The f64 may lie just below the fraction that was written; without the correction, `floor` would
        // lose a millisecond.
        size if size < 1e11 && number.fract() != 0.0 => number * 1e3 + size * 1e3 * f64::EPSILON,
        size if size < 1e11 => number * 1e3,
        size if size < 1e14 => number,
        size if size < 1e17 => number / 1e3,
        _ => {
            return reject(
                Reason::BadTime,
                format!("time {number:e} is not in epoch s, ms or µs"),
            );
        }
    };
    Ok(ms.floor() as i64)
}
