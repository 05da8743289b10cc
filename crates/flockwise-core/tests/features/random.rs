//! Random plans and random events.

use flockwise_core::feature::{Aggregate, Condition, Constant, Feature, Horizon, Test, Transform};
use flockwise_core::pointer::Pointer;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use crate::document::{Document, Value};

pub(crate) const HOUR_MS: i64 = 3_600_000;
pub(crate) const DAY_MS: i64 = 24 * HOUR_MS;

const NAMES: [&str; 4] = ["A", "B", "C", "Refund"];
const TEXTS: [&str; 9] = [
    "web", "webshop", "", "1", "-1.50", " 0.25\t", "1e3", "1,5", "true",
];

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        3 => (-8_i32..8).prop_map(|x| Value::Number(f64::from(x) * 0.25)),
        1 => select(&[1e15, -1e15, 0.1][..]).prop_map(Value::Number),
        1 => Just(Value::Absent),
        1 => any::<bool>().prop_map(Value::Bool),
        1 => select(&TEXTS[..]).prop_map(Value::Text),
        1 => Just(Value::Composite),
    ]
}

/// Times over two months, often at the edge of an hour or a day; some are equal.
fn time_ms() -> impl Strategy<Value = i64> {
    prop_oneof![
        0..60 * DAY_MS,
        (0_i64..60).prop_map(|day| day * DAY_MS),
        (0_i64..60 * 24, -1_i64..=1).prop_map(|(hour, off)| hour * HOUR_MS + off),
    ]
    .prop_map(|time_ms| time_ms - 10 * DAY_MS)
}

fn document() -> impl Strategy<Value = Document> {
    let values = vec(value(), 0..4);
    (select(&NAMES[..]), time_ms(), value(), value(), values).prop_map(
        |(name, time_ms, x, s, n)| Document {
            name,
            time_ms,
            x,
            s,
            n,
        },
    )
}

/// Documents and an order of arrival.
pub(crate) fn documents() -> impl Strategy<Value = (Vec<Document>, Vec<usize>)> {
    vec(document(), 1..40).prop_flat_map(|documents| {
        let order: Vec<usize> = (0..documents.len()).collect();
        (Just(documents), Just(order).prop_shuffle())
    })
}

fn horizon() -> impl Strategy<Value = Horizon> {
    prop_oneof![
        select(&[3, 7, 30][..]).prop_map(|days| Horizon::HalfLife(days * DAY_MS)),
        windows(),
        Just(Horizon::Lifetime),
    ]
}

fn windows() -> impl Strategy<Value = Horizon> {
    select(
        &[
            (HOUR_MS, 1),
            (DAY_MS, 24),
            (7 * DAY_MS, 7),
            (30 * DAY_MS, 30),
            (30 * DAY_MS, 1),
            (400, 400),
        ][..],
    )
    .prop_map(|(span_ms, buckets)| Horizon::Window { span_ms, buckets })
}

fn condition() -> impl Strategy<Value = Condition> {
    let constant = prop_oneof![
        select(&TEXTS[..]).prop_map(|text| Constant::Text(text.to_owned())),
        (-2_i32..2).prop_map(|x| Constant::Number(f64::from(x))),
        any::<bool>().prop_map(Constant::Bool),
    ];
    let bound = (-4_i32..4).prop_map(|x| f64::from(x) * 0.5);
    let test = prop_oneof![
        vec(constant.clone(), 1..3).prop_map(Test::In),
        constant.prop_map(Test::NotEqual),
        bound.clone().prop_map(Test::Greater),
        bound.clone().prop_map(Test::AtLeast),
        bound.clone().prop_map(Test::Less),
        bound.prop_map(Test::AtMost),
        any::<bool>().prop_map(Test::Exists),
        Just(Test::Prefix("web".to_owned())),
    ];
    let pointer = select(&["/x", "/s", "/n/*"][..]);
    (pointer, test).prop_map(|(pointer, test)| Condition {
        pointer: Pointer::parse(pointer).unwrap(),
        test,
    })
}

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// A feature that the configuration would accept.
pub(crate) fn feature() -> impl Strategy<Value = Feature> {
    let aggregate = select(&Aggregate::ALL[..]).prop_map(|(_, aggregate)| aggregate);
    let value = select(&["/x", "/n/*"][..]);
    let names = (subsequence(&NAMES[..3], 0..=3), any::<bool>());
    let conditions = (vec(condition(), 0..2), vec(condition(), 0..3));
    let shape = (
        select(&[Transform::None, Transform::Log1p, Transform::Sqrt][..]),
        prop::option::of(Just((-1.5, 3.0))),
        select(&[0.0, 365.0][..]),
    );
    (aggregate, horizon(), names, conditions, value, shape).prop_map(
        |(
            aggregate,
            horizon,
            (events, is_reversed),
            (base, conditions),
            value,
            (transform, clip, default),
        )| {
            let is_reversed = is_reversed && aggregate.is_additive() && !events.is_empty();
            let is_endless = !aggregate.is_additive() && matches!(horizon, Horizon::HalfLife(_));
            Feature {
                events: owned(&events),
                base,
                conditions,
                horizon: if is_endless {
                    Horizon::Lifetime
                } else {
                    horizon
                },
                reversed_by: if is_reversed {
                    owned(&["Refund"])
                } else {
                    vec![]
                },
                default,
                transform,
                clip,
                ..one(aggregate, value)
            }
        },
    )
}

fn one(aggregate: Aggregate, value: &str) -> Feature {
    Feature {
        aggregate,
        value: aggregate
            .has_value()
            .then(|| Pointer::parse(value).unwrap()),
        ..Feature::count("feature")
    }
}

/// Every aggregate over every horizon, without conditions.
pub(crate) fn plain() -> Vec<Feature> {
    let horizons = [
        Horizon::HalfLife(HOUR_MS),
        Horizon::Window {
            span_ms: 30 * DAY_MS,
            buckets: 30,
        },
        Horizon::Lifetime,
    ];
    let mut features = Vec::new();
    for (_, aggregate) in Aggregate::ALL {
        for horizon in horizons {
            if aggregate.is_additive() || !matches!(horizon, Horizon::HalfLife(_)) {
                features.push(Feature {
                    horizon,
                    default: 7.0,
                    ..one(aggregate, "/x")
                });
            }
        }
    }
    features
}
