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

/// Customers in the sample a segment, all segments alike: then chance alone costs a share of
/// 1 / 250 of the quantisation error.
const SAMPLED_A_SEGMENT: f64 = 250.0;

impl LearningPolicy {
    /// Customers that the model is learnt from, those of long ago counted for less by their half-life.
    #[must_use]
    pub fn sampled(&self) -> usize {
        (SAMPLED_A_SEGMENT * self.k_max as f64) as usize
    }

    /// Customers to sample in a period of milliseconds, so that there are always so many: what comes in
    /// balances what decays.
    #[must_use]
    pub fn sampled_in(&self, period_ms: f64) -> f64 {
        self.sampled() as f64 * std::f64::consts::LN_2 * period_ms / self.half_life_ms as f64
    }
}
