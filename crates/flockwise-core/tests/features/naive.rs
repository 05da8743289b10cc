//! The naive version: keeps all events and computes each feature from its definition.

use flockwise_core::feature::{Aggregate, Condition, Constant, Feature, Horizon, Test, Transform};
use flockwise_core::feature_inputs::InputCounts;

use crate::document::{Document, Value};

const DAY_MS: f64 = 86_400_000.0;

/// The expected value of a feature, and by how much rounding may change it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expected {
    value: f64,
    /// Sum of the terms without their signs. Sums that cancel lose digits of this.
    magnitude: f64,
    /// The value that is also right if the denominator is too close to zero to tell.
    alternative: f64,
}

impl Expected {
    fn exactly(value: f64) -> Self {
        Self {
            value,
            magnitude: 0.0,
            alternative: value,
        }
    }

    pub(crate) fn slack(&self) -> f64 {
        let either = (self.value - self.alternative).abs();
        1e-9 * self.value.abs() + 1e-12 * self.magnitude + either
    }

    pub(crate) fn is_like(&self, found: f64) -> bool {
        let near = |expected: f64| {
            (found - expected).abs() <= 1e-9 * expected.abs() + 1e-12 * self.magnitude
        };
        near(self.value) || near(self.alternative)
    }
}

/// One summand: an event's terms in the numerator and the denominator, its sign, and the time as of which it
/// counts.
struct Term {
    above: f64,
    below: f64,
    sign: f64,
    time_ms: i64,
}

pub(crate) fn value(feature: &Feature, arrived: &[&Document], at_ms: i64) -> Expected {
    match feature.aggregate {
        Aggregate::Recency | Aggregate::Last => last(feature, arrived, at_ms),
        Aggregate::Min | Aggregate::Max | Aggregate::MeanGap => unweighted(feature, arrived, at_ms),
        _ => summed(feature, arrived, at_ms),
    }
}

pub(crate) fn is_sum(feature: &Feature) -> bool {
    matches!(feature.aggregate, Aggregate::Count | Aggregate::Sum)
}

pub(crate) fn transformed(feature: &Feature, value: f64) -> f64 {
    let sign = if value < 0.0 { -1.0 } else { 1.0 };
    let transformed = match feature.transform {
        Transform::None => value,
        Transform::Log1p => sign * value.abs().ln_1p(),
        Transform::Sqrt => sign * value.abs().sqrt(),
    };
    feature.clip.map_or(transformed, |(lowest, highest)| {
        transformed.max(lowest).min(highest)
    })
}

/// Of events with equal times, the one that arrived later is the last.
fn last(feature: &Feature, arrived: &[&Document], at_ms: i64) -> Expected {
    let matching = arrived.iter().filter(|document| {
        let is_within = match feature.horizon {
            Horizon::Window { span_ms, .. } => at_ms - span_ms < document.time_ms,
            _ => true,
        };
        is_within && term(feature, document).is_some_and(|term| term.sign > 0.0)
    });
    let last = matching.max_by_key(|document| document.time_ms);
    let value = last.map_or(feature.default, |document| match feature.aggregate {
        Aggregate::Last => *document.numbers(&pointer(feature)).last().unwrap(),
        _ => (at_ms - document.time_ms) as f64 / DAY_MS,
    });
    Expected::exactly(value)
}

/// The extreme of all values, or the mean gap of all events, that have any weight.
fn unweighted(feature: &Feature, arrived: &[&Document], at_ms: i64) -> Expected {
    let counts = arrived.iter().filter(|document| {
        let is_within = weight(feature.horizon, document.time_ms, at_ms) > 0.0;
        is_within && term(feature, document).is_some()
    });
    let counts: Vec<&&Document> = counts.collect();
    let value = if feature.aggregate == Aggregate::MeanGap {
        let times = || counts.iter().map(|document| document.time_ms as f64);
        let (first, last) = (times().reduce(f64::min), times().reduce(f64::max));
        let gaps = counts.len() as f64 - 1.0;
        let span = last.zip(first).map(|(last, first)| last - first);
        span.filter(|_| gaps >= 1.0)
            .map(|span| span / gaps / DAY_MS)
    } else {
        let numbers = counts
            .iter()
            .flat_map(|document| document.numbers(&pointer(feature)));
        match feature.aggregate {
            Aggregate::Min => numbers.reduce(f64::min),
            _ => numbers.reduce(f64::max),
        }
    };
    Expected::exactly(value.unwrap_or(feature.default))
}

