//! The feature plan: declared features compiled to fixed columns of a row.

mod columns;
mod order_layout;

use std::ops::Range;

use crate::dedup::OrderSums;
use crate::event::{Event, Slot, Values, hash};
use crate::feature::{
    self, Aggregate, Condition, Constant, Feature, Horizon, Test, Transform, Wording,
};
use crate::fingerprint;
use crate::numeric_text::numeric_text;
use crate::order_rules::{OrderRules, Repeat};
use crate::pointer::Pointer;

pub(crate) use self::columns::{Touch, sums};
pub(crate) use self::order_layout::KeptSums;
use self::order_layout::OrderLayout;

/// Compiled features: [`Plan::len`] features over [`Plan::stride`] columns per row.
#[derive(Clone, Debug)]
pub struct Plan {
    pub(crate) features: Vec<Compiled>,
    names: Vec<String>,
    name_hashes: Vec<u64>,
    pointers: Vec<Pointer>,
    /// For each event name, the features that such an event touches. The last entry is for names that no feature
    /// uses.
    touched: Vec<Vec<Touch>>,
    orders: OrderLayout,
    /// Decaying columns, by half-life.
    pub(crate) decay: Vec<Decay>,
    /// Runs of adjacent features with the same transform.
    pub(crate) transforms: Vec<(Transform, Range<usize>)>,
    stride: usize,
    fingerprint: u64,
}

fn transforms(features: &[Feature]) -> Vec<(Transform, Range<usize>)> {
    let alike = features.chunk_by(|left, right| left.transform == right.transform);
    let runs = alike.scan(0, |start, run| {
        let features = *start..*start + run.len();
        *start = features.end;
        Some((run[0].transform, features))
    });
    runs.collect()
}

/// Columns with the same half-life.
#[derive(Clone, Debug)]
pub(crate) struct Decay {
    pub(crate) half_life_ms: f64,
    pub(crate) columns: Range<usize>,
}

/// A feature with its names, pointers and columns resolved.
#[derive(Clone, Debug)]
pub(crate) struct Compiled {
    pub(crate) spec: Feature,
    pub(crate) cell: Cell,
    pub(crate) base: Vec<Check>,
    pub(crate) conditions: Vec<Check>,
    pub(crate) value: Option<Values>,
    pub(crate) amount_source: AmountSource,
    /// Events can take back what earlier ones added.
    pub(crate) can_shrink: bool,
}

/// Where a reversal states the amount that it takes back of a feature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AmountSource {
    /// Only in the feature's own value.
    Own,
    /// In the feature's own value, or else where the format says.
    OwnOrFormat,
    /// Where the format says. The feature's own value is the amount of the order.
    Format,
}

/// Where a feature's numbers are in a row.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Cell {
    /// Sums as of the row's reference time, in the `decay`-th group.
    Decayed { at: usize, decay: usize },
    /// The number of the newest bucket, then the columns of the buckets, those of one kind together.
    Windowed {
        at: usize,
        buckets: usize,
        width_ms: i64,
    },
    /// Columns that do not decay.
    Lifetime { at: usize },
    /// The time of the last matching event, then its value for `last`. `span_ms` is the length of the window, if
    /// any.
    Latest { at: usize, span_ms: Option<i64> },
}

/// Tests on one pointer: with `*`, one element must pass them all.
#[derive(Clone, Debug)]
pub(crate) struct Check {
    values: Values,
    tests: Vec<Test>,
}

impl Plan {
    /// Compiles features of inputs without rules for orders. The configuration has validated them.
    #[must_use]
    pub fn compile(features: &[Feature]) -> Self {
        Self::with_orders(features, &OrderRules::default())
    }

