//! Seeded pseudo-random numbers.

use std::cell::Cell;
use std::time::Duration;

use flockwise_core::event::mix;

/// A SplitMix64 generator.
#[derive(Debug)]
pub(super) struct SeededRandom(Cell<u64>);

impl SeededRandom {
    pub(super) fn new(seed: u64) -> Self {
        Self(Cell::new(mix(seed ^ 0x5eed)))
    }

    pub(super) fn number(&self) -> u64 {
        self.0.set(self.0.get().wrapping_add(0x9e37_79b9_7f4a_7c15));
        mix(self.0.get())
    }

    /// A number from 0 to `bound - 1`. `bound` must not be 0.
    pub(super) fn below(&self, bound: u64) -> u64 {
        self.number() % bound
    }

    /// An index into a sequence of this length, which must not be 0.
    pub(super) fn index(&self, length: usize) -> usize {
        self.below(length as u64) as usize
    }

    /// A number from `low` to `high`, both included, uniformly.
    pub(super) fn between(&self, low: u64, high: u64) -> u64 {
        low + self.below(high - low + 1)
    }

    /// As [`SeededRandom::between`], but log-uniform: each order of magnitude is equally likely.
    pub(super) fn scale(&self, low: u64, high: u64) -> u64 {
        let span = ((high + 1) as f64 / low.max(1) as f64).ln();
        let share = self.below(1 << 32) as f64 / (1_u64 << 32) as f64;
        ((low.max(1) as f64 * (span * share).exp()) as u64).clamp(low, high)
    }

    pub(super) fn percent(&self, chance: u64) -> bool {
        self.below(100) < chance
    }

    pub(super) fn per_mille(&self, chance: u64) -> bool {
        self.below(1000) < chance
    }

    pub(super) fn one_of<T: Copy>(&self, choices: &[T]) -> T {
        choices[self.index(choices.len())]
    }

    pub(super) fn ms(&self, low: u64, high: u64) -> Duration {
        Duration::from_millis(self.scale(low, high))
    }
}
