//! Why bytes are not an event.

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
    /// The value is not exactly one Avro datum of its schema.
    NotAvro,
    /// The schema of the value is not known.
    UnknownSchema,
    /// The customer id, the event name or the time is missing.
    MissingField,
    /// The customer id is empty or a placeholder, such as `null` or `undefined`.
    NoCustomer,
    /// A field has the wrong type or length.
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
    /// All reasons, in the order of their counters.
    pub const ALL: [Self; 13] = [
        Self::Empty,
        Self::NotJson,
        Self::NotAvro,
        Self::UnknownSchema,
        Self::MissingField,
        Self::NoCustomer,
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
            Self::NotAvro => "not_avro",
            Self::UnknownSchema => "unknown_schema",
            Self::MissingField => "missing_field",
            Self::NoCustomer => "no_customer",
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

pub(super) fn reject<T>(reason: Reason, detail: impl Into<String>) -> Result<T, Reject> {
    Err(Reject {
        reason,
        detail: detail.into(),
    })
}