    /// Compiles features, with the rules for orders of all inputs. The configuration has validated them.
    #[must_use]
    pub fn with_orders(features: &[Feature], rules: &OrderRules) -> Self {
        let mut pointers = Vec::new();
        let mut names = Vec::new();
        let mut compiled: Vec<Compiled> = features
            .iter()
            .map(|spec| Compiled {
                base: checks(&spec.base, &mut pointers),
                conditions: checks(&spec.conditions, &mut pointers),
                value: spec
                    .value
                    .as_ref()
                    .map(|pointer| values(pointer, &mut pointers)),
                amount_source: amount_source(spec, rules),
                can_shrink: can_shrink(spec, rules),
                cell: Cell::Lifetime { at: 0 },
                spec: spec.clone(),
            })
            .collect();
        let events: Vec<Vec<u16>> = features
            .iter()
            .map(|spec| {
                let events = spec.events.iter();
                events.map(|name| intern(name, &mut names) as u16).collect()
            })
            .collect();
        for name in features.iter().flat_map(|spec| &spec.reversed_by) {
            intern(name, &mut names);
        }
        for (name, _) in &rules.repeats {
            intern(name, &mut names);
        }
        let (decay, stride) = lay_out(&mut compiled);
        let touched = touched(features, &names);
        let repeats = names.iter().map(|name| repeat(name, features, rules));
        Self {
            orders: OrderLayout::new(features, &names, &touched, events, repeats.collect()),
            touched,
            name_hashes: names.iter().map(|name| hash(name.as_bytes())).collect(),
            fingerprint: fingerprint::of_plan(features),
            features: compiled,
            names,
            pointers,
            decay,
            transforms: transforms(features),
            stride,
        }
    }

    /// Number of features: the length of a feature vector.
    #[must_use]
    pub fn len(&self) -> usize {
        self.features.len()
    }

    /// Whether there are no features.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.features.is_empty()
    }

    /// Number of columns of a row.
    #[must_use]
    pub fn stride(&self) -> usize {
        self.stride
    }

    /// Event names that features use.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The number of an event name: its index in [`Plan::names`]. `None` if no feature uses the name.
    #[must_use]
    pub fn name(&self, name: &str) -> Option<u16> {
        self.names
            .iter()
            .position(|known| known == name)
            .map(|index| index as u16)
    }

    /// What is remembered of orders.
    pub(crate) fn orders(&self) -> &OrderLayout {
        &self.orders
    }

    /// The sums that are remembered of an order.
    #[must_use]
    pub fn order_sums(&self) -> OrderSums {
        self.orders.sums()
    }

    /// Whether an event of this name takes back what others added to some feature.
    #[must_use]
    pub fn is_reversal(&self, name: u16) -> bool {
        self.orders.is_reversal(name)
    }

    /// Whether there are reversals at all.
    #[must_use]
    pub fn has_reversals(&self) -> bool {
        (0..self.names.len() as u16).any(|name| self.is_reversal(name))
    }

    /// What a second event of this name about the same order means: as configured; or, if it is a reversal, it counts; if it
    /// can be reversed, it is a repetition. `None`: that depends on whether it has an event id.
    #[must_use]
    pub fn repeat(&self, name: u16) -> Option<Repeat> {
        self.orders.repeat(name)
    }

    /// The hash of an event name, by its number.
    pub(crate) fn name_hash(&self, name: u16) -> u64 {
        self.name_hashes[usize::from(name)]
    }

    /// The pointers that fill the slots of an [`Event`], in the order of the slots.
    #[must_use]
    pub fn pointers(&self) -> &[Pointer] {
        &self.pointers
    }

    /// Names of the features, in the order of the vector.
    pub fn feature_names(&self) -> impl Iterator<Item = &str> {
        self.features
            .iter()
            .map(|feature| feature.spec.name.as_str())
    }

    /// A feature as declared.
    #[must_use]
    pub fn feature(&self, index: usize) -> &Feature {
        &self.features[index].spec
    }

    /// How tables and segment names present a feature.
    #[must_use]
    pub fn wording(&self, index: usize) -> &Wording {
        &self.features[index].spec.wording
    }

    /// Identifies the meaning of a row's columns. Rows of plans with different fingerprints are not
    /// interchangeable.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    /// The fingerprint of each feature alone, in the order of the vector: shows the features in which two plans
    /// differ.
    pub fn feature_fingerprints(&self) -> impl Iterator<Item = u64> {
        self.features
            .iter()
            .map(|feature| fingerprint::of_feature(&feature.spec))
    }

    /// How long after the last event nothing is left of a customer, milliseconds; see [`feature::trace_ms`].
    #[must_use]
    pub fn trace_ms(&self) -> Option<i64> {
        feature::trace_ms(self.features.iter().map(|feature| &feature.spec))
    }

    /// The features that an event of this name touches.
    pub(crate) fn touched(&self, name: Option<u16>) -> &[Touch] {
        &self.touched[name.map_or(self.names.len(), usize::from)]
    }
}

