//! What the end-to-end tests share: brokers seen from outside, workers on threads, the scenarios that every
//! broker must pass, and the built command.

pub mod changelog;
pub mod checks;
pub mod events;
pub mod faulty_broker;
pub mod kafka;
pub mod kafka_pipeline;
pub mod memory;
pub mod metrics;
pub mod pipeline;
pub mod process;
pub mod reference;
pub mod scenario;
pub mod scenarios;
#[path = "../simulator/mod.rs"]
pub mod simulator;
pub mod test_broker;
pub mod worker_thread;

use std::time::{Duration, Instant};

/// Nothing here is timed: this only ends what hangs.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// Waits until something holds.
///
/// # Panics
/// With what was waited for, where it does not come to hold.
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < PATIENCE, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
