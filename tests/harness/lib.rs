//! Shared code of the end-to-end tests: test brokers, workers on threads, the scenarios that every broker must pass,
//! and the built `flockwise` command.

pub mod avro_events;
pub mod changelog;
pub mod checks;
pub mod events;
pub mod faulty_broker;
pub mod kafka;
pub mod kafka_pipeline;
pub mod memory;
pub mod metrics;
pub mod process;
pub mod reference;
pub mod scenario;
pub mod scenario_pipeline;
pub mod scenarios;
#[path = "../simulator/mod.rs"]
pub mod simulator;
pub mod test_broker;
pub mod worker_thread;

use std::time::{Duration, Instant};

/// Timeout of every wait in the tests. It only ends a test that hangs; no test measures time with it.
pub const TIMEOUT: Duration = Duration::from_secs(90);

/// Waits until `holds` returns true. `what` names the condition in the panic message.
///
/// # Panics
/// If the condition does not hold within the timeout.
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < TIMEOUT, "timed out waiting for: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
