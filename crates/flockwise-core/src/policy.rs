//! When a customer may change segment, and how time passes.

/// Margin, patience, dwell and cooldown.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DecisionPolicy {
    /// The new centroid must be nearer than the present one by more than this share, 0 to below 1.
    pub margin: f64,
    /// What staying must have cost: squared distance given up, as a share of the variance of all customers, day by
    /// day; see [`crate::decide::decide`]. 0: nothing.
    pub patience: f64,
    /// Scorings in a row that must agree, at least 1.
    pub dwell: u16,
    /// After a change, none for this long; milliseconds of event time.
    pub cooldown_ms: i64,
}

/// How event time is judged and how the calendar of scorings turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimePolicy {
    /// Older than this behind its own input partition: too late. Milliseconds.
    pub lateness_ms: i64,
    /// Further ahead of the wall clock than this: refused. Milliseconds; none in a replay.
    pub max_ahead_ms: Option<i64>,
    /// Everyone is scored again this often, milliseconds; `None`: only at events.
    pub sweep_ms: Option<i64>,
    /// Event ids remembered a customer, to catch repeated ones.
    pub remembered_ids: usize,
    /// A customer without an event for longer than this is let go of by the sweep, milliseconds; `None`:
    /// never.
    pub forget_ms: Option<i64>,
}

impl TimePolicy {
    /// Is an event of this time too far ahead of the clock? Without a clock, as in a replay, none is.
    #[must_use]
    pub fn is_too_far_ahead(&self, time_ms: i64, now_ms: Option<i64>) -> bool {
        let ahead = now_ms.zip(self.max_ahead_ms);
        ahead.is_some_and(|(now_ms, max_ahead_ms)| time_ms > now_ms.saturating_add(max_ahead_ms))
    }
}

/// What is history: it happened before the pipeline was first started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HistoryPolicy {
    /// Event time before which everything is history, milliseconds since the epoch; `None`: nothing is.
    pub until_ms: Option<i64>,
    /// `false`: changes of segment in it are made and counted in the customer's sequence, and not published.
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
    /// Is this event time history?
    #[must_use]
    pub fn contains(&self, at_ms: i64) -> bool {
        self.until_ms.is_some_and(|until_ms| at_ms < until_ms)
    }

    /// Is what happened then not to be published?
    #[must_use]
    pub fn withholds(&self, at_ms: i64) -> bool {
        !self.is_published && self.contains(at_ms)
    }
}

/// How the model learns.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LearningPolicy {
    /// Fewest segments.
    pub k_min: usize,
    /// Most segments.
    pub k_max: usize,
    /// Event time after which what was learnt weighs half; milliseconds.
    pub half_life_ms: i64,
    /// Customers that the first model is made from, at least.
    pub warm_up_customers: usize,
    /// Event time that must have passed before the first model; milliseconds.
    pub warm_up_ms: i64,
    /// A version that would move a larger share of all customers than this is held until it is approved; 1: none
    /// is.
    pub churn_budget: f64,
    /// `false`: the model stays as it is.
    pub learn: bool,
    /// Seeds sampling and the choice of the first centroids.
    pub seed: u64,
}

const HOUR_MS: i64 = 3_600_000;

/// In a backlog the first version is considered this often: more often, and reading would take much longer.
const FIRST_LOOK_MS: i64 = 6 * HOUR_MS;

/// Looks at what has been learnt in a half-life, at most: in between it is little.
pub(crate) const LOOKS_A_HALF_LIFE: i64 = 24;

/// Of one core, seconds for each feature and each square of the number of segments: measured on groups that overlap, of
/// which the first version takes the longest (`benches/learning.rs`; BENCHMARKS.md, learning).
const LEARNING_COST: f64 = 55e-6;

/// A version must not take longer than this, seconds: a rebalance in between makes the trainer begin again.
const LONGEST_LEARNING: f64 = 600.0;

/// Nor longer than this share of the time from one look to the next, or the trainer falls behind.
const SHARE_OF_A_LOOK: f64 = 0.25;

/// Customers in the sample a segment, all segments alike: then chance alone costs a share of
/// 1 / 250 of the quantisation error.
const SAMPLED_A_SEGMENT: f64 = 250.0;

impl LearningPolicy {
    /// Customers that the model is learnt from, those of long ago counted for less by their half-life.
    #[must_use]
    pub fn sampled(&self) -> usize {
        (SAMPLED_A_SEGMENT * self.k_max as f64) as usize
    }

    /// Customers to sample in a span of milliseconds, so that there are always so many: what comes in
    /// balances what decays.
    #[must_use]
    pub fn sampled_in(&self, span_ms: f64) -> f64 {
        let decayed = 1.0 - (-span_ms / self.half_life_ms as f64).exp2();
        self.sampled() as f64 * decayed
    }

    /// How long a version takes with so many features, about: seconds of one core.
    #[must_use]
    pub fn learning_seconds(&self, features: usize) -> f64 {
        LEARNING_COST * features as f64 * (self.k_max as f64).powi(2)
    }

    /// How long it may take, in seconds.
    #[must_use]
    pub fn most_learning_seconds(&self) -> f64 {
        LONGEST_LEARNING.min(SHARE_OF_A_LOOK * self.look_ms() as f64 / 1000.0)
    }

    /// With how many segments it would not take longer.
    #[must_use]
    pub fn most_segments(&self, features: usize) -> usize {
        let squared = self.most_learning_seconds() / (LEARNING_COST * features.max(1) as f64);
        squared.sqrt() as usize
    }

    /// The trainer considers a version once in so much event time, milliseconds, at least 1.
    #[must_use]
    pub fn look_ms(&self) -> i64 {
        (self.half_life_ms / LOOKS_A_HALF_LIFE).max(1)
    }

    /// How often in event time all tasks of a backlog wait for the trainer, milliseconds, at least 1: as often as it
    /// considers a version. The first one comes sooner.
    #[must_use]
    pub fn period_ms(&self, has_model: bool) -> i64 {
        match has_model {
            true => self.look_ms(),
            false => self.look_ms().min(FIRST_LOOK_MS),
        }
    }

    /// Every customer has one turn to be sampled in so much event time, milliseconds, at least 1. It is no longer than
    /// an hour, so that a pipeline without history soon has its first version.
    #[must_use]
    pub fn sampling_ms(&self) -> i64 {
        self.look_ms().min(HOUR_MS)
    }
}

/// Where the period that an event time is in begins, milliseconds since the epoch. Before and after all time, `i64::MIN` and
/// `i64::MAX`, there are no periods.
#[must_use]
pub fn period_start_ms(time_ms: i64, period_ms: i64) -> i64 {
    match time_ms {
        i64::MIN | i64::MAX => time_ms,
        _ => time_ms.div_euclid(period_ms) * period_ms,
    }
}
