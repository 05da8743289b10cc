//! Where an event's identity lies in a JSON document: a table of pointers, data and not code.

use flockwise_core::pointer::Pointer;

/// The pointers to what every event has. Of each list the first that is there wins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Format {
    /// As the configuration names it.
    pub name: String,
    /// Whose event it is: text or an integer.
    pub customer_id: Vec<Pointer>,
    /// What happened: text.
    pub event: Vec<Pointer>,
    /// When: RFC 3339 text, or epoch seconds, milliseconds or microseconds by size.
    pub time: Vec<Pointer>,
    /// What tells a repeated delivery: text or an integer; may lead nowhere.
    pub event_id: Vec<Pointer>,
    /// The order that the event is about: text or an integer; may lead nowhere.
    pub order_id: Vec<Pointer>,
}

impl Format {
    /// A format that comes with Flockwise: `native` or `segment`.
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
            customer_id,
            event,
            time,
            event_id,
            order_id,
        })
    }

    /// The names of the formats that come with Flockwise.
    pub const BUILTIN: [&'static str; 2] = ["native", "segment"];
}
