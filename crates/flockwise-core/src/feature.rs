//! Declared features. [`crate::plan`] compiles them.

use crate::logarithm::log1p_all;
use crate::pointer::Pointer;

/// Milliseconds in a day, the unit of `recency`.
pub const DAY_MS: f64 = 86_400_000.0;

/// Half-lives after which an event has no weight: 2⁻⁴⁰ is below 10⁻¹².
const HALF_LIVES: i64 = 40;

/// One declared feature.
#[derive(Clone, Debug, PartialEq)]
pub struct Feature {
    /// Unique name, as written in the configuration.
    pub name: String,
    /// Names of the events it counts; empty for all events.
    pub events: Vec<String>,
    /// Conditions that an event must meet. For `share`, those of the denominator.
    pub base: Vec<Condition>,
    /// More conditions that an event must meet. For `share`, those of the numerator, on top of `base`.
    pub conditions: Vec<Condition>,
    /// How events are summed up.
    pub aggregate: Aggregate,
    /// The value of an event, for `sum`, `mean`, `last`, `min` and `max`.
    pub value: Option<Pointer>,
    /// How far back it looks.
    pub horizon: Horizon,
    /// Names of events that subtract what an earlier event of `events` added.
    pub reversed_by: Vec<String>,
    /// The value if the aggregate is undefined, before the transform.
    pub default: f64,
    /// Transform of the aggregate.
    pub transform: Transform,
    /// Lowest and highest value after the transform.
    pub clip: Option<(f64, f64)>,
    /// Factor of the scaled dimension. Squared distances contain its square.
    pub weight: f64,
    /// How tables and segment names present it.
    pub wording: Wording,
}

impl Feature {
    /// The lifetime count of all events, without condition or transform. Other features are made from it by
    /// changing fields.
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

/// How long after the last event nothing is left of a customer, milliseconds: no event has weight in any of the
/// features, and a customer who returns is like a new one. `None` if a feature never forgets.
pub fn trace_ms<'a>(features: impl IntoIterator<Item = &'a Feature>) -> Option<i64> {
    let mut traces = features
        .into_iter()
        .map(|feature| feature.horizon.trace_ms());
    traces.try_fold(0, |longest, trace| Some(longest.max(trace?)))
}

/// How tables and segment names present a feature.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Wording {
    /// `days since the last order`; `None`: the feature's name.
    pub label: Option<String>,
    /// Unit, such as `£`, `days` or `%`.
    pub unit: Option<String>,
    /// Word for a customer far below the mean, such as `one-time`.
    pub low: Option<String>,
    /// Word for a customer far above the mean, such as `lapsed`.
    pub high: Option<String>,
}

/// How matching events are summed up: w is the weight of an event, v its value.
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
    /// Days since the last matching event.
    Recency,
    /// The value of the last matching event.
    Last,
    /// The smallest value.
    Min,
    /// The largest value.
    Max,
    /// Days between matching events: (last - first) / (n - 1). Undefined for fewer than two.
    MeanGap,
    /// Σ w sin a / Σ w, where a is the UTC time of day as an angle.
    HourSin,
    /// Σ w cos a / Σ w.
    HourCos,
}

impl Aggregate {
    /// The names in the configuration.
    pub const ALL: [(&'static str, Self); 11] = [
        ("count", Self::Count),
        ("sum", Self::Sum),
        ("mean", Self::Mean),
        ("share", Self::Share),
        ("recency", Self::Recency),
        ("last", Self::Last),
        ("min", Self::Min),
        ("max", Self::Max),
        ("mean_gap", Self::MeanGap),
        ("hour_sin", Self::HourSin),
        ("hour_cos", Self::HourCos),
    ];

    /// Whether it adds up terms, which can then be weighted by age and taken back.
    #[must_use]
    pub fn is_additive(self) -> bool {
        match self {
            Self::Count | Self::Sum | Self::Mean | Self::Share | Self::HourSin | Self::HourCos => {
                true
            }
            Self::Recency | Self::Last | Self::Min | Self::Max | Self::MeanGap => false,
        }
    }

    /// Whether it is of values.
    #[must_use]
    pub fn has_value(self) -> bool {
        matches!(
            self,
            Self::Sum | Self::Mean | Self::Last | Self::Min | Self::Max
        )
    }
}

/// How far back a feature looks, and how it weights events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Horizon {
    /// The weight of an event halves after every such span, milliseconds.
    HalfLife(i64),
    /// Events younger than the window have weight 1, others 0.
    Window {
        /// Length of the window, milliseconds.
        span_ms: i64,
        /// Number of buckets. They are aligned to the epoch; `span_ms` is a multiple of it.
        buckets: u32,
    },
    /// Every event has weight 1 for ever.
    Lifetime,
}

impl Horizon {
    fn trace_ms(self) -> Option<i64> {
        match self {
            Self::HalfLife(half_life_ms) => Some(half_life_ms.saturating_mul(HALF_LIVES)),
            // Buckets are aligned to the epoch, so an event can stay for one bucket longer.
            Self::Window { span_ms, buckets } => {
                Some(span_ms.saturating_add(span_ms / i64::from(buckets.max(1))))
            }
            Self::Lifetime => None,
        }
    }
}

/// Transform of an aggregate; keeps the sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Transform {
    /// Leaves the value unchanged.
    #[default]
    None,
    /// sign(x) ln(1 + |x|)
    Log1p,
    /// sign(x) √|x|
    Sqrt,
}

impl Transform {
    /// Converts values from the features' own units to those of the feature vector.
    pub fn apply(self, values: &mut [f64]) {
        match self {
            Self::None => {}
            Self::Log1p => log1p_all(values),
            Self::Sqrt => values
                .iter_mut()
                .for_each(|value| *value = value.abs().sqrt().copysign(*value)),
        }
    }

    /// Converts a value from the feature vector's units back to the feature's own.
    #[must_use]
    pub fn invert(self, value: f64) -> f64 {
        match self {
            Self::None => value,
            Self::Log1p => value.abs().exp_m1().copysign(value),
            Self::Sqrt => (value * value).copysign(value),
        }
    }
}

/// A condition on the value at a pointer. With `*`, one element must meet all conditions on the same pointer.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    /// The pointer to the value.
    pub pointer: Pointer,
    /// The test that the value must pass.
    pub test: Test,
}

/// One operator with its operand. A value that is absent or `null` passes only `Exists(false)`. A text that is a number
/// is compared as a number. A value that cannot be compared with the operand passes no other test.
#[derive(Clone, Debug, PartialEq)]
pub enum Test {
    /// Equals one of these. A plain value is a list of one.
    In(Vec<Constant>),
    /// Does not equal this.
    NotEqual(Constant),
    /// Is a number above this.
    Greater(f64),
    /// Is a number of at least this.
    AtLeast(f64),
    /// Is a number below this.
    Less(f64),
    /// Is a number of at most this.
    AtMost(f64),
    /// Is present (`true`), or is absent or `null` (`false`).
    Exists(bool),
    /// Is a text with this prefix.
    Prefix(String),
}

/// A constant that values are compared with.
#[derive(Clone, Debug, PartialEq)]
pub enum Constant {
    /// JSON text.
    Text(String),
    /// JSON number.
    Number(f64),
    /// JSON true or false.
    Bool(bool),
}
