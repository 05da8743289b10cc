//! How often things go wrong.

use super::seeded_random::SeededRandom;

/// How often something happens, of a thousand steps.
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
    pub(super) occupy: u64,
    pub(super) leap: u64,
    /// Somebody sets the clock of an instance.
    pub(super) jump: u64,
    /// An input is deleted and made again.
    pub(super) recreate: u64,
    /// An input partition loses its latest records.
    pub(super) truncate: u64,
}

/// Of all that may go wrong, in each world only some does: what is rare beside much else gets its turn.
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
        occupy: rate(30),
        leap: rate(10),
        jump: 0,
        recreate: 0,
        truncate: 0,
    }
}
