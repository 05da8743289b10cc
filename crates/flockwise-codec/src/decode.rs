//! Decodes a record's bytes to an [`Event`].

mod identify;
mod json;
mod reject;

use flockwise_core::event::Event;
use flockwise_core::plan::Plan;

pub use self::reject::{Reason, Reject};

use self::json::fill_from_json;
use self::reject::reject;
use crate::format::Format;
use crate::projection::{LARGEST_NUMBER, Projection};

/// The longest customer id that is accepted, in bytes.
pub const LONGEST_CUSTOMER_ID: usize = 1024;

/// The largest event that is accepted, in bytes.
pub const LARGEST_EVENT: usize = 3 << 20;

/// Decodes the events of one input.
#[derive(Clone, Debug)]
pub struct Decoder {
    projection: Projection,
    format: Format,
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
        let sink = fill_from_json(&self.projection.root, bytes, event)?;
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
}