impl Check {
    /// Whether the event has a value here.
    pub(crate) fn is_stated(&self, event: &Event) -> bool {
        event.values(self.values).any(|slot| *slot != Slot::Absent)
    }

    /// Whether one of the values passes all tests. If there is no value, an absent one is tested.
    pub(crate) fn holds(&self, event: &Event) -> bool {
        let passes_all = |slot: &Slot| self.tests.iter().all(|test| passes(slot, test, event));
        let mut values = event.values(self.values).peekable();
        if values.peek().is_none() {
            passes_all(&Slot::Absent)
        } else {
            values.any(passes_all)
        }
    }
}

fn passes(slot: &Slot, test: &Test, event: &Event) -> bool {
    let number = |holds: &dyn Fn(f64) -> bool| event.number(slot).is_some_and(holds);
    match (test, slot) {
        (Test::Exists(wanted), _) => (*slot != Slot::Absent) == *wanted,
        (_, Slot::Absent) => false,
        (Test::In(constants), _) => constants
            .iter()
            .any(|constant| equals(slot, constant, event) == Some(true)),
        (Test::NotEqual(constant), _) => equals(slot, constant, event) == Some(false),
        (Test::Greater(bound), _) => number(&|number| number > *bound),
        (Test::AtLeast(bound), _) => number(&|number| number >= *bound),
        (Test::Less(bound), _) => number(&|number| number < *bound),
        (Test::AtMost(bound), _) => number(&|number| number <= *bound),
        (Test::Prefix(prefix), Slot::Text(range)) => event.text(range).starts_with(prefix),
        (Test::Prefix(_), _) => false,
    }
}

/// Whether a value equals a constant; `None` if they cannot be compared, so that neither `eq` nor `ne` holds because of
/// their types alone. A text can be a number or a boolean, and a number or a boolean has a text.
fn equals(slot: &Slot, constant: &Constant, event: &Event) -> Option<bool> {
    match (slot, constant) {
        (_, Constant::Number(right)) => Some(event.number(slot)? == *right),
        (Slot::Bool(left), Constant::Bool(right)) => Some(left == right),
        (Slot::Text(range), Constant::Bool(right)) => {
            let left: bool = event.text(range).trim().parse().ok()?;
            Some(left == *right)
        }
        (Slot::Text(range), Constant::Text(text)) => Some(event.text(range) == text),
        (Slot::Number(left), Constant::Text(text)) => Some(numeric_text(text) == Some(*left)),
        (Slot::Bool(left), Constant::Text(text)) => Some(text.parse() == Ok(*left)),
        _ => None,
    }
}

fn intern(name: &str, names: &mut Vec<String>) -> usize {
    names
        .iter()
        .position(|known| known == name)
        .unwrap_or_else(|| {
            names.push(name.to_owned());
            names.len() - 1
        })
}

fn values(pointer: &Pointer, pointers: &mut Vec<Pointer>) -> Values {
    let index = pointers
        .iter()
        .position(|known| known == pointer)
        .unwrap_or_else(|| {
            pointers.push(pointer.clone());
            pointers.len() - 1
        });
    Values {
        index,
        many: pointer.is_many(),
    }
}

fn checks(conditions: &[Condition], pointers: &mut Vec<Pointer>) -> Vec<Check> {
    let mut checks: Vec<Check> = Vec::new();
    for condition in conditions {
        let values = values(&condition.pointer, pointers);
        match checks.iter_mut().find(|check| check.values == values) {
            Some(check) => check.tests.push(condition.test.clone()),
            None => checks.push(Check {
                values,
                tests: vec![condition.test.clone()],
            }),
        }
    }
    checks
}

