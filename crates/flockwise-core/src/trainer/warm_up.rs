//! What the first version waits for.

use super::{FITTED, Trainer};

/// How far the trainer is on its way to a first version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WarmUp {
    /// Different customers in the trainer's window.
    pub customers: usize,
    /// Different customers that the first version needs.
    pub customers_wanted: usize,
    /// Event time from the first mini-batch to the latest, milliseconds.
    pub span_ms: i64,
    /// Event time that the mini-batches must span, milliseconds.
    pub span_wanted_ms: i64,
}

impl WarmUp {
    /// Is there enough for a first version?
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.customers >= self.customers_wanted && self.span_ms >= self.span_wanted_ms
    }
}

impl Trainer {
    /// What the first version waits for, and what of it is there.
    #[must_use]
    pub fn warm_up(&self) -> WarmUp {
        let first_ms = self.first_ms.unwrap_or(self.now_ms);
        WarmUp {
            customers: self.window.customers(),
            customers_wanted: self.policy.warm_up_customers.clamp(1, FITTED),
            span_ms: self.now_ms.saturating_sub(first_ms),
            span_wanted_ms: self.policy.warm_up_ms,
        }
    }

    /// The same, or `None` once there is a version.
    #[must_use]
    pub fn pending_warm_up(&self) -> Option<WarmUp> {
        let is_pending = self.policy.learn && self.latest().is_none();
        is_pending.then(|| self.warm_up())
    }
}
