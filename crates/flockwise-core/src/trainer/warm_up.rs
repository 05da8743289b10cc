//! Warm-up: what the first version waits for.

use std::fmt;

use crate::feature::DAY_MS;

/// How far the trainer is on the way to a first version.
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
    /// The share of what it waits for that is there, from 0 to 1.
    #[must_use]
    pub fn share(&self) -> f64 {
        let of = |found: f64, wanted: f64| if wanted > 0.0 { found / wanted } else { 1.0 };
        let customers = of(self.customers as f64, self.customers_wanted as f64);
        let span = of(self.span_ms as f64, self.span_wanted_ms as f64);
        customers.min(span).clamp(0.0, 1.0)
    }

    fn waits_for(&self) -> &'static str {
        match (
            self.customers < self.customers_wanted,
            self.span_ms < self.span_wanted_ms,
        ) {
            (true, true) => "customers and time",
            (true, false) => "customers",
            (false, true) => "time",
            (false, false) => "the first version to be learnt",
        }
    }

    /// Whether there is enough for a first version.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.customers >= self.customers_wanted && self.span_ms >= self.span_wanted_ms
    }
}

impl fmt::Display for WarmUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let days = |span_ms: i64| span_ms as f64 / DAY_MS;
        let (customers, customers_wanted) = (self.customers, self.customers_wanted);
        write!(
            f,
            "warm-up has sampled {customers} of {customers_wanted} customers"
        )?;
        if self.span_wanted_ms > 0 {
            let (span, span_wanted) = (days(self.span_ms), days(self.span_wanted_ms));
            write!(f, " over {span:.1} of {span_wanted:.1} days of event time")?;
        }
        write!(
            f,
            " (`warm_up` under [model]); it waits for {}",
            self.waits_for()
        )
    }
}
