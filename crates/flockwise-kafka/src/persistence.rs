//! Calls that are made again while their errors say that this may help.

use std::thread;
use std::time::{Duration, Instant};

use flockwise_runtime::broker::Failure;
use rdkafka::error::KafkaResult;
use tracing::warn;

use crate::faults::{self, Answer};

/// How long a call is made again: an outage of the brokers is sat out. A member that does not poll for
/// longer than this loses its partitions anyway (max.poll.interval.ms).
const PERSISTENCE: Duration = Duration::from_secs(300);

/// The pause before the same call again.
const BACKOFF: Duration = Duration::from_millis(50);

/// Makes a call of the transaction protocol until it succeeds or its error says that it never will.
pub(crate) fn insist(
    doing: &str,
    mut call: impl FnMut() -> KafkaResult<()>,
) -> Result<(), Failure> {
    let start = Instant::now();
    loop {
        let Err(error) = call() else {
            return Ok(());
        };
        match faults::answer(doing, &error) {
            Answer::Fail(failure) => return Err(failure),
            Answer::Retry(text) if start.elapsed() > PERSISTENCE => {
                return Err(Failure::Fatal(text));
            }
            Answer::Retry(text) => warn!("{text}; trying again"),
        }
        thread::sleep(BACKOFF);
    }
}
