//! Compares random Avro records, written by another library, with a naive walk over the values that were written.

use std::fmt::Write;

use apache_avro::types::Value;
use apache_avro::writer::datum::GenericDatumWriter;
use apache_avro::{Decimal, Schema};
use flockwise_codec::decode::{AvroSchema, Decoder, SchemaId, Undecoded};
use flockwise_core::event::{Event, Values};
use flockwise_core::pointer::{Pointer, PointerStep};
use proptest::prelude::*;

use crate::avro::avro;
use crate::random::{is_blank, mutate, mutations};
use crate::script::{plan, show};

/// Names that fields, keys of maps and pointers share.
const NAMES: [&str; 4] = ["a", "b", "c", "d"];
const POINTERS: [&str; 12] = [
    "/a", "/b/a", "/a/*", "/a/0", "/a/*/b", "/a/0/b", "/a/*/*", "/a/1/*", "/b/*/0", "/c", "/d/c/b",
    "/b/b",
];
const SYMBOLS: [&str; 3] = ["RED", "GREEN", "BLUE"];

/// A type and its values.
#[derive(Clone, Debug)]
enum Type {
    Null,
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    Text,
    Fixed(usize),
    Symbol,
    Decimal(u32),
    FixedDecimal(u32),
    TimestampMillis,
    TimestampMicros,
    Date,
    Array(Box<Type>),
    Map(Box<Type>),
    Optional(Box<Type>),
    Record(Vec<(&'static str, Type)>),
}

fn any_type() -> impl Strategy<Value = Type> {
    let leaf = prop_oneof![
        Just(Type::Null),
        Just(Type::Boolean),
        Just(Type::Int),
        Just(Type::Long),
        Just(Type::Float),
        Just(Type::Double),
        Just(Type::Bytes),
        Just(Type::Text),
        (0..20_usize).prop_map(Type::Fixed),
        Just(Type::Symbol),
        (0..12_u32).prop_map(Type::Decimal),
        (0..12_u32).prop_map(Type::FixedDecimal),
        Just(Type::TimestampMillis),
        Just(Type::TimestampMicros),
        Just(Type::Date),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let optional = inner.clone().prop_filter("a branch of its own", |inner| {
            !matches!(inner, Type::Null | Type::Optional(_))
        });
        prop_oneof![
            inner.clone().prop_map(|items| Type::Array(Box::new(items))),
            inner.clone().prop_map(|values| Type::Map(Box::new(values))),
            optional.prop_map(|inner| Type::Optional(Box::new(inner))),
            fields(inner).prop_map(Type::Record),
        ]
    })
}

fn fields(inner: impl Strategy<Value = Type>) -> impl Strategy<Value = Vec<(&'static str, Type)>> {
    let names = prop::sample::subsequence(&NAMES[..], 0..=NAMES.len()).prop_shuffle();
    (names, prop::collection::vec(inner, NAMES.len()))
        .prop_map(|(names, types)| names.into_iter().zip(types).collect())
}

impl Type {
    /// The schema as JSON. `count` makes the names of named types unique.
    fn schema(&self, count: &mut usize) -> String {
        *count += 1;
        let number = *count;
        match self {
            Self::Null => "\"null\"".to_owned(),
            Self::Boolean => "\"boolean\"".to_owned(),
            Self::Int => "\"int\"".to_owned(),
            Self::Long => "\"long\"".to_owned(),
            Self::Float => "\"float\"".to_owned(),
            Self::Double => "\"double\"".to_owned(),
            Self::Bytes => "\"bytes\"".to_owned(),
            Self::Text => "\"string\"".to_owned(),
            Self::Fixed(size) => format!(r#"{{"type":"fixed","name":"F{number}","size":{size}}}"#),
            Self::Symbol => {
                format!(r#"{{"type":"enum","name":"E{number}","symbols":["RED","GREEN","BLUE"]}}"#)
            }
            Self::Decimal(scale) => format!(
                r#"{{"type":"bytes","logicalType":"decimal","precision":18,"scale":{scale}}}"#
            ),
            Self::FixedDecimal(scale) => format!(
                r#"{{"type":"fixed","name":"D{number}","size":9,"logicalType":"decimal","precision":18,"scale":{scale}}}"#
            ),
            Self::TimestampMillis => logical("long", "timestamp-millis"),
            Self::TimestampMicros => logical("long", "timestamp-micros"),
            Self::Date => logical("int", "date"),
            Self::Array(items) => {
                format!(r#"{{"type":"array","items":{}}}"#, items.schema(count))
            }
            Self::Map(values) => format!(r#"{{"type":"map","values":{}}}"#, values.schema(count)),
            Self::Optional(inner) => format!(r#"["null",{}]"#, inner.schema(count)),
            Self::Record(fields) => record(&format!("R{number}"), fields, "", count),
        }
    }

    fn value(&self) -> BoxedStrategy<Value> {
        match self {
            Self::Null => Just(Value::Null).boxed(),
            Self::Boolean => any::<bool>().prop_map(Value::Boolean).boxed(),
            Self::Int => any::<i32>().prop_map(Value::Int).boxed(),
            Self::Long => (-1_000_000_000_000_000..=1_000_000_000_000_000_i64)
                .prop_map(Value::Long)
                .boxed(),
            Self::Float => (-1e15..1e15_f32).prop_map(Value::Float).boxed(),
            Self::Double => (-1e15..1e15_f64).prop_map(Value::Double).boxed(),
            Self::Bytes => bytes(0..9).prop_map(Value::Bytes).boxed(),
            Self::Text => "[a-cé\"\\n]{0,4}".prop_map(Value::String).boxed(),
            Self::Fixed(size) => {
                let size = *size;
                bytes(size..=size)
                    .prop_map(move |bytes| Value::Fixed(size, bytes))
                    .boxed()
            }
            Self::Symbol => (0..SYMBOLS.len())
                .prop_map(|index| Value::Enum(index as u32, SYMBOLS[index].to_owned()))
                .boxed(),
            Self::Decimal(_) | Self::FixedDecimal(_) => (-1_000_000_000_000_000
                ..1_000_000_000_000_000_i64)
                .prop_map(|unscaled| Value::Decimal(Decimal::from(unscaled.to_be_bytes())))
                .boxed(),
            Self::TimestampMillis => (-1_000_000_000_000_000..1_000_000_000_000_000_i64)
                .prop_map(Value::TimestampMillis)
                .boxed(),
            Self::TimestampMicros => (-1_000_000_000_000_000_000..1_000_000_000_000_000_000_i64)
                .prop_map(Value::TimestampMicros)
                .boxed(),
            Self::Date => any::<i32>().prop_map(Value::Date).boxed(),
            Self::Array(items) => prop::collection::vec(items.value(), 0..4)
                .prop_map(Value::Array)
                .boxed(),
            Self::Map(values) => {
                let name = prop::sample::select(&NAMES[..]).prop_map(str::to_owned);
                prop::collection::hash_map(name, values.value(), 0..4)
                    .prop_map(Value::Map)
                    .boxed()
            }
            Self::Optional(inner) => prop_oneof![
                Just(Value::Union(0, Box::new(Value::Null))),
                inner
                    .value()
                    .prop_map(|value| Value::Union(1, Box::new(value))),
            ]
            .boxed(),
            Self::Record(fields) => fields
                .iter()
                .map(|(name, field)| (Just((*name).to_owned()), field.value()))
                .collect::<Vec<_>>()
                .prop_map(Value::Record)
                .boxed(),
        }
    }
}

fn bytes(length: impl Into<prop::collection::SizeRange>) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), length)
}

fn logical(base: &str, name: &str) -> String {
    format!(r#"{{"type":"{base}","logicalType":"{name}"}}"#)
}

fn record(name: &str, fields: &[(&'static str, Type)], more: &str, count: &mut usize) -> String {
    let mut text = String::new();
    for (field, inner) in fields {
        let comma = if text.is_empty() { "" } else { "," };
        let schema = inner.schema(count);
        write!(text, r#"{comma}{{"name":"{field}","type":{schema}}}"#).unwrap();
    }
    let comma = if text.is_empty() || more.is_empty() {
        ""
    } else {
        ","
    };
    format!(r#"{{"type":"record","name":"{name}","fields":[{text}{comma}{more}]}}"#)
}

/// A record type with random fields, and a value of it.
fn whole_event() -> impl Strategy<Value = (String, Value)> {
    const IDENTITY: &str = r#"{"name":"customer_id","type":"string"},{"name":"event","type":"string"},{"name":"time","type":"long"}"#;
    fields(any_type()).prop_flat_map(|fields| {
        let schema = record("Event", &fields, IDENTITY, &mut 0);
        let value = Type::Record(fields).value().prop_map(|value| {
            let Value::Record(mut fields) = value else {
                unreachable!("the value of a record");
            };
            for (name, value) in [
                ("customer_id", Value::String("c".to_owned())),
                ("event", Value::String("e".to_owned())),
                ("time", Value::Long(0)),
            ] {
                fields.push((name.to_owned(), value));
            }
            Value::Record(fields)
        });
        (Just(schema), value)
    })
}

/// Collects all values that a pointer finds, in the order in which they were written.
fn walk<'v>(value: &'v Value, steps: &[PointerStep], found: &mut Vec<&'v Value>) {
    if let Value::Union(_, value) = value {
        return walk(value, steps, found);
    }
    let Some((step, rest)) = steps.split_first() else {
        found.push(value);
        return;
    };
    match (step, value) {
        (PointerStep::Every, Value::Array(elements)) => elements
            .iter()
            .for_each(|element| walk(element, rest, found)),
        (PointerStep::Name(name), Value::Record(fields)) => fields
            .iter()
            .filter(|(known, _)| known == name)
            .for_each(|(_, field)| walk(field, rest, found)),
        (PointerStep::Name(name), Value::Map(members)) => members
            .get(name)
            .into_iter()
            .for_each(|member| walk(member, rest, found)),
        (PointerStep::Name(name), Value::Array(elements)) => name
            .parse()
            .ok()
            .and_then(|index: usize| elements.get(index))
            .into_iter()
            .for_each(|element| walk(element, rest, found)),
        _ => {}
    }
}

/// What the values mean, as [`show`] writes it. `scales` are those of the decimals, in the order in which they are found.
fn expected(value: &Value, pointer: &Pointer) -> Vec<Option<String>> {
    let mut found = Vec::new();
    walk(value, pointer.steps(), &mut found);
    let number = |number: f64| Some(number.to_string());
    found
        .into_iter()
        .filter(|value| match value {
            Value::Null => false,
            Value::String(text) => !is_blank(Some(text)),
            _ => true,
        })
        .map(|value| match value {
            Value::Boolean(flag) => Some(flag.to_string()),
            Value::Int(value) | Value::Date(value) => number(f64::from(*value)),
            Value::Long(value) | Value::TimestampMillis(value) => number(*value as f64),
            Value::Float(value) => number(f64::from(*value)),
            Value::Double(value) => number(*value),
            Value::TimestampMicros(value) => number(value.div_euclid(1000) as f64),
            Value::String(text) | Value::Enum(_, text) => Some(format!("{text:?}")),
            // Its scale is known only to the schema: see the test of decimals.
            Value::Decimal(_) => None,
            _ => Some("[]".to_owned()),
        })
        .collect()
}

fn encode(schema: &str, value: &Value) -> Vec<u8> {
    let schema = Schema::parse_str(schema).unwrap();
    let writer = GenericDatumWriter::builder(&schema).build().unwrap();
    writer.write_value_to_vec(value.clone()).unwrap()
}

proptest! {
    #[test]
    fn the_projection_fills_what_a_naive_walk_finds(
        (schema, value) in whole_event(),
        pointers in prop::sample::subsequence(&POINTERS[..], 1..POINTERS.len()),
    ) {
        let plan = plan(&pointers);
        let bytes = encode(&schema, &value);
        let mut decoder = Decoder::new(&avro(), &plan);
        decoder.learn(SchemaId::Only, &AvroSchema::parse(&schema).unwrap());
        let mut event = Event::default();
        prop_assert_eq!(decoder.decode(&plan, Some(&bytes), &mut event), Ok(()), "{}", schema);
        for (index, pointer) in plan.pointers().iter().enumerate() {
            let many = pointer.is_many();
            let found = event.values(Values { index, many }).map(|slot| show(&event, slot));
            let found: Vec<String> = found.filter(|value| many || value != "null").collect();
            let expected = expected(&value, pointer);
            prop_assert_eq!(found.len(), expected.len(), "{} in {:?}", pointer, value);
            for (found, expected) in found.iter().zip(expected) {
                let expected = expected.as_ref().unwrap_or(found);
                prop_assert_eq!(found, expected, "{} in {:?}", pointer, value);
            }
        }
    }

    #[test]
    fn mutated_records_never_panic(
        (schema, value) in whole_event(),
        mutations in mutations(),
    ) {
        let mut bytes = encode(&schema, &value);
        mutate(&mut bytes, &mutations);
        let plan = plan(&POINTERS);
        let mut decoder = Decoder::new(&avro(), &plan);
        decoder.learn(SchemaId::Only, &AvroSchema::parse(&schema).unwrap());
        let decoded = decoder.decode(&plan, Some(&bytes), &mut Event::default());
        prop_assert!(!matches!(decoded, Err(Undecoded::UnknownSchema(_))));
    }
}