fn touched(features: &[Feature], names: &[String]) -> Vec<Vec<Touch>> {
    let mut known: Vec<Vec<Touch>> = names
        .iter()
        .map(|name| touches(features, Some(name)))
        .collect();
    known.push(touches(features, None));
    known
}

fn touches(features: &[Feature], name: Option<&String>) -> Vec<Touch> {
    let mut touches = Vec::new();
    for (feature, spec) in features.iter().enumerate() {
        if name.is_some_and(|name| spec.reversed_by.contains(name)) {
            touches.push(Touch {
                feature,
                reverses: true,
            });
        } else if spec.events.is_empty() || name.is_some_and(|name| spec.events.contains(name)) {
            touches.push(Touch {
                feature,
                reverses: false,
            });
        }
    }
    touches
}

/// See [`Plan::repeat`].
fn repeat(name: &String, features: &[Feature], rules: &OrderRules) -> Option<Repeat> {
    if let Some((_, repeat)) = rules.repeats.iter().find(|(known, _)| known == name) {
        return Some(*repeat);
    }
    let is_reversal = features.iter().any(|spec| spec.reversed_by.contains(name));
    let mut reversible = features.iter().filter(|spec| !spec.reversed_by.is_empty());
    if is_reversal {
        Some(Repeat::Each)
    } else {
        let is_reversible = reversible.any(|spec| spec.events.contains(name));
        is_reversible.then_some(Repeat::First)
    }
}

fn can_shrink(spec: &Feature, rules: &OrderRules) -> bool {
    let replaces = |(name, repeat): &(String, Repeat)| {
        *repeat == Repeat::Last && (spec.events.is_empty() || spec.events.contains(name))
    };
    !spec.reversed_by.is_empty() || rules.repeats.iter().any(replaces)
}

fn amount_source(spec: &Feature, rules: &OrderRules) -> AmountSource {
    match &spec.value {
        Some(value) if rules.amounts.contains(value) => AmountSource::OwnOrFormat,
        Some(value) if rules.of.contains(value) => AmountSource::Format,
        _ => AmountSource::Own,
    }
}

/// Places decaying columns first, one run per half-life, so that decaying a row is a few plain loops.
fn lay_out(features: &mut [Compiled]) -> (Vec<Decay>, usize) {
    let mut half_lives: Vec<i64> = features
        .iter()
        .filter_map(|feature| match feature.spec.horizon {
            Horizon::HalfLife(half_life) => Some(half_life),
            _ => None,
        })
        .collect();
    half_lives.sort_unstable();
    half_lives.dedup();
    let mut at = 0;
    let mut decay = Vec::with_capacity(half_lives.len());
    for (index, half_life) in half_lives.iter().enumerate() {
        let start = at;
        for feature in features.iter_mut() {
            if feature.spec.horizon == Horizon::HalfLife(*half_life) {
                feature.cell = Cell::Decayed { at, decay: index };
                at += sums(feature.spec.aggregate);
            }
        }
        decay.push(Decay {
            half_life_ms: *half_life as f64,
            columns: start..at,
        });
    }
    for feature in features.iter_mut() {
        let (cell, columns) = match (feature.spec.horizon, feature.spec.aggregate) {
            (Horizon::HalfLife(_), _) => continue,
            (horizon, Aggregate::Recency) => (latest(at, horizon), 1),
            (horizon, Aggregate::Last) => (latest(at, horizon), 2),
            (Horizon::Lifetime, aggregate) => (Cell::Lifetime { at }, sums(aggregate)),
            (Horizon::Window { span_ms, buckets }, aggregate) => {
                let width_ms = span_ms / i64::from(buckets);
                let buckets = buckets as usize;
                (
                    Cell::Windowed {
                        at,
                        buckets,
                        width_ms,
                    },
                    1 + buckets * sums(aggregate),
                )
            }
        };
        feature.cell = cell;
        at += columns;
    }
    (decay, at)
}

fn latest(at: usize, horizon: Horizon) -> Cell {
    let span_ms = match horizon {
        Horizon::Window { span_ms, .. } => Some(span_ms),
        _ => None,
    };
    Cell::Latest { at, span_ms }
}
