//! Orders to the trainer.

use flockwise_codec::lesson::{decode_lesson, encode_order};
use flockwise_core::trainer::{Lesson, Order, What};

use crate::{parts, plan};

fn order(what: What) -> Order {
    Order {
        what,
        who: "ann".to_owned(),
        why: "autumn".to_owned(),
        at_ms: 1_767_225_600_000,
    }
}

#[test]
fn an_approval() {
    let approval = order(What::Approve { version: 43 });
    let text = r#"{"order":"approve","version":43,"who":"ann","why":"autumn","at":"2026-01-01T00:00:00.000Z"}"#;
    assert_eq!(encode_order(&approval), text.as_bytes());
    assert_eq!(
        decode_lesson(text.as_bytes(), &plan()),
        Ok(Lesson::Order(approval))
    );
}

#[test]
fn models_that_are_to_be_used() {
    for what in [What::Import, What::Rollback] {
        let order = order(what(Box::new(parts())));
        let bytes = encode_order(&order);
        assert_eq!(decode_lesson(&bytes, &plan()), Ok(Lesson::Order(order)));
    }
}

#[test]
fn what_is_no_lesson_says_why() {
    let told = |bytes: &[u8]| decode_lesson(bytes, &plan()).unwrap_err();
    assert_eq!(told(b""), "neither a mini-batch nor an order");
    assert_eq!(told(b"\x07"), "neither a mini-batch nor an order");
    let cases = [
        ("{", "not an order: EOF"),
        (
            r#"{"order":"approve","who":"a","why":"b","at":"2026-01-01T00:00:00Z"}"#,
            "an order needs",
        ),
        (
            r#"{"order":"import","version":3,"who":"a","why":"b","at":"2026-01-01T00:00:00Z"}"#,
            "an order needs",
        ),
        (
            r#"{"order":"approve","version":3,"who":"a","why":"b","at":"now"}"#,
            "at of an order, `now` is not RFC 3339",
        ),
        (
            r#"{"order":"dance","who":"a","why":"b","at":"now"}"#,
            "not an order: unknown variant",
        ),
    ];
    for (text, expected) in cases {
        let found = told(text.as_bytes());
        assert!(found.starts_with(expected), "{found}");
    }
}
