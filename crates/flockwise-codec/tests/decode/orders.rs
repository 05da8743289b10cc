//! Joined ids, and the amounts that reversals state.

use flockwise_codec::decode::Decoder;
use flockwise_codec::format::{Format, ReversalFormat};
use flockwise_codec::normalization::IdNormalization;
use flockwise_core::event::{Event, Slot};
use flockwise_core::feature::{Aggregate, Feature};
use flockwise_core::plan::Plan;
use flockwise_core::pointer::Pointer;

fn pointer(text: &str) -> Pointer {
    Pointer::parse(text).unwrap()
}

/// A plan in which refunds reverse orders.
fn plan() -> Plan {
    Plan::compile(&[Feature {
        events: vec!["Order Completed".to_owned()],
        reversed_by: vec!["Order Refunded".to_owned()],
        aggregate: Aggregate::Sum,
        value: Some(pointer("/properties/revenue")),
        ..Feature::count("spend")
    }])
}

fn decoded(format: &Format, event: &str) -> Event {
    let (plan, mut decoded) = (plan(), Event::default());
    let decoder = Decoder::new(format, &plan);
    decoder
        .decode(&plan, Some(event.as_bytes()), &mut decoded)
        .unwrap();
    decoded
}

#[test]
fn a_segment_refund_states_its_amount_in_several_ways() {
    let segment = Format::builtin("segment").unwrap();
    let refund = |properties: &str| {
        let event = format!(
            r#"{{"userId":"u","event":"Order Refunded","timestamp":"2026-03-01T10:00:00Z","properties":{properties}}}"#
        );
        decoded(&segment, &event).amount
    };
    for (properties, amount) in [
        (r#"{"revenue":10,"total":12}"#, Slot::Number(10.0)),
        (
            r#"{"total":12,"value":9,"revenue":null}"#,
            Slot::Number(12.0),
        ),
        (r#"{"order_id":"o"}"#, Slot::Absent),
        (r#"{"total":"","products":[]}"#, Slot::Absent),
        (
            r#"{"products":[{"price":5,"quantity":2},{"price":"2.5"}]}"#,
            Slot::Number(12.5),
        ),
        // The quantity stands before the price, and the amount before the products.
        (
            r#"{"products":[{"quantity":3,"price":4}],"total":7}"#,
            Slot::Number(7.0),
        ),
        // Which part of the order these are, nobody can tell.
        (
            r#"{"products":[{"product_id":"p","quantity":2}]}"#,
            Slot::Composite,
        ),
        (
            r#"{"products":[{"price":5,"quantity":"two"}]}"#,
            Slot::Composite,
        ),
    ] {
        assert_eq!(refund(properties), amount, "{properties}");
    }
    let order = r#"{"userId":"u","event":"Order Completed","timestamp":"2026-03-01T10:00:00Z","properties":{"total":12}}"#;
    assert_eq!(decoded(&segment, order).amount, Slot::Absent);
}

#[test]
fn a_format_says_whether_amounts_are_so_far() {
    let stripe = Format {
        reversal: ReversalFormat {
            amount: vec![pointer("/refunded")],
            is_cumulative: true,
            ..ReversalFormat::default()
        },
        ..Format::builtin("native").unwrap()
    };
    let event = r#"{"customer_id":"u","event":"Order Refunded","time":"2026-03-01T10:00:00Z","refunded":"10.5"}"#;
    let event = decoded(&stripe, event);
    assert!(event.is_so_far);
    assert_eq!(event.number(&event.amount), Some(10.5));
}

#[test]
fn an_id_of_several_parts_needs_all_of_them() {
    let format = Format {
        event_id: vec![
            vec![pointer("/source"), pointer("/id")],
            vec![pointer("/id")],
        ],
        ..Format::builtin("native").unwrap()
    };
    let id = |fields: &str| {
        let event = format!(r#"{{"customer_id":"u","event":"e","time":1772359200,{fields}}}"#);
        decoded(&format, &event).id
    };
    let first = id(r#""source":"/a","id":"1""#);
    assert!(first.is_some());
    assert_eq!(id(r#""id":1,"source":" /a ""#), first);
    assert_ne!(id(r#""source":"/b","id":"1""#), first);
    assert_ne!(
        id(r#""source":"/a1","id":"""#),
        id(r#""source":"/a","id":"1""#)
    );
    // Without a source, the id alone counts; a placeholder is no id.
    assert_eq!(id(r#""id":"1""#), id(r#""source":"null","id":"1""#));
    assert_eq!(id(r#""source":"/a""#), None);
}

#[test]
fn a_customer_id_is_normalised_if_the_format_says_so() {
    let format = Format {
        normalization: IdNormalization {
            lowercase: true,
            nfc: true,
        },
        ..Format::builtin("native").unwrap()
    };
    let customer = |id: &str| {
        let event = format!(r#"{{"customer_id":"{id}","event":"e","time":1772359200}}"#);
        decoded(&format, &event)
    };
    let (composed, decomposed) = (customer("ZO\u{cb}@x"), customer(" zoe\u{308}@X "));
    assert_eq!(composed.customer_id(), "zo\u{eb}@x");
    assert_eq!(decomposed.customer_id(), composed.customer_id());
    assert_eq!(decomposed.customer_hash(), composed.customer_hash());
}

#[test]
fn a_part_that_is_no_id_rejects_the_event() {
    let format = Format {
        event_id: vec![vec![pointer("/source"), pointer("/id")]],
        ..Format::builtin("native").unwrap()
    };
    let (plan, mut event) = (plan(), Event::default());
    let value = br#"{"customer_id":"u","event":"e","time":1772359200,"source":"/a","id":[1]}"#;
    let refused = Decoder::new(&format, &plan).decode(&plan, Some(value), &mut event);
    let text = format!("{refused:?}");
    assert!(text.contains("event_id is an object or an array"), "{text}");
}
