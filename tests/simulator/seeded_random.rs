//! Seeded chance.

use std::cell::Cell;
use std::time::Duration;

use flockwise_core::event::mix;

/// A row of numbers that looks like none: SplitMix64.
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

    /// Below a bound, which is not 0.
    pub(super) fn below(&self, bound: u64) -> u64 {
        self.number() % bound
    }

    /// A place in something of this length, which is not 0.
    pub(super) fn place(&self, length: usize) -> usize {
        self.below(length as u64) as usize
    }

    /// Both ends included.
    pub(super) fn between(&self, low: u64, high: u64) -> u64 {
        low + self.below(high - low + 1)
    }

    /// As [`SeededRandom::between`], but small numbers come as often as large ones.
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
        choices[self.place(choices.len())]
    }

    pub(super) fn ms(&self, low: u64, high: u64) -> Duration {
        Duration::from_millis(self.scale(low, high))
    }
}
