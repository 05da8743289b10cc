//! How much memory the state of a process may take, and how much it takes.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::broker::Failure;

/// A budget with more than this share used is nearly full, which is logged.
const NEARLY_FULL: f64 = 0.8;

/// The memory budget that all workers of a process share.
#[derive(Debug, Default)]
pub struct MemoryBudget {
    /// Bytes; `None`: no limit.
    limit: Option<u64>,
    used: AtomicU64,
}

impl MemoryBudget {
    /// A budget of `limit` bytes, of which none is used; `None`: no limit.
    #[must_use]
    pub fn new(limit: Option<u64>) -> Self {
        Self {
            limit,
            used: AtomicU64::new(0),
        }
    }

    /// Bytes that the state of all workers takes.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// Bytes that are left of the budget; `None` if there is no limit.
    #[must_use]
    pub fn left(&self) -> Option<u64> {
        self.limit.map(|limit| limit.saturating_sub(self.used()))
    }

    /// The state of a worker took `before` bytes and now takes `after`.
    pub(crate) fn change(&self, before: u64, after: u64) {
        self.used.fetch_add(after, Ordering::Relaxed);
        self.used.fetch_sub(before, Ordering::Relaxed);
    }

    /// Is more than [`NEARLY_FULL`] of the budget used?
    pub(crate) fn is_nearly_full(&self) -> bool {
        self.limit
            .is_some_and(|limit| self.used() as f64 > NEARLY_FULL * limit as f64)
    }

    /// Fails if more is used than the budget allows. It is better to end here, with everything committed safe, than to
    /// be killed by the operating system.
    ///
    /// # Errors
    /// [`Failure::Config`], which says what the operator can do.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        match self.limit {
            Some(limit) if self.used() > limit => Err(Failure::Config(format!(
                "the customers' state takes {} MiB, but `memory` under [state] allows {} MiB: start \
                 more instances, which take over their share of the state partitions; or raise \
                 `memory`; or set a shorter `forget_after` under [time], to remove inactive customers \
                 sooner. Nothing that was committed is lost",
                self.used() >> 20,
                limit >> 20
            ))),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_much_is_said_with_the_ways_out() {
        let memory = MemoryBudget::new(Some(10 << 20));
        memory.change(0, 9 << 20);
        assert!(memory.check().is_ok() && memory.is_nearly_full());
        memory.change(0, 2 << 20);
        let error = memory.check().unwrap_err().to_string();
        assert!(
            error.contains("takes 11 MiB") && error.contains("allows 10 MiB"),
            "{error}"
        );
        memory.change(9 << 20, 0);
        assert!(memory.check().is_ok() && !memory.is_nearly_full());
        assert_eq!(memory.left(), Some(8 << 20));
        assert!(MemoryBudget::default().check().is_ok());
    }
}
