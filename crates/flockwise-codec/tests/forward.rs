//! A forwarded event decodes to the event that was read.
#![allow(clippy::unwrap_used)]

use flockwise_codec::decode::Decoder;
use flockwise_codec::format::{Format, TimeRules};
use flockwise_codec::forward::{ForwardError, Origin, decode_forward, encode_forward};
use flockwise_core::event::{Event, Slot};
use flockwise_core::feature::{Aggregate, Condition, Feature, Test};
use flockwise_core::plan::Plan;
use flockwise_core::pointer::Pointer;
use proptest::prelude::*;
use serde_json::{Value, json};

const POINTERS: [&str; 4] = [
    "/properties/revenue",
    "/properties/products/*/price",
    "/properties/products/*/category",
    "/context",
];

fn plan() -> Plan {
    let condition = |pointer: &str| Condition {
        pointer: Pointer::parse(pointer).unwrap(),
        test: Test::Exists(true),
    };
    Plan::compile(&[Feature {
        events: vec!["Order Completed".to_owned()],
        aggregate: Aggregate::Sum,
        value: Some(Pointer::parse(POINTERS[0]).unwrap()),
        conditions: POINTERS[1..].iter().map(|text| condition(text)).collect(),
        ..Feature::count("spend")
    }])
}

const ORIGIN: Origin<'static> = Origin {
    topic: "shop.orders",
    partition: 3,
    offset: 912,
    timestamp_ms: 1_767_323_045_678,
};

fn decoded(plan: &Plan, value: &Value) -> Event {
    let mut event = Event::default();
    let any_year = TimeRules {
        earliest_ms: i64::MIN,
        ..TimeRules::default()
    };
    let format = Format {
        time_rules: any_year,
        ..Format::builtin("segment").unwrap()
    };
    let decoder = Decoder::new(&format, plan);
    let bytes = serde_json::to_vec(value).unwrap();
    decoder.decode(plan, Some(&bytes), &mut event).unwrap();
    event
}

fn encoded(plan: &Plan, event: &Event) -> Vec<u8> {
    let mut out = Vec::new();
    encode_forward(plan, event, &ORIGIN, &mut out);
    out
}

/// All parts of an event that a task can see.
fn visible(event: &Event) -> impl PartialEq + std::fmt::Debug {
    let text = |slot: &Slot| match slot {
        Slot::Text(range) => format!("text {}", event.text(range)),
        Slot::Number(number) => format!("number {:x}", number.to_bits()),
        other => format!("{other:?}"),
    };
    let slots = event.slots().map(|(pointer, slot)| (pointer, text(slot)));
    (
        (event.customer_id().to_owned(), event.customer_hash()),
        (event.name, event.name_hash, event.time_ms),
        (event.id, event.order),
        (text(&event.amount), event.is_so_far),
        slots.collect::<Vec<_>>(),
    )
}

fn order() -> Value {
    json!({
        "type": "track", "event": "Order Completed", "userId": "ünï-1", "messageId": "m1",
        "timestamp": "2026-01-02T03:04:05.678Z", "context": {},
        "properties": {"order_id": "o1", "revenue": 12.5, "products": [
            {"price": 5, "category": "tea"}, {"price": "6", "category": null}, {"price": true}]},
    })
}

/// During a rolling upgrade, instances of two versions read the same repartition topic.
#[test]
fn its_bytes_stay_as_they_are() {
    let plan = plan();
    let bytes = encoded(&plan, &decoded(&plan, &order()));
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, include_str!("golden/forward.hex").trim_end());
}

#[test]
fn the_amount_of_a_reversal_is_forwarded() {
    let plan = plan();
    let mut event = decoded(&plan, &order());
    event.amount = Slot::Number(12.5);
    event.is_so_far = true;
    let bytes = encoded(&plan, &event);
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, include_str!("golden/forward_amount.hex").trim_end());
    let mut forwarded = Event::default();
    assert_eq!(decode_forward(&plan, &bytes, &mut forwarded), Ok(ORIGIN));
    assert_eq!(visible(&forwarded), visible(&event));
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-1e12..1e12_f64).prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        Just(json!({"a": [1]})),
    ]
}

proptest! {
    #[test]
    fn what_is_forwarded_is_what_was_read(
        // Begins with a letter: an id of blanks, or 0, is no customer.
        customer in "[a-z]\\PC{0,8}",
        name in prop::sample::select(&["Order Completed", "Page Viewed"][..]),
        (id, order_id) in any::<(Option<u32>, Option<u32>)>(),
        time_ms in 0..2_000_000_000_000_i64,
        (revenue, context) in (value(), value()),
        (amount, is_so_far) in any::<(Option<f64>, bool)>(),
        products in prop::collection::vec((value(), value()), 0..5),
    ) {
        let products: Vec<Value> = products
            .into_iter()
            .map(|(price, category)| json!({"price": price, "category": category}))
            .collect();
        let mut read = json!({
            "userId": customer, "event": name, "timestamp": time_ms, "context": context,
            "properties": {"revenue": revenue, "products": products},
        });
        if let Some(id) = id {
            read["messageId"] = id.into();
        }
        if let Some(order_id) = order_id {
            read["properties"]["order_id"] = order_id.into();
        }
        let plan = plan();
        let mut event = decoded(&plan, &read);
        if let Some(amount) = amount {
            event.amount = Slot::Number(amount);
        }
        event.is_so_far = is_so_far;
        let bytes = encoded(&plan, &event);
        // Decode over another event: nothing of it may remain.
        let mut forwarded = decoded(&plan, &order());
        prop_assert_eq!(decode_forward(&plan, &bytes, &mut forwarded), Ok(ORIGIN));
        prop_assert_eq!(visible(&forwarded), visible(&event));
    }

    #[test]
    fn foreign_bytes_are_refused_and_nothing_else(bytes in any::<Vec<u8>>(), cut in 0..300_usize, flip in 0..300_usize) {
        let plan = plan();
        let mut event = Event::default();
        let _ = decode_forward(&plan, &bytes, &mut event);
        let whole = encoded(&plan, &decoded(&plan, &order()));
        let short = &whole[..cut.min(whole.len() - 1)];
        prop_assert_eq!(decode_forward(&plan, short, &mut event), Err(ForwardError::Malformed));
        let mut flipped = whole.clone();
        let place = flip % flipped.len();
        flipped[place] ^= 0x55;
        let _ = decode_forward(&plan, &flipped, &mut event);
    }
}

#[test]
fn one_of_another_plan_or_a_later_version_is_named() {
    let plan = plan();
    let mut bytes = encoded(&plan, &decoded(&plan, &order()));
    let other = Plan::compile(&[Feature::count("orders")]);
    let found = plan.fingerprint();
    let expected = other.fingerprint();
    assert_eq!(
        decode_forward(&other, &bytes, &mut Event::default()),
        Err(ForwardError::Plan { found, expected })
    );
    bytes[0] = 9;
    assert_eq!(
        decode_forward(&plan, &bytes, &mut Event::default()),
        Err(ForwardError::Version { found: 9 })
    );
}
