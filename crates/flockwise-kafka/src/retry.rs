//! Retries of calls whose errors may be temporary.

use std::thread;
use std::time::{Duration, Instant};

use flockwise_runtime::broker::Failure;
use flockwise_runtime::heartbeat::beat;
use rdkafka::error::KafkaResult;
use tracing::{debug, warn};

use crate::classify_error::{self, ErrorAction};

/// How long a call is retried, to outlast an outage of the brokers. A member that does not poll for longer
/// than this loses its partitions anyway (`max.poll.interval.ms`).
const RETRY_TIMEOUT: Duration = Duration::from_secs(300);

/// How long an unanswered query is retried: leaders move within seconds.
pub(crate) const QUERY_TIMEOUT: Duration = Duration::from_secs(30);

/// How long one broker may take to answer. It may be gone for good, while another one answers.
pub(crate) const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a query about a known topic is retried if a broker does not know the topic: a broker that has just started
/// may not know it yet. A topic that is really gone stays gone.
const UNKNOWN_TOPIC_TIMEOUT: Duration = Duration::from_secs(10);

/// The pause before a retry.
const BACKOFF: Duration = Duration::from_millis(50);

/// Makes a call of the transaction protocol until it succeeds or its error is permanent.
pub(crate) fn retry(doing: &str, mut call: impl FnMut() -> KafkaResult<()>) -> Result<(), Failure> {
    let start = Instant::now();
    loop {
        beat();
        let Err(error) = call() else {
            return Ok(());
        };
        match classify_error::action(doing, &error) {
            ErrorAction::Fail(failure) => return Err(failure),
            ErrorAction::Retry(text) if start.elapsed() > RETRY_TIMEOUT => {
                return Err(Failure::Fatal(text));
            }
            ErrorAction::Retry(text) => warn!("{text}; retrying"),
        }
        thread::sleep(BACKOFF);
    }
}

/// Repeats a query until it succeeds or its failure is permanent.
pub(crate) fn retry_query<T>(ask: impl FnMut() -> Result<T, Failure>) -> Result<T, Failure> {
    retry_while(ask, |failure, elapsed| {
        matches!(failure, Failure::Fatal(_)) && elapsed < QUERY_TIMEOUT
    })
}

/// Repeats a query about a topic that existed a while ago.
pub(crate) fn retry_for_known_topic<T>(
    ask: impl FnMut() -> Result<T, Failure>,
) -> Result<T, Failure> {
    retry_while(ask, |failure, elapsed| {
        matches!(failure, Failure::Config(_)) && elapsed < UNKNOWN_TOPIC_TIMEOUT
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
                debug!("{failure}; retrying");
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
