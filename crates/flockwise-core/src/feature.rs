//! Features as they are declared. [`crate::plan`] compiles them.

use crate::logarithm::log1p_all;
use crate::pointer::Pointer;

/// Milliseconds in a day, the unit of `recency`.
pub const DAY_MS: f64 = 86_400_000.0;

/// Half-lives after which an event weighs nothing: 2⁻⁴⁰ is below 10⁻¹².
const HALF_LIVES: i64 = 40;

/// One declared feature.
#[derive(Clone, Debug, PartialEq)]
pub struct Feature {
    /// Unique, as written in the configuration.
    pub name: String,
    /// Event names it counts; empty: every event.
    pub events: Vec<String>,
    /// What an event must hold besides, for `share` the denominator's condition.
    pub base: Vec<Condition>,
    /// What an event must hold; for `share` the numerator's condition on top of `base`.
    pub conditions: Vec<Condition>,
    /// How events become a number.
    pub aggregate: Aggregate,
    /// The value of an event, for `sum`, `mean` and `last`.
    pub value: Option<Pointer>,
    /// How far back it looks.
    pub horizon: Horizon,
    /// Event names that take back what an earlier event of `events` added.
    pub reversed_by: Vec<String>,
    /// What it is worth where it is undefined, before the transform.
    pub default: f64,
    /// Applied to the aggregate.
    pub transform: Transform,
    /// Applied after the transform: lowest and highest.
    pub clip: Option<(f64, f64)>,
    /// Multiplies the scaled dimension, so that squared distances carry its square.
    pub weight: f64,
    /// How people read it.
    pub wording: Wording,
}

impl Feature {
    /// How many events there were, ever: of every name, without condition, as it is. Others are made from it.
    pub fn count(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            events: Vec::new(),
            base: Vec::new(),
            conditions: Vec::new(),
            aggregate: Aggregate::Count,
            value: None,
            horizon: Horizon::Lifetime,
            reversed_by: Vec::new(),
            default: 0.0,
            transform: Transform::None,
            clip: None,
            weight: 1.0,
            wording: Wording::default(),
        }
    }
}

/// After how long without an event nothing is left of a customer: no event weighs anything in any of the
/// features, and whoever comes then might as well be new. `None`: something stays for ever.
pub fn trace_ms<'a>(features: impl IntoIterator<Item = &'a Feature>) -> Option<i64> {
    let mut traces = features
        .into_iter()
        .map(|feature| feature.horizon.trace_ms());
    traces.try_fold(0, |longest, trace| Some(longest.max(trace?)))
}

/// How a feature is spoken of in tables and segment names.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Wording {
    /// `days since the last order`; left out: the feature's name.
    pub label: Option<String>,
    /// `£`, `days`, `%`.
    pub unit: Option<String>,
    /// What a customer far below the ordinary is called: `one-time`.
    pub low: Option<String>,
    /// What a customer far above the ordinary is called: `lapsed`.
    pub high: Option<String>,
}

/// How matching events become a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aggregate {
    /// Σ w
    Count,
    /// Σ w v
    Sum,
    /// Σ w v / Σ w
    Mean,
    /// Σ w over `base` and `conditions`, divided by Σ w over `base`.
    Share,
    /// Days from the last matching event.
    Recency,
    /// The value of the last matching event.
    Last,
}

/// How far back a feature looks and how it weighs what it sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Horizon {
    /// An event weighs half as much after every such span, milliseconds.
    HalfLife(i64),
    /// Events younger than the window weigh 1, others 0.
    Window {
        /// Milliseconds.
        span_ms: i64,
        /// Aligned to the epoch; `span_ms` is a multiple of it.
        buckets: u32,
    },
    /// Every event weighs 1 for ever.
    Lifetime,
}

impl Horizon {
    fn trace_ms(self) -> Option<i64> {
        match self {
            Self::HalfLife(half_life_ms) => Some(half_life_ms.saturating_mul(HALF_LIVES)),
            // Buckets are aligned to the epoch, so an event stays for up to one longer.
            Self::Window { span_ms, buckets } => {
                Some(span_ms.saturating_add(span_ms / i64::from(buckets.max(1))))
            }
            Self::Lifetime => None,
        }
    }
}

/// Applied to an aggregate; keeps the sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Transform {
    /// As it is.
    #[default]
    None,
    /// sign(x) ln(1 + |x|)
    Log1p,
    /// sign(x) √|x|
    Sqrt,
}

impl Transform {
    /// From the features' own units to those of the feature vector.
    pub fn apply(self, values: &mut [f64]) {
        match self {
            Self::None => {}
            Self::Log1p => log1p_all(values),
            Self::Sqrt => values
                .iter_mut()
                .for_each(|value| *value = value.abs().sqrt().copysign(*value)),
        }
    }

    /// Back from the feature vector's units to the feature's own.
    #[must_use]
    pub fn invert(self, value: f64) -> f64 {
        match self {
            Self::None => value,
            Self::Log1p => value.abs().exp_m1().copysign(value),
            Self::Sqrt => (value * value).copysign(value),
        }
    }
}

/// What the value under a pointer must be. With `*`, one element must satisfy all conditions on the
/// same pointer.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    /// Where to look.
    pub pointer: Pointer,
    /// What must hold there.
    pub test: Test,
}

/// One operator with its operand. A value that is absent or `null` satisfies `Exists(false)` alone.
#[derive(Clone, Debug, PartialEq)]
pub enum Test {
    /// One of these: a plain value is a list of one.
    In(Vec<Constant>),
    /// Not this.
    NotEqual(Constant),
    /// A number above.
    Greater(f64),
    /// A number not below.
    AtLeast(f64),
    /// A number below.
    Less(f64),
    /// A number not above.
    AtMost(f64),
    /// There (`true`), or absent or `null` (`false`).
    Exists(bool),
    /// A text that starts so.
    Prefix(String),
}

/// What a value may be compared with.
#[derive(Clone, Debug, PartialEq)]
pub enum Constant {
    /// JSON text.
    Text(String),
    /// JSON number.
    Number(f64),
    /// JSON true or false.
    Bool(bool),
}
