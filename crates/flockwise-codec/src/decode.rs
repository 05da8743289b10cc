//! Decodes a record's bytes to an [`Event`].

mod appearance;
mod avro;
mod event_time;
mod identify;
mod json;
mod limits;
mod look_alike;
mod reject;
mod undecoded;

pub use flockwise_avro::AvroSchema;
use flockwise_core::event::Event;
use flockwise_core::numeric_text::LARGEST_NUMBER;
use flockwise_core::plan::Plan;

pub use self::appearance::{Appearance, appearance};
pub use self::limits::{LARGEST_EVENT, LONGEST_CUSTOMER_ID};
pub use self::reject::{Reason, Reject};
pub use self::undecoded::{SchemaId, Undecoded};

use self::avro::AvroDecoder;
use self::json::fill_from_json;
use self::reject::reject;
use crate::event_sink::EventSink;
use crate::format::{Encoding, Format, UnknownSchema};
use crate::projection::{Field, Projection};

/// Decodes the events of one input.
#[derive(Clone, Debug)]
pub struct Decoder {
    projection: Projection,
    format: Format,
    encoding: EncodingDecoder,
}

/// A decoder for each encoding. All fill the same projection.
#[derive(Clone, Debug)]
enum EncodingDecoder {
    Json,
    Avro(AvroDecoder),
}

impl Decoder {
    /// A decoder for events of `format` that fills the slots of `plan`. It knows no schema yet.
    #[must_use]
    pub fn new(format: &Format, plan: &Plan) -> Self {
        Self {
            projection: Projection::compile(format, plan),
            format: format.clone(),
            encoding: match &format.encoding {
                Encoding::Json => EncodingDecoder::Json,
                Encoding::Avro { framing, .. } => EncodingDecoder::Avro(AvroDecoder::new(*framing)),
            },
        }
    }

    /// From now on, records of this schema are decoded. JSON has no schemas.
    pub fn learn(&mut self, id: SchemaId, schema: &AvroSchema) {
        match &mut self.encoding {
            EncodingDecoder::Json => {}
            EncodingDecoder::Avro(avro) => avro.learn(id, schema, &self.projection.root),
        }
    }

    /// What happens to a record of this schema, which cannot be found: it is rejected, or `None`: it waits.
    #[must_use]
    pub fn reject_unknown(&self, id: SchemaId) -> Option<Reject> {
        match self.format.encoding {
            Encoding::Avro {
                unknown_schema: UnknownSchema::Reject,
                ..
            } => Some(Reject {
                reason: Reason::UnknownSchema,
                detail: format!("no known schema has {id}"),
            }),
            _ => None,
        }
    }

    /// Decodes a record's value into `event`.
    ///
    /// # Errors
    /// If the value is not an event, or its schema is not known. `event` then has no meaning.
    pub fn decode(
        &self,
        plan: &Plan,
        value: Option<&[u8]>,
        event: &mut Event,
    ) -> Result<(), Undecoded> {
        let bytes = value.unwrap_or_default();
        if bytes.len() > LARGEST_EVENT {
            let detail =
                format!("more than {LARGEST_EVENT} bytes, which is the most that is accepted");
            return Ok(reject(Reason::TooLarge, detail)?);
        }
        event.clear(self.projection.slots);
        let mut sink = self.fill(bytes, event)?;
        sink.finish();
        if let Some(index) = sink.out_of_range {
            let pointer = &plan.pointers()[index];
            let detail = format!("the number at {pointer} is not within ±{LARGEST_NUMBER:e}");
            return Ok(reject(Reason::NumberOutOfRange, detail)?);
        }
        let (fields, no_customer_text) = (sink.fields, sink.no_customer_text);
        if fields[Field::CustomerId as usize].is_none()
            && let Some(text) = no_customer_text
        {
            return Err(self.no_customer(event.text(&text)).into());
        }
        Ok(self.identify(plan, event, &fields)?)
    }

    #[inline]
    fn fill<'e>(&'e self, bytes: &[u8], event: &'e mut Event) -> Result<EventSink<'e>, Undecoded> {
        let sink = EventSink::new(event, &self.format, &self.projection);
        match &self.encoding {
            EncodingDecoder::Json => Ok(fill_from_json(bytes, sink)?),
            EncodingDecoder::Avro(avro) => avro.fill(bytes, sink),
        }
    }
}
