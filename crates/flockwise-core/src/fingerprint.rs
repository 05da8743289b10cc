//! The fingerprint of a feature plan: a hash of everything that decides the meaning of a row's columns.
//!
//! It is stored with every row, so the hashed bytes are a format. They do not depend on the names of types, fields
//! or variants in this code. Names, wordings, defaults, transforms, clips and weights of features are not hashed:
//! they may change while the state stays valid.
//!
//! | what | bytes |
//! |---|---|
//! | version | u8, 1 |
//! | features | count, then each feature |
//! | a feature | events, base, conditions, reversed_by, aggregate, value, horizon |
//! | events, reversed_by | count, then each as text |
//! | base, conditions | count, then each as pointer and test |
//! | pointer, text | length in bytes, UTF-8 |
//! | value | 0, or 1 and a pointer |
//! | horizon | 0 and a half-life in ms; 1, a span in ms and a count of buckets; 2 for a lifetime |
//! | test | its tag, then constants, a number, a flag or a text |
//! | constant | 0 and text, 1 and a number, 2 and a flag |
//!
//! Counts and lengths are u32, times i64, numbers the bits of an f64, flags u8, all little-endian.
//! [`aggregate_tag`] and [`Encoder::test`] define the tags. A tag is never reused for anything else.

use crate::event::hash;
use crate::feature::{Aggregate, Condition, Constant, Feature, Horizon, Test};
use crate::pointer::Pointer;

/// Version of the encoding. If it changes, every deployment refuses its state.
const VERSION: u8 = 1;

/// XXH3-64 of the canonical encoding of these features, in this order.
#[must_use]
pub(crate) fn of_plan(features: &[Feature]) -> u64 {
    let mut encoder = Encoder::new();
    encoder.list(features, Encoder::feature);
    hash(&encoder.bytes)
}

/// The fingerprint of one feature, which shows the features in which two plans differ.
#[must_use]
pub(crate) fn of_feature(feature: &Feature) -> u64 {
    let mut encoder = Encoder::new();
    encoder.feature(feature);
    hash(&encoder.bytes)
}

struct Encoder {
    bytes: Vec<u8>,
}

impl Encoder {
    fn new() -> Self {
        Self {
            bytes: vec![VERSION],
        }
    }

    fn list<T>(&mut self, items: &[T], each: impl Fn(&mut Self, &T)) {
        self.length(items.len());
        items.iter().for_each(|item| each(self, item));
    }

    fn length(&mut self, length: usize) {
        self.bytes.extend((length as u32).to_le_bytes());
    }

    fn text(&mut self, text: &str) {
        self.length(text.len());
        self.bytes.extend(text.as_bytes());
    }

    fn number(&mut self, number: f64) {
        self.bytes.extend(number.to_bits().to_le_bytes());
    }

    fn pointer(&mut self, pointer: &Pointer) {
        self.text(&pointer.to_string());
    }

    fn feature(&mut self, feature: &Feature) {
        self.list(&feature.events, |encoder, name| encoder.text(name));
        self.list(&feature.base, Self::condition);
        self.list(&feature.conditions, Self::condition);
        self.list(&feature.reversed_by, |encoder, name| encoder.text(name));
        self.bytes.push(aggregate_tag(feature.aggregate));
        self.bytes.push(u8::from(feature.value.is_some()));
        feature.value.iter().for_each(|value| self.pointer(value));
        self.horizon(feature.horizon);
    }

    fn condition(&mut self, condition: &Condition) {
        self.pointer(&condition.pointer);
        self.test(&condition.test);
    }

    fn horizon(&mut self, horizon: Horizon) {
        match horizon {
            Horizon::HalfLife(half_life_ms) => {
                self.bytes.push(0);
                self.bytes.extend(half_life_ms.to_le_bytes());
            }
            Horizon::Window { span_ms, buckets } => {
                self.bytes.push(1);
                self.bytes.extend(span_ms.to_le_bytes());
                self.bytes.extend(buckets.to_le_bytes());
            }
            Horizon::Lifetime => self.bytes.push(2),
        }
    }

    fn test(&mut self, test: &Test) {
        match test {
            Test::In(constants) => {
                self.bytes.push(0);
                self.list(constants, Self::constant);
            }
            Test::NotEqual(constant) => {
                self.bytes.push(1);
                self.constant(constant);
            }
            Test::Greater(bound) => self.bound(2, *bound),
            Test::AtLeast(bound) => self.bound(3, *bound),
            Test::Less(bound) => self.bound(4, *bound),
            Test::AtMost(bound) => self.bound(5, *bound),
            Test::Exists(wanted) => self.bytes.extend([6, u8::from(*wanted)]),
            Test::Prefix(prefix) => {
                self.bytes.push(7);
                self.text(prefix);
            }
        }
    }

    fn bound(&mut self, tag: u8, bound: f64) {
        self.bytes.push(tag);
        self.number(bound);
    }

