//! How much memory the state of a process may take, and how much it does.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::broker::Failure;

/// Above this share of what is allowed it is said.
const NEAR: f64 = 0.8;

/// What all workers of a process hold together, bytes.
#[derive(Debug, Default)]
pub struct MemoryBudget {
    limit: Option<u64>,
    used: AtomicU64,
}

impl MemoryBudget {
    /// Nothing held yet, and at most so many bytes to come.
    #[must_use]
    pub fn new(limit: Option<u64>) -> Self {
        Self {
            limit,
            used: AtomicU64::new(0),
        }
    }

    /// Bytes that the workers hold.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// Bytes that may yet be held; `None` where there is no limit.
    #[must_use]
    pub fn left(&self) -> Option<u64> {
        self.limit.map(|limit| limit.saturating_sub(self.used()))
    }

    /// A worker held `before` bytes and now holds `after`.
    pub(crate) fn change(&self, before: u64, after: u64) {
        self.used.fetch_add(after, Ordering::Relaxed);
        self.used.fetch_sub(before, Ordering::Relaxed);
    }

    /// Is most of it taken?
    pub(crate) fn is_nearly_full(&self) -> bool {
        self.limit
            .is_some_and(|limit| self.used() as f64 > NEAR * limit as f64)
    }

    /// Fails where more is held than allowed: better now, with what was committed safe, than by the hand of
    /// the operating system.
    ///
    /// # Errors
    /// [`Failure::Config`] with the ways out.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        match self.limit {
            Some(limit) if self.used() > limit => Err(Failure::Config(format!(
                "the customers' state takes {} MiB, and `memory` under [state] allows {} MiB: start \
                 more instances, which take over their share of the state partitions; or allow more; \
                 or let customers go sooner, with `forget_after` under [time]. Nothing that was \
                 committed is lost",
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
