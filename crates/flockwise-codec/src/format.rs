//! Event formats: how records are encoded, and a table of pointers to an event's identity in them.

mod builtin;

use std::path::PathBuf;

use flockwise_core::order_rules::Repeat;
use flockwise_core::pointer::Pointer;
use jiff::tz::TimeZone;

use crate::normalization::IdNormalization;

/// How the values of an input's records are encoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// One JSON object.
    Json,
    /// One Avro datum.
    Avro {
        /// What stands before the datum.
        framing: AvroFraming,
        /// Where the schemas are: a file, or a directory if records name their schemas.
        schemas: PathBuf,
        /// What happens to a record whose schema is in no file.
        unknown_schema: UnknownSchema,
    },
}

/// What stands before an Avro datum in a record's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AvroFraming {
    /// Nothing: all records have the same schema.
    Plain,
    /// `c3 01` and the fingerprint of the schema: single-object encoding.
    SingleObject,
}

/// What happens to a record whose schema is not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnknownSchema {
    /// Its partition waits until the schema is known.
    #[default]
    Wait,
    /// It becomes a dead letter.
    Reject,
}

/// Which times of events are accepted, and in which zone they are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimeRules {
    /// The zone of times that are written without one. `None`: such a time is refused.
    pub zone: Option<TimeZone>,
    /// An earlier time is refused, because it is probably none; milliseconds since the epoch.
    pub earliest_ms: i64,
}

impl Default for TimeRules {
    /// No zone, and times from 2000-01-01T00:00:00Z on.
    fn default() -> Self {
        Self {
            zone: None,
            earliest_ms: 946_684_800_000,
        }
    }
}

/// The pointers to the fields of an event. In each list, the first pointer that finds a value wins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Format {
    /// The format's name in the configuration.
    pub name: String,
    /// How records are encoded.
    pub encoding: Encoding,
    /// The customer id: text or an integer.
    pub customer_id: Vec<Pointer>,
    /// How customer ids are normalised.
    pub normalization: IdNormalization,
    /// Ids that are no customer, besides those that programs write where they have none.
    pub no_customer: Vec<String>,
    /// The event name: text.
    pub event: Vec<Pointer>,
    /// The event time: RFC 3339 text, or epoch seconds, milliseconds or microseconds, told apart by size.
    pub time: Vec<Pointer>,
    /// How the event time is read.
    pub time_rules: TimeRules,
    /// The id by which a repeated delivery is recognised: text or an integer. Optional in an event.
    pub event_id: Vec<IdPointers>,
    /// The order that the event is about: text or an integer. Optional in an event.
    pub order_id: Vec<IdPointers>,
    /// What a second event with the same name and order id means, by event name.
    pub repeats: Vec<(String, Repeat)>,
    /// How reversals state their amounts.
    pub reversal: ReversalFormat,
}

/// The pointers to the parts of an id. An id of several parts is found if all of them are.
pub type IdPointers = Vec<Pointer>;

/// How reversals state the amount that they take back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReversalFormat {
    /// Pointers to the amount. The first that finds a value wins.
    pub amount: Vec<Pointer>,
    /// Pointers to the amount of an order, where that is not among `amount`.
    pub of: Vec<Pointer>,
    /// The price of each product that is taken back: their sum is the amount, if no pointer of `amount` finds one.
    pub price: Option<Pointer>,
    /// How many of each product are taken back; 1 where it is absent.
    pub quantity: Option<Pointer>,
    /// The amount is what was taken back of the order so far.
    pub is_cumulative: bool,
}

impl Format {
    /// A format of JSON without pointers.
    #[must_use]
    pub fn empty(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            encoding: Encoding::Json,
            customer_id: Vec::new(),
            normalization: IdNormalization::default(),
            no_customer: Vec::new(),
            event: Vec::new(),
            time: Vec::new(),
            time_rules: TimeRules::default(),
            event_id: Vec::new(),
            order_id: Vec::new(),
            repeats: Vec::new(),
            reversal: ReversalFormat::default(),
        }
    }
}