    fn constant(&mut self, constant: &Constant) {
        match constant {
            Constant::Text(text) => {
                self.bytes.push(0);
                self.text(text);
            }
            Constant::Number(number) => self.bound(1, *number),
            Constant::Bool(flag) => self.bytes.extend([2, u8::from(*flag)]),
        }
    }
}

fn aggregate_tag(aggregate: Aggregate) -> u8 {
    match aggregate {
        Aggregate::Count => 0,
        Aggregate::Sum => 1,
        Aggregate::Mean => 2,
        Aggregate::Share => 3,
        Aggregate::Recency => 4,
        Aggregate::Last => 5,
        Aggregate::Min => 6,
        Aggregate::Max => 7,
        Aggregate::MeanGap => 8,
        Aggregate::HourSin => 9,
        Aggregate::HourCos => 10,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feature::Transform;

    fn pointer(text: &str) -> Pointer {
        Pointer::parse(text).unwrap()
    }

    fn condition(text: &str, test: Test) -> Condition {
        Condition {
            pointer: pointer(text),
            test,
        }
    }

    /// One of each aggregate, horizon, test and constant.
    fn features() -> Vec<Feature> {
        let text = |text: &str| Constant::Text(text.to_owned());
        vec![
            Feature {
                events: vec!["Order Completed".to_owned()],
                reversed_by: vec!["Order Refunded".to_owned()],
                horizon: Horizon::HalfLife(2_592_000_000),
                ..Feature::count("orders")
            },
            Feature {
                aggregate: Aggregate::Sum,
                value: Some(pointer("/properties/revenue")),
                horizon: Horizon::Window {
                    span_ms: 2_592_000_000,
                    buckets: 30,
                },
                conditions: vec![
                    condition("/a", Test::In(vec![text("web"), Constant::Number(5.0)])),
                    condition("/b", Test::NotEqual(Constant::Bool(true))),
                    condition("/c", Test::Greater(1.0)),
                    condition("/d", Test::AtLeast(2.0)),
                ],
                ..Feature::count("spend")
            },
            Feature {
                aggregate: Aggregate::Mean,
                value: Some(pointer("/properties/products/*/price")),
                base: vec![
                    condition("/e", Test::Less(3.0)),
                    condition("/f", Test::AtMost(4.0)),
                    condition("/g", Test::Exists(false)),
                    condition("/h~1i", Test::Prefix("gift".to_owned())),
                ],
                ..Feature::count("price")
            },
            Feature {
                aggregate: Aggregate::Share,
                ..Feature::count("share")
            },
            Feature {
                aggregate: Aggregate::Recency,
                ..Feature::count("recency")
            },
            Feature {
                aggregate: Aggregate::Last,
                value: Some(pointer("/x")),
                ..Feature::count("last")
            },
        ]
    }

    /// A separate program computed these values from the table above. They are on the disks and topics of
    /// deployments: if one changes, deployments refuse their state.
    #[test]
    fn fingerprints_stay_what_they_are() {
        let features = features();
        let each: Vec<u64> = features.iter().map(of_feature).collect();
        assert_eq!(of_plan(&features), 0x7628_d614_2590_d250);
        assert_eq!(
            each,
            [
                0x213a_2ef7_5469_726d,
                0x49e0_8cb1_0dba_70e2,
                0x30d7_ac45_4adb_5785,
                0x3989_e87b_4472_f0db,
                0x192e_fb72_8cfe_040b,
                0x9173_3ebf_878f_997f,
            ]
        );
    }

    #[test]
    fn what_does_not_change_the_columns_does_not_change_the_fingerprint() {
        let mut changed = features();
        changed[0].name = "orders_30d".to_owned();
        changed[0].transform = Transform::Log1p;
        changed[0].clip = Some((0.0, 10.0));
        changed[0].default = 3.0;
        changed[0].weight = 2.0;
        assert_eq!(of_plan(&changed), of_plan(&features()));
    }

    #[test]
    fn what_changes_the_columns_changes_the_fingerprint() {
        type Edit = fn(&mut Vec<Feature>);
        let edits: [Edit; 12] = [
            |features| features.swap(0, 1),
            |features| drop(features.pop()),
            |features| features[0].events.push("Order".to_owned()),
            |features| features[0].reversed_by.clear(),
            |features| features[0].horizon = Horizon::HalfLife(1),
            |features| features[0].horizon = Horizon::Lifetime,
            |features| features[1].value = None,
            |features| features[1].aggregate = Aggregate::Mean,
            |features| features[1].conditions[2].test = Test::AtLeast(1.0),
            |features| features[1].conditions[1].test = Test::NotEqual(Constant::Bool(false)),
            |features| features[2].base[2].test = Test::Exists(true),
            |features| features[2].base[3].pointer = Pointer::parse("/h/i").unwrap(),
        ];
        for (index, edit) in edits.iter().enumerate() {
            let mut changed = features();
            edit(&mut changed);
            assert_ne!(of_plan(&changed), of_plan(&features()), "edit {index}");
        }
    }
}
