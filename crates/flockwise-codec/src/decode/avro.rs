//! Walks the projection through an Avro datum.

use std::collections::BTreeMap;

use flockwise_avro::{AvroProjection, AvroSchema, AvroSink, AvroTree, AvroValue, InvalidDatum};
use flockwise_json::Number;

use super::appearance::hint;
use super::limits::LARGEST_EVENT;
use super::reject::{Reason, Reject, reject};
use super::undecoded::{SchemaId, Undecoded};
use crate::event_sink::EventSink;
use crate::format::AvroFraming;
use crate::found_value::FoundValue;
use crate::projection::{Node, Target};

/// What the value of a record in single-object encoding begins with. The schema's fingerprint follows.
const SINGLE_OBJECT: [u8; 2] = [0xc3, 0x01];

/// Decodes the Avro records of one input.
#[derive(Clone, Debug)]
pub(super) struct AvroDecoder {
    framing: AvroFraming,
    known: BTreeMap<SchemaId, KnownSchema>,
}

/// A schema, compiled for the projection.
#[derive(Clone, Debug)]
struct KnownSchema {
    name: String,
    projection: AvroProjection<Vec<Target>>,
}

impl AvroDecoder {
    /// A decoder that knows no schema yet.
    pub(super) fn new(framing: AvroFraming) -> Self {
        Self {
            framing,
            known: BTreeMap::new(),
        }
    }

    /// From now on, data of this schema is decoded.
    pub(super) fn learn(&mut self, id: SchemaId, schema: &AvroSchema, root: &Node) {
        let known = KnownSchema {
            name: schema.name().to_owned(),
            projection: schema.project(root),
        };
        self.known.insert(id, known);
    }

    /// Stores the wanted values of a datum in the event. Returns the sink, which holds the fields that were found.
    ///
    /// # Errors
    /// If the bytes are not one datum of a known schema.
    pub(super) fn fill<'e>(
        &self,
        bytes: &[u8],
        mut sink: EventSink<'e>,
    ) -> Result<EventSink<'e>, Undecoded> {
        if bytes.is_empty() {
            let detail = "the record has no value, expected one Avro datum";
            return reject(Reason::Empty, detail).map_err(Undecoded::Reject);
        }
        let (id, datum) = match self.framing {
            AvroFraming::Plain => (SchemaId::Only, bytes),
            AvroFraming::SingleObject => single_object(bytes).map_err(Undecoded::Reject)?,
        };
        let schema = self.known.get(&id).ok_or(Undecoded::UnknownSchema(id))?;
        let read = schema.projection.read(datum, &mut sink);
        read.map_err(|invalid| not_one_datum(&schema.name, invalid, bytes, datum))?;
        if sink.is_too_large {
            return Err(Undecoded::Reject(Reject {
                reason: Reason::TooLarge,
                detail: format!("its texts have more than {LARGEST_EVENT} bytes"),
            }));
        }
        Ok(sink)
    }
}

/// Why a value is rejected whose datum is not valid. The offset counts from the value's first byte.
#[cold]
fn not_one_datum(name: &str, mut invalid: InvalidDatum, value: &[u8], datum: &[u8]) -> Undecoded {
    invalid.offset += value.len() - datum.len();
    // A header has said already what the value is.
    let hint = match value.len() == datum.len() {
        true => hint(value, None),
        false => String::new(),
    };
    Undecoded::Reject(Reject {
        reason: Reason::NotAvro,
        detail: format!("not one datum of the schema {name}: {invalid}{hint}"),
    })
}

/// The fingerprint of the schema, and the datum.
fn single_object(bytes: &[u8]) -> Result<(SchemaId, &[u8]), Reject> {
    let framed = bytes.strip_prefix(&SINGLE_OBJECT);
    match framed.and_then(<[u8]>::split_first_chunk) {
        Some((fingerprint, datum)) => {
            let fingerprint = u64::from_le_bytes(*fingerprint);
            Ok((SchemaId::Fingerprint(fingerprint), datum))
        }
        None if bytes.starts_with(&SINGLE_OBJECT) => {
            let detail = "the value ends within its header: c3 01 and a fingerprint of 8 bytes were expected";
            reject(Reason::NotAvro, detail)
        }
        None => {
            let hint = hint(bytes, None);
            let detail = format!(
                "the value does not begin with c3 01 and a fingerprint, as single-object encoding does{hint}"
            );
            reject(Reason::NotAvro, detail)
        }
    }
}

impl AvroTree for Node {
    type Place = Vec<Target>;

    fn place(&self) -> Option<Vec<Target>> {
        (!self.targets.is_empty()).then(|| self.targets.clone())
    }

    fn members(&self) -> impl Iterator<Item = (&str, &Self)> {
        self.names()
    }

    fn elements(&self) -> impl Iterator<Item = (usize, &Self)> {
        self.indexed()
    }

    fn every(&self) -> Option<&Self> {
        self.every_element()
    }
}

impl AvroSink<Vec<Target>> for EventSink<'_> {
    fn value(&mut self, place: &Vec<Target>, value: AvroValue<'_>) {
        // The symbols of an enum make many texts of few bytes.
        if self.event.text_bytes() > LARGEST_EVENT {
            self.is_too_large = true;
            return;
        }
        let found = match value {
            AvroValue::Null => FoundValue::Null,
            AvroValue::Bool(value) => FoundValue::Bool(value),
            AvroValue::Integer(number) => FoundValue::Number(match u64::try_from(number) {
                Ok(number) => Number::Natural(number),
                Err(_) => Number::Negative(number),
            }),
            AvroValue::Float(number) => FoundValue::Number(Number::Float(number)),
            AvroValue::Text(text) => FoundValue::Text(self.event.keep(text)),
            AvroValue::Bytes => FoundValue::Bytes,
            AvroValue::Instant(ms) => FoundValue::Instant(ms),
            AvroValue::LocalTimestamp(ms) => FoundValue::LocalTimestamp(ms),
            AvroValue::Civil(number) => FoundValue::Civil(number),
            AvroValue::Composite => FoundValue::Composite,
        };
        self.take(place, &found);
    }
}
