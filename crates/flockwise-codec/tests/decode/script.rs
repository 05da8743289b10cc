//! `check`: decodes each document of a script and compares the result with the expected text.

use std::fmt::Write;

use flockwise_codec::decode::{Decoder, Reject, Undecoded};
use flockwise_codec::format::{Format, TimeRules};
use flockwise_codec::time::write_time;
use flockwise_core::event::{Event, Slot, Values, hash};
use flockwise_core::feature::{Condition, Feature, Test};
use flockwise_core::plan::Plan;
use flockwise_core::pointer::Pointer;

/// An event holds ids as hashes. These ids are shown by name.
const KNOWN_IDS: [&str; 7] = ["e1", "e2", "o9", "17", "-3", "", "18446744073709551615"];

/// A plan that wants the values at some pointers.
pub(crate) fn plan(pointers: &[&str]) -> Plan {
    let features: Vec<Feature> = pointers
        .iter()
        .map(|pointer| Feature {
            events: vec!["Order".to_owned(), "page".to_owned()],
            conditions: vec![Condition {
                pointer: Pointer::parse(pointer).unwrap(),
                test: Test::Exists(true),
            }],
            ..Feature::count(*pointer)
        })
        .collect();
    Plan::compile(&features)
}

/// Decodes a document to text: customer, event name (`?` if no feature uses it), time, ids, values.
pub(crate) fn story(format: &Format, plan: &Plan, value: Option<&[u8]>) -> String {
    let mut event = Event::default();
    match Decoder::new(format, plan).decode(plan, value, &mut event) {
        Ok(()) => tell(plan, &event),
        Err(Undecoded::Reject(Reject { reason, detail })) => format!("{}: {detail}", reason.name()),
        Err(Undecoded::UnknownSchema(id)) => panic!("{id}: JSON has no schemas"),
    }
}

pub(crate) fn tell(plan: &Plan, event: &Event) -> String {
    let name = event
        .name
        .map_or("?", |name| &plan.names()[usize::from(name)]);
    let mut told = format!(
        "{} {name} {}",
        event.customer_id(),
        write_time(event.time_ms)
    );
    for (what, id) in [("id", event.id), ("order", event.order)] {
        if let Some(id) = id {
            let known = KNOWN_IDS.iter().find(|text| hash(text.as_bytes()) == id);
            write!(told, " {what}={}", known.unwrap_or(&"unknown")).unwrap();
        }
    }
    for (index, pointer) in plan.pointers().iter().enumerate() {
        let many = pointer.is_many();
        let values: Vec<String> = event
            .values(Values { index, many })
            .filter(|slot| many || **slot != Slot::Absent)
            .map(|slot| show(event, slot))
            .collect();
        if !values.is_empty() {
            write!(told, " {pointer}={}", values.join(",")).unwrap();
        }
    }
    told
}

/// A value as JSON; `[]` for an object or an array.
pub(crate) fn show(event: &Event, slot: &Slot) -> String {
    match slot {
        Slot::Absent => "null".to_owned(),
        Slot::Bool(value) => value.to_string(),
        Slot::Number(number) => number.to_string(),
        Slot::Text(range) => format!("{:?}", event.text(range)),
        Slot::Composite => "[]".to_owned(),
    }
}

/// Runs a script. Each line is a document and, after `=>`, the expected text.
pub(crate) fn check(format: &Format, pointers: &[&str], script: &str) {
    let plan = plan(pointers);
    for line in script
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
    {
        let (document, expected) = line.split_once(" => ").unwrap();
        let found = story(format, &plan, Some(document.as_bytes()));
        assert_eq!(found, expected, "of {document}");
    }
}

/// Like [`check`], for a document that is not a line of text.
pub(crate) fn check_bytes(document: impl AsRef<[u8]>, expected: &str) {
    let found = story(&native(), &plan(&["/x", "/a/*"]), Some(document.as_ref()));
    let shown = String::from_utf8_lossy(document.as_ref());
    let shown: String = shown.chars().take(80).collect();
    assert_eq!(found, expected, "of {shown}");
}

/// The native format, for times of any year.
pub(crate) fn native() -> Format {
    builtin("native")
}

/// A built-in format that accepts any time, so that a document that shows something else has a short one.
pub(crate) fn builtin(name: &str) -> Format {
    Format {
        time_rules: any_year(),
        ..Format::builtin(name).unwrap()
    }
}

pub(crate) fn any_year() -> TimeRules {
    TimeRules {
        earliest_ms: i64::MIN,
        ..TimeRules::default()
    }
}