fn summed(feature: &Feature, arrived: &[&Document], at_ms: i64) -> Expected {
    let (mut above, mut below, mut above_size, mut below_size) = (0.0, 0.0, 0.0, 0.0);
    for document in arrived {
        let Some(term) = term(feature, document) else {
            continue;
        };
        let weight = weight(feature.horizon, term.time_ms, at_ms);
        above += weight * term.sign * term.above;
        below += weight * term.sign * term.below;
        // Near its zeros, a sine is as exact as its angle.
        let is_hour = matches!(feature.aggregate, Aggregate::HourSin | Aggregate::HourCos);
        let size = if is_hour { 1.0 } else { term.above.abs() };
        above_size += weight * size;
        below_size += weight * term.below;
    }
    if is_sum(feature) {
        return Expected {
            value: above,
            magnitude: above_size,
            alternative: above,
        };
    }
    ratio(feature, (above, above_size), (below, below_size))
}

fn ratio(
    feature: &Feature,
    (above, above_size): (f64, f64),
    (below, below_size): (f64, f64),
) -> Expected {
    // What reversals leave may be rounding or one event long ago. The row cannot tell them apart below 1e-9.
    let is_unsure = !feature.reversed_by.is_empty() && below.abs() <= 1e-4 * below_size;
    let value = if below > 0.0 {
        above / below
    } else {
        feature.default
    };
    Expected {
        value,
        magnitude: (above_size + value.abs() * below_size) / below.abs().max(f64::MIN_POSITIVE),
        alternative: if is_unsure { feature.default } else { value },
    }
}

fn weight(horizon: Horizon, time_ms: i64, at_ms: i64) -> f64 {
    match horizon {
        Horizon::HalfLife(half_life_ms) => (-(at_ms - time_ms) as f64 / half_life_ms as f64).exp2(),
        Horizon::Lifetime => 1.0,
        Horizon::Window { span_ms, buckets } => {
            let width_ms = span_ms / i64::from(buckets);
            let bucket = |time_ms: i64| (time_ms - 1).div_euclid(width_ms);
            let age = bucket(at_ms) - bucket(time_ms);
            f64::from(u8::from((0..i64::from(buckets)).contains(&age)))
        }
    }
}

/// What an event adds to a feature; `None` if the feature does not count it.
fn term(feature: &Feature, document: &Document) -> Option<Term> {
    let named = |names: &[String]| names.iter().any(|name| name == document.name);
    let is_reversal = named(&feature.reversed_by);
    let matches = is_reversal || feature.events.is_empty() || named(&feature.events);
    if !matches || !holds(&feature.base, document) {
        return None;
    }
    let holds = holds(&feature.conditions, document);
    let (above, below) = match feature.aggregate {
        Aggregate::Share => (f64::from(u8::from(holds)), 1.0),
        _ if !holds => return None,
        Aggregate::Count | Aggregate::Recency | Aggregate::MeanGap => (1.0, 0.0),
        // When the order was, a reversal does not say.
        Aggregate::HourSin | Aggregate::HourCos if is_reversal => return None,
        Aggregate::HourSin | Aggregate::HourCos => {
            let turn = document.time_ms.rem_euclid(86_400_000) as f64 / DAY_MS;
            let angle = turn * std::f64::consts::TAU;
            match feature.aggregate {
                Aggregate::HourSin => (angle.sin(), 1.0),
                _ => (angle.cos(), 1.0),
            }
        }
        Aggregate::Sum | Aggregate::Mean | Aggregate::Last | Aggregate::Min | Aggregate::Max => {
            let numbers = document.numbers(&pointer(feature));
            if numbers.is_empty() {
                return None;
            }
            let sum: f64 = numbers.iter().sum();
            // The amount of a reversal has either sign.
            let sum = if is_reversal { sum.abs() } else { sum };
            (sum, numbers.len() as f64)
        }
    };
    Some(Term {
        above,
        below,
        sign: if is_reversal { -1.0 } else { 1.0 },
        time_ms: document.time_ms,
    })
}

