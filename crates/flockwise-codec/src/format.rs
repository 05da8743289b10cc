//! Event formats: how records are encoded, and a table of pointers to an event's identity in them.

use std::path::PathBuf;

use flockwise_core::pointer::Pointer;
use jiff::tz::TimeZone;

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
    /// Ids that are no customer, besides those that programs write where they have none.
    pub no_customer: Vec<String>,
    /// The event name: text.
    pub event: Vec<Pointer>,
    /// The event time: RFC 3339 text, or epoch seconds, milliseconds or microseconds, told apart by size.
    pub time: Vec<Pointer>,
    /// How the event time is read.
    pub time_rules: TimeRules,
    /// The id by which a repeated delivery is recognised: text or an integer. Optional in an event.
    pub event_id: Vec<Pointer>,
    /// The order that the event is about: text or an integer. Optional in an event.
    pub order_id: Vec<Pointer>,
}

impl Format {
    /// The built-in format of this name, `native` or `segment`; `None` for any other name.
    #[must_use]
    pub fn builtin(name: &str) -> Option<Self> {
        let table: [&[&str]; 5] = match name {
            "native" => [
                &["/customer_id"],
                &["/event"],
                &["/time"],
                &["/event_id"],
                &["/order_id"],
            ],
            "segment" => [
                &["/userId", "/anonymousId"],
                &["/event", "/type"],
                &["/timestamp", "/originalTimestamp", "/sentAt"],
                &["/messageId"],
                &["/properties/order_id"],
            ],
            _ => return None,
        };
        let [customer_id, event, time, event_id, order_id] = table.map(|texts| {
            texts
                .iter()
                .filter_map(|text| Pointer::parse(text).ok())
                .collect()
        });
        Some(Self {
            name: name.to_owned(),
            encoding: Encoding::Json,
            customer_id,
            no_customer: Vec::new(),
            event,
            time,
            time_rules: TimeRules::default(),
            event_id,
            order_id,
        })
    }

    /// The names of the built-in formats.
    pub const BUILTIN: [&'static str; 2] = ["native", "segment"];
}
