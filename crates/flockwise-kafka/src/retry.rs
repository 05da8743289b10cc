//! Calls that are made again while their errors say that this may help.

use std::thread;
use std::time::{Duration, Instant};

use flockwise_runtime::broker::Failure;
use flockwise_runtime::heartbeat::beat;
use rdkafka::error::KafkaResult;
use tracing::{debug, warn};

use crate::errors::{self, Answer};

/// How long a call is made again: an outage of the brokers is sat out. A member that does not poll for
/// longer than this loses its partitions anyway (max.poll.interval.ms).
const RETRY_TIMEOUT: Duration = Duration::from_secs(300);

/// How long a question is asked again that no broker answers: leaders move within seconds.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// How long one broker may take to answer. It may be gone for good and the next one know better.
pub(crate) const ATTEMPT: Duration = Duration::from_secs(5);

/// How long a topic that was there is asked for again where a broker does not know it: one that has just started may
/// not have heard of it yet, and a topic that is gone stays gone.
const DOUBT: Duration = Duration::from_secs(10);

/// The pause before the same call again.
const BACKOFF: Duration = Duration::from_millis(50);

/// Makes a call of the transaction protocol until it succeeds or its error says that it never will.
pub(crate) fn retry(doing: &str, mut call: impl FnMut() -> KafkaResult<()>) -> Result<(), Failure> {
    let start = Instant::now();
    loop {
        beat();
        let Err(error) = call() else {
            return Ok(());
        };
        match errors::answer(doing, &error) {
            Answer::Fail(failure) => return Err(failure),
            Answer::Retry(text) if start.elapsed() > RETRY_TIMEOUT => {
                return Err(Failure::Fatal(text));
            }
            Answer::Retry(text) => warn!("{text}; trying again"),
        }
        thread::sleep(BACKOFF);
    }
}

/// Asks until there is an answer, or the failure says that there will never be one.
pub(crate) fn retry_query<T>(ask: impl FnMut() -> Result<T, Failure>) -> Result<T, Failure> {
    retry_while(ask, |failure, elapsed| {
        matches!(failure, Failure::Fatal(_)) && elapsed < PATIENCE
    })
}

/// Asks for something of a topic that was there a while ago.
pub(crate) fn retry_for_known_topic<T>(
    ask: impl FnMut() -> Result<T, Failure>,
) -> Result<T, Failure> {
    retry_while(ask, |failure, elapsed| {
        matches!(failure, Failure::Config(_)) && elapsed < DOUBT
    })
}

fn retry_while<T>(
    mut ask: impl FnMut() -> Result<T, Failure>,
    may_pass: impl Fn(&Failure, Duration) -> bool,
) -> Result<T, Failure> {
    let start = Instant::now();
    loop {
        beat();
        match ask() {
            Err(failure) if may_pass(&failure, start.elapsed()) => {
                debug!("{failure}; asking again");
            }
            answer => return answer,
        }
        thread::sleep(BACKOFF);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_pass_is_asked_again_and_what_does_not_is_said_at_once() {
        let mut asked = 0;
        let mut ask = || {
            asked += 1;
            match asked {
                1 => Err(Failure::Fatal("no leader".to_owned())),
                count => Ok(count),
            }
        };
        assert_eq!(retry_query(&mut ask).expect("an answer"), 2);
        let missing = || Err::<(), _>(Failure::Config("no topic".to_owned()));
        assert!(matches!(retry_query(missing), Err(Failure::Config(_))));
        let mut asked = 0;
        let known = retry_for_known_topic(|| {
            asked += 1;
            match asked {
                1 => Err(Failure::Config("a broker has not heard of it".to_owned())),
                count => Ok(count),
            }
        });
        assert_eq!(known.expect("an answer"), 2);
    }
}
