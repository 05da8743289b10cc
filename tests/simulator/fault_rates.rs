//! Fault rates.

use super::seeded_random::SeededRandom;

/// Probability of each fault per step, per mille.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct FaultRates {
    pub(super) crash: u64,
    pub(super) abort: u64,
    pub(super) pause: u64,
    pub(super) supersede: u64,
    pub(super) leave: u64,
    pub(super) expire: u64,
    pub(super) compact: u64,
    pub(super) retain: u64,
    pub(super) skip_offsets: u64,
    pub(super) skip_time: u64,
    /// Sets the clock of an instance.
    pub(super) set_clock: u64,
    /// Deletes and recreates an input.
    pub(super) recreate: u64,
    /// Truncates an input partition.
    pub(super) truncate: u64,
}

/// Draws the rates. In each seed only about half of the faults occur, so that rare ones are not drowned out by
/// others.
pub(super) fn rates(random: &SeededRandom) -> FaultRates {
    let rate = |high: u64| match random.percent(55) {
        true => random.scale(1, high),
        false => 0,
    };
    FaultRates {
        crash: rate(60),
        abort: rate(150),
        pause: rate(200),
        supersede: rate(30),
        leave: rate(40),
        expire: rate(10),
        compact: rate(30),
        retain: rate(30),
        skip_offsets: rate(30),
        skip_time: rate(10),
        set_clock: 0,
        recreate: 0,
        truncate: 0,
    }
}
