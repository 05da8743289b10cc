//! Decodes random bytes and mutated documents, and compares random documents with a naive walk.

use flockwise_codec::decode::Decoder;
use flockwise_core::event::{Event, Values};
use flockwise_core::pointer::{Pointer, PointerStep};
use proptest::prelude::*;
use serde_json::{Map, Value};

use crate::script::{native, plan, show, story};

/// Names that documents and pointers share. Some are indices of elements.
const NAMES: [&str; 7] = ["a", "b", "0", "1", "01", "~/", "é"];
const POINTERS: [&str; 17] = [
    "/a",
    "/b/a",
    "/a/*",
    "/a/0",
    "/a/*/b",
    "/a/0/b",
    "/a/*/*",
    "/a/1/*",
    "/b/*/0",
    "/~0~1",
    "/b/01",
    "/é/a",
    "/a[b=x]/a",
    "/a[b=7]/a",
    "/b[a=x]/b/*",
    "/a/*/b[a=x]/0",
    "/a[a=x]",
];

fn leaf() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-1000_i64..1000).prop_map(Value::from),
        (-1e15..1e15_f64).prop_map(Value::from),
        "[a-cé\"\\\\\\n]{0,4}".prop_map(Value::from),
        Just(Value::from("x")),
        Just(Value::from(7)),
    ]
}

fn document() -> impl Strategy<Value = Value> {
    leaf().prop_recursive(5, 60, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            members(inner),
        ]
    })
}

fn members(value: impl Strategy<Value = Value>) -> impl Strategy<Value = Value> {
    prop::collection::vec((prop::sample::select(&NAMES[..]), value), 0..6).prop_map(|members| {
        let members = members
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value));
        Value::Object(members.collect::<Map<_, _>>())
    })
}

fn whole_event() -> impl Strategy<Value = Value> {
    members(document()).prop_map(|mut event| {
        event["customer_id"] = Value::from("c");
        event["event"] = Value::from("e");
        event["time"] = Value::from(0);
        event
    })
}

/// Collects all values that a pointer finds, in document order.
fn walk<'v>(value: &'v Value, steps: &[PointerStep], found: &mut Vec<&'v Value>) {
    let Some((step, rest)) = steps.split_first() else {
        found.push(value);
        return;
    };
    match (step, value) {
        (PointerStep::Every, Value::Array(elements)) => {
            elements
                .iter()
                .for_each(|element| walk(element, rest, found));
        }
        (PointerStep::Where { name, text }, Value::Array(elements)) => {
            let is_wanted = |element: &&Value| match &element[name] {
                Value::String(key) => key == text,
                Value::Number(key) if !key.is_f64() => key.to_string() == *text,
                _ => false,
            };
            let wanted = elements.iter().filter(is_wanted);
            wanted.for_each(|element| walk(element, rest, found));
        }
        (PointerStep::Name(name), Value::Object(members)) => {
            members
                .get(name)
                .into_iter()
                .for_each(|member| walk(member, rest, found));
        }
        (PointerStep::Name(name), Value::Array(elements)) => {
            let place: Option<usize> = name.parse().ok();
            let place = place.filter(|place| place.to_string() == *name);
            let element = place.and_then(|place| elements.get(place));
            element
                .into_iter()
                .for_each(|element| walk(element, rest, found));
        }
        _ => {}
    }
}

/// A text of blanks is as absent as null.
pub(crate) fn is_blank(text: Option<&str>) -> bool {
    text.is_some_and(|text| text.chars().all(char::is_whitespace))
}

fn expected(document: &Value, pointer: &Pointer) -> Vec<String> {
    let mut found = Vec::new();
    walk(document, pointer.steps(), &mut found);
    found
        .into_iter()
        .filter(|value| !value.is_null() && !is_blank(value.as_str()))
        .map(|value| match value {
            Value::Array(_) | Value::Object(_) => "[]".to_owned(),
            Value::Number(number) => number.as_f64().unwrap().to_string(),
            Value::String(text) => format!("{text:?}"),
            other => other.to_string(),
        })
        .collect()
}

/// A place, what happens there (a byte is replaced, inserted, or the rest is cut off), and the byte.
pub(crate) type Mutation = (prop::sample::Index, u8, u8);

pub(crate) fn mutations() -> impl Strategy<Value = Vec<Mutation>> {
    prop::collection::vec((any::<prop::sample::Index>(), 0..3_u8, any::<u8>()), 1..8)
}

pub(crate) fn mutate(bytes: &mut Vec<u8>, mutations: &[Mutation]) {
    for (place, kind, byte) in mutations {
        let place = place.index(bytes.len());
        match kind {
            0 => bytes[place] = *byte,
            1 => bytes.insert(place, *byte),
            _ => bytes.truncate(place.max(1)),
        }
    }
}

proptest! {
    #[test]
    fn the_projection_fills_what_a_naive_walk_finds(
        document in whole_event(),
        pointers in prop::sample::subsequence(&POINTERS[..], 1..POINTERS.len()),
    ) {
        let plan = plan(&pointers);
        let bytes = serde_json::to_vec(&document).unwrap();
        let mut event = Event::default();
        let decoded = Decoder::new(&native(), &plan).decode(&plan, Some(&bytes), &mut event);
        prop_assert_eq!(decoded, Ok(()));
        for (index, pointer) in plan.pointers().iter().enumerate() {
            let many = pointer.is_many();
            let mut found: Vec<String> = event
                .values(Values { index, many })
                .map(|slot| show(&event, slot))
                .collect();
            if !many {
                found.retain(|value| value != "null");
            }
            let mut expected = expected(&document, pointer);
            if !many {
                // If several elements have the key, the last value counts.
                expected.drain(..expected.len().saturating_sub(1));
            }
            prop_assert_eq!(found, expected, "{} in {}", pointer, document);
        }
    }

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let told = story(&native(), &plan(&POINTERS), Some(&bytes));
        prop_assert!(!told.is_empty());
    }

    #[test]
    fn mutated_documents_never_panic(
        document in whole_event(),
        mutations in mutations(),
    ) {
        let mut bytes = serde_json::to_vec(&document).unwrap();
        mutate(&mut bytes, &mutations);
        let told = story(&native(), &plan(&POINTERS), Some(&bytes));
        prop_assert!(told.len() < 5000, "{told}");
    }

    #[test]
    fn a_decoder_forgets_the_event_before(first in whole_event(), second in whole_event()) {
        let plan = plan(&POINTERS);
        let decoder = Decoder::new(&native(), &plan);
        let mut event = Event::default();
        let _ = decoder.decode(&plan, Some(&serde_json::to_vec(&first).unwrap()), &mut event);
        let bytes = serde_json::to_vec(&second).unwrap();
        let _ = decoder.decode(&plan, Some(&bytes), &mut event);
        let mut fresh = Event::default();
        let _ = decoder.decode(&plan, Some(&bytes), &mut fresh);
        prop_assert_eq!(format!("{event:?}"), format!("{fresh:?}"));
    }
}
