//! How the simulated cluster behaves in tests that inject their faults themselves.

use std::time::Duration;

use flockwise_runtime::clock::Clock;
use flockwise_simulation::Conditions;

/// Conditions under which nobody is expelled, and a transaction stays open until it is committed or aborted.
pub(crate) fn conditions(clock: &Clock) -> Conditions {
    let longest = Duration::from_secs(86_400);
    Conditions {
        clock: clock.clone(),
        seed: 1,
        session: longest,
        transaction: longest,
        tombstones: longest,
        is_static: false,
        skips_lost_records: false,
        idle_percent: 0,
        most_records: 1_000,
    }
}
