//! Policies for decisions, time, history and learning.

use crate::dedup::IdMemory;

/// When a customer may change segment: margin, patience, dwell and cooldown.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DecisionPolicy {
    /// How much nearer the new centroid must be, as a share of the distance to the present one: 0 to below 1.
    pub margin: f64,
    /// What staying must have cost: the squared distance given up, as a share of the variance of all customers,
    /// times days; see [`crate::decide::decide`]. 0 disables it.
    pub patience: f64,
    /// Number of scorings in a row that must agree, at least 1.
    pub dwell: u16,
    /// No other change happens for this long after a change; milliseconds of event time.
    pub cooldown_ms: i64,
}

/// How event time is checked, and when customers are scored without an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimePolicy {
    /// An event further than this behind its own input partition is too late; milliseconds.
    pub lateness_ms: i64,
    /// An event further than this ahead of the wall clock is rejected; milliseconds, `None` in a replay.
    pub max_ahead_ms: Option<i64>,
    /// Period of the sweep, milliseconds; `None`: only events cause scorings.
    pub sweep_ms: Option<i64>,
    /// Event ids remembered per customer, for dedup; as many orders as the least number of ids.
    pub remembered_ids: IdMemory,
    /// The sweep removes a customer who has had no event for longer than this; milliseconds, `None`: never.
    pub forget_ms: Option<i64>,
}

impl TimePolicy {
    /// Whether an event time is too far ahead of the clock. Without a clock, as in a replay, no event is.
    #[must_use]
    pub fn is_too_far_ahead(&self, time_ms: i64, now_ms: Option<i64>) -> bool {
        let ahead = now_ms.zip(self.max_ahead_ms);
        ahead.is_some_and(|(now_ms, max_ahead_ms)| time_ms > now_ms.saturating_add(max_ahead_ms))
    }
}

/// What counts as history: everything from before the pipeline's first start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HistoryPolicy {
    /// Event time before which everything is history, milliseconds since the epoch; `None`: nothing is.
    pub until_ms: Option<i64>,
    /// `false`: changes of segment in history happen and count in the customer's sequence, but are not published.
    pub is_published: bool,
}

impl Default for HistoryPolicy {
    fn default() -> Self {
        Self {
            until_ms: None,
            is_published: true,
        }
    }
}

impl HistoryPolicy {
    /// Whether an event time is history.
    #[must_use]
    pub fn contains(&self, at_ms: i64) -> bool {
        self.until_ms.is_some_and(|until_ms| at_ms < until_ms)
    }

    /// Whether changes at an event time are not published.
    #[must_use]
    pub fn withholds(&self, at_ms: i64) -> bool {
        !self.is_published && self.contains(at_ms)
    }
}

/// How the model learns.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LearningPolicy {
    /// Minimum number of segments.
    pub k_min: usize,
    /// Maximum number of segments.
    pub k_max: usize,
    /// Event time after which what was learnt has half the weight; milliseconds.
    pub half_life_ms: i64,
    /// Minimum number of customers for the first version.
    pub warm_up_customers: usize,
    /// Event time that must pass before the first version; milliseconds.
    pub warm_up_ms: i64,
    /// A version that would move a larger share of all customers than this is held until it is approved; 1: none
    /// is held.
    pub churn_budget: f64,
    /// `false`: the model never changes.
    pub learn: bool,
    /// Seed of sampling and of the first centroids.
    pub seed: u64,
}

const HOUR_MS: i64 = 3_600_000;

/// Event time between two attempts at the first version in a backlog. More attempts would slow reading down a lot.
const FIRST_LOOK_MS: i64 = 6 * HOUR_MS;

/// How often per half-life the trainer looks at what it has learnt. It learns little in between.
pub(crate) const LOOKS_A_HALF_LIFE: i64 = 24;

/// Seconds of one core per feature and squared number of segments. Measured on overlapping groups, for which the
/// first version takes the longest (`benches/learning.rs`; BENCHMARKS.md, learning).
const LEARNING_COST: f64 = 55e-6;

/// Maximum time that a version may take, seconds. A rebalance in the meantime makes the trainer start over.
const LONGEST_LEARNING: f64 = 600.0;

/// A version may also take at most this share of the time between two looks, or the trainer falls behind.
const SHARE_OF_A_LOOK: f64 = 0.25;

/// Number of sampled customers per segment, the same for all segments. Chance alone then costs 1 / 250 of the
/// quantisation error.
const SAMPLED_A_SEGMENT: f64 = 250.0;

impl LearningPolicy {
    /// Number of customers that the model is learnt from, older ones weighted by their half-life.
    #[must_use]
    pub fn sampled(&self) -> usize {
        (SAMPLED_A_SEGMENT * self.k_max as f64) as usize
    }

    /// Number of customers to sample in a span of milliseconds. It balances the decay, so that the sample keeps
    /// its size.
    #[must_use]
    pub fn sampled_in(&self, span_ms: f64) -> f64 {
        let decayed = 1.0 - (-span_ms / self.half_life_ms as f64).exp2();
        self.sampled() as f64 * decayed
    }

    /// Approximate time that a version takes with this number of features, seconds of one core.
    #[must_use]
    pub fn learning_seconds(&self, features: usize) -> f64 {
        LEARNING_COST * features as f64 * (self.k_max as f64).powi(2)
    }

    /// Maximum time that a version may take, seconds.
    #[must_use]
    pub fn most_learning_seconds(&self) -> f64 {
        LONGEST_LEARNING.min(SHARE_OF_A_LOOK * self.look_ms() as f64 / 1000.0)
    }

    /// Maximum number of segments with which a version does not take longer than that.
    #[must_use]
    pub fn most_segments(&self, features: usize) -> usize {
        let squared = self.most_learning_seconds() / (LEARNING_COST * features.max(1) as f64);
        squared.sqrt() as usize
    }

    /// Event time between two looks of the trainer, milliseconds, at least 1. At each look it considers a new
    /// version.
    #[must_use]
    pub fn look_ms(&self) -> i64 {
        (self.half_life_ms / LOOKS_A_HALF_LIFE).max(1)
    }

    /// Event time between two waits of all tasks of a backlog for the trainer, milliseconds, at least 1. They wait
    /// whenever it considers a version; for the first version that is more often.
    #[must_use]
    pub fn period_ms(&self, has_model: bool) -> i64 {
        match has_model {
            true => self.look_ms(),
            false => self.look_ms().min(FIRST_LOOK_MS),
        }
    }

    /// Event time in which every customer has one turn to be sampled, milliseconds, at least 1. It is at most an
    /// hour, so that a pipeline without history soon has its first version.
    #[must_use]
    pub fn sampling_ms(&self) -> i64 {
        self.look_ms().min(HOUR_MS)
    }
}

/// Start of the period that contains an event time, milliseconds since the epoch. Returns `i64::MIN` and
/// `i64::MAX` unchanged: they are before and after all periods.
#[must_use]
pub fn period_start_ms(time_ms: i64, period_ms: i64) -> i64 {
    match time_ms {
        i64::MIN | i64::MAX => time_ms,
        _ => time_ms.div_euclid(period_ms) * period_ms,
    }
}
