//! The generated shop's events as Avro, in single-object encoding, by another library than the product's reader.

use std::collections::HashMap;
use std::sync::LazyLock;

use apache_avro::types::Value as Avro;
use apache_avro::writer::datum::GenericDatumWriter;
use apache_avro::{Schema, types::Record};
use flockwise_codec::time::parse_time;
use serde_json::Value;

use crate::events::InputRecord;

/// A configuration's format for these events. Its schemas are in the directory `schemas`.
pub const FORMAT: &str = r#"
[format.shop]
encoding = "avro"
schemas = "schemas"
customer_id = ["/userId", "/anonymousId"]
event = ["/event", "/type"]
time = "/timestamp"
event_id = "/messageId"
order_id = "/properties/order_id"
"#;

/// The first schema.
pub const FIRST: &str = r#"{
  "type": "record", "name": "Tracked", "namespace": "com.example.shop", "fields": [
    {"name": "userId", "type": "string"},
    {"name": "type", "type": "string"},
    {"name": "event", "type": ["null", "string"], "default": null},
    {"name": "messageId", "type": "string"},
    {"name": "timestamp", "type": {"type": "long", "logicalType": "timestamp-millis"}},
    {"name": "properties", "type": ["null", {"type": "map", "values": ["string", "double",
      {"type": "array", "items": {"type": "map", "values": ["string", "double"]}}]}], "default": null}
  ]}"#;

/// The same record some time later: a new field, and another order.
pub const SECOND: &str = r#"{
  "type": "record", "name": "Tracked", "namespace": "com.example.shop", "fields": [
    {"name": "channel", "type": {"type": "enum", "name": "Channel", "symbols": ["WEB", "APP"]}, "default": "WEB"},
    {"name": "properties", "type": ["null", {"type": "map", "values": ["string", "double",
      {"type": "array", "items": {"type": "map", "values": ["string", "double"]}}]}], "default": null},
    {"name": "timestamp", "type": {"type": "long", "logicalType": "timestamp-micros"}},
    {"name": "event", "type": ["null", "string"], "default": null},
    {"name": "type", "type": "string"},
    {"name": "userId", "type": "string"},
    {"name": "messageId", "type": "string"}
  ]}"#;

/// The fingerprints of the two schemas, as fastavro 1.13.1 computes them.
const FINGERPRINTS: [u64; 2] = [0x4e33_fedf_904f_18ff, 0xe89c_e3ae_ebe6_2ef8];

/// A schema, and how values of it are framed.
struct Framed {
    schema: Schema,
    header: Vec<u8>,
    is_second: bool,
}

static FRAMED: LazyLock<[Framed; 2]> = LazyLock::new(|| {
    [(FIRST, 0), (SECOND, 1)].map(|(text, index)| Framed {
        schema: Schema::parse_str(text).expect("a schema"),
        header: [&[0xc3, 0x01], &FINGERPRINTS[index].to_le_bytes()[..]].concat(),
        is_second: index == 1,
    })
});

/// An event of the generated shop as Avro, with the first or the second schema.
///
/// # Panics
/// If the record is not one of the generated shop's.
#[must_use]
pub fn avro(record: &InputRecord, is_second: bool) -> InputRecord {
    let line = record.value.as_ref().expect("an event");
    let line: Value = serde_json::from_slice(line).expect("JSON");
    InputRecord {
        value: Some(encode(&line, &FRAMED[usize::from(is_second)])),
        ..record.clone()
    }
}

fn encode(line: &Value, framed: &Framed) -> Vec<u8> {
    let text = |name: &str| line[name].as_str().map(str::to_owned);
    let mut record = Record::new(&framed.schema).expect("the schema of a record");
    for name in ["userId", "type", "messageId"] {
        record.put(name, text(name).expect("a text"));
    }
    record.put("event", optional(text("event").map(Avro::String)));
    let time_ms = parse_time(line["timestamp"].as_str().expect("a text")).expect("a time");
    let time = match framed.is_second {
        false => Avro::TimestampMillis(time_ms),
        true => Avro::TimestampMicros(time_ms * 1000),
    };
    record.put("timestamp", time);
    record.put("properties", optional(line.get("properties").map(value)));
    if framed.is_second {
        record.put("channel", Avro::Enum(1, "APP".to_owned()));
    }
    let writer = GenericDatumWriter::builder(&framed.schema);
    let writer = writer.build().expect("a writer");
    let datum = writer.write_value_to_vec(record).expect("a datum");
    [&framed.header[..], &datum].concat()
}

fn optional(value: Option<Avro>) -> Avro {
    match value {
        None => Avro::Union(0, Box::new(Avro::Null)),
        Some(value) => Avro::Union(1, Box::new(value)),
    }
}

/// A value of the properties. Those of a map are wrapped in the branches of its union.
fn value(value: &Value) -> Avro {
    match value {
        Value::String(text) => Avro::String(text.clone()),
        Value::Number(number) => Avro::Double(number.as_f64().expect("a number")),
        Value::Array(items) => Avro::Array(items.iter().map(self::value).collect()),
        Value::Object(members) => {
            let members = members.iter().map(|(name, member)| {
                let branch = match member {
                    Value::String(_) => 0,
                    Value::Number(_) => 1,
                    _ => 2,
                };
                let wrapped = Avro::Union(branch, Box::new(self::value(member)));
                (name.clone(), wrapped)
            });
            Avro::Map(members.collect::<HashMap<_, _>>())
        }
        _ => panic!("{value} is not in the generated shop"),
    }
}