/// What a feature finds in the events that match it.
pub(crate) fn inputs(feature: &Feature, arrived: &[&Document]) -> InputCounts {
    let named =
        |names: &[String], document: &Document| names.iter().any(|name| name == document.name);
    let matching = arrived.iter().filter(|document| {
        let is_named = named(&feature.reversed_by, document)
            || feature.events.is_empty()
            || named(&feature.events, document);
        let is_share = feature.aggregate == Aggregate::Share;
        is_named
            && holds(&feature.base, document)
            && (is_share || holds(&feature.conditions, document))
    });
    let mut counts = InputCounts::default();
    for document in matching {
        counts.events += 1;
        let is_hour = matches!(feature.aggregate, Aggregate::HourSin | Aggregate::HourCos);
        counts.no_order += u64::from(is_hour && named(&feature.reversed_by, document));
        let Some(pointer) = &feature.value else {
            continue;
        };
        let values = document.values(&pointer.to_string());
        let present: Vec<&Value> = values
            .iter()
            .filter(|value| **value != Value::Absent)
            .collect();
        match named(&feature.reversed_by, document) {
            true => counts.no_order += u64::from(present.is_empty()),
            false => counts.missing += u64::from(present.is_empty()),
        }
        for value in present {
            match (value, value.number()) {
                (_, Some(_)) => counts.used += 1,
                (Value::Text(_), _) => counts.text += 1,
                (Value::Bool(_), _) => counts.boolean += 1,
                _ => counts.composite += 1,
            }
        }
    }
    counts
}

fn pointer(feature: &Feature) -> String {
    feature.value.as_ref().unwrap().to_string()
}

/// One value must pass all conditions on its pointer. If there is none, an absent value must.
fn holds(conditions: &[Condition], document: &Document) -> bool {
    conditions.iter().all(|condition| {
        let on_same = |other: &&Condition| other.pointer == condition.pointer;
        let tests: Vec<&Test> = conditions
            .iter()
            .filter(on_same)
            .map(|other| &other.test)
            .collect();
        let mut values = document.values(&condition.pointer.to_string());
        if condition.pointer.is_many() {
            values.retain(|value| *value != Value::Absent);
        }
        if values.is_empty() {
            values.push(Value::Absent);
        }
        values
            .iter()
            .any(|value| tests.iter().all(|test| passes(value, test)))
    })
}

fn passes(value: &Value, test: &Test) -> bool {
    let is = |constant: &Constant| same(value, constant) == Some(true);
    let is_not = |constant: &Constant| same(value, constant) == Some(false);
    let number = value.number();
    match test {
        Test::Exists(wanted) => (*value != Value::Absent) == *wanted,
        Test::In(constants) => constants.iter().any(is),
        Test::NotEqual(constant) => is_not(constant),
        Test::Greater(bound) => number.is_some_and(|number| number > *bound),
        Test::AtLeast(bound) => number.is_some_and(|number| number >= *bound),
        Test::Less(bound) => number.is_some_and(|number| number < *bound),
        Test::AtMost(bound) => number.is_some_and(|number| number <= *bound),
        Test::Prefix(prefix) => matches!(value, Value::Text(text) if text.starts_with(prefix)),
    }
}

/// Whether a value and a constant are the same; `None` if they are of kinds that cannot be compared.
fn same(value: &Value, constant: &Constant) -> Option<bool> {
    if let Constant::Number(right) = constant {
        return value.number().map(|left| left == *right);
    }
    let truth = match value {
        Value::Bool(truth) => Some(*truth),
        Value::Text("true") => Some(true),
        _ => None,
    };
    match (value, constant) {
        (Value::Absent | Value::Composite, _) => None,
        (_, Constant::Bool(right)) => truth.map(|left| left == *right),
        (Value::Text(left), Constant::Text(right)) => Some(left == right),
        (Value::Bool(left), Constant::Text(right)) => Some(left.to_string() == *right),
        (Value::Number(left), Constant::Text(right)) => {
            let known = ["1", "-1.50", " 0.25\t", "1e3"].into_iter();
            let mut known = known.filter(|text| text == right);
            Some(known.any(|text| Value::Text(text).number() == Some(*left)))
        }
        (Value::Number(_) | Value::Bool(_) | Value::Text(_), Constant::Number(_)) => None,
    }
}
