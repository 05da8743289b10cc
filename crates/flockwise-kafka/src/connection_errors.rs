//! A client's connection errors: what they say about the connection, and which of them are logged.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rdkafka::error::RDKafkaErrorCode;

/// An error of one code is logged at most this often. librdkafka repeats an error for as long as it lasts, with other
/// details each time.
const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// A refusal this long after the previous one starts a new series: librdkafka repeats an error every
/// half minute.
const REFUSAL_GAP: Duration = Duration::from_secs(90);

/// Refusals count as permanent after this long: a broker that has just started may refuse good credentials.
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(60);

/// The latest connection error of each kind.
#[derive(Clone, Debug, Default)]
pub(crate) struct ClientErrors {
    /// Why a connection failed last.
    pub(crate) connection: Option<String>,
    /// All known brokers were down.
    pub(crate) all_down: bool,
    /// Credentials were refused.
    pub(crate) refused: Option<CredentialRefusal>,
    /// By error code. librdkafka has a few hundred of them.
    logged: BTreeMap<i32, LoggedError>,
}

/// A series of refusals of the credentials.
#[derive(Clone, Debug)]
pub(crate) struct CredentialRefusal {
    since: Instant,
    latest: Instant,
    pub(crate) reason: String,
}

/// The latest log line of an error code.
#[derive(Clone, Copy, Debug)]
struct LoggedError {
    at: Instant,
    /// Number of errors since then, none of which was logged.
    suppressed: u64,
}

impl ClientErrors {
    /// Counts an error. If it is to be logged, returns how many errors of its code were suppressed since the previous one
    /// that was logged.
    pub(crate) fn count(&mut self, code: RDKafkaErrorCode, now: Instant) -> Option<u64> {
        let first = LoggedError {
            at: now,
            suppressed: 0,
        };
        match self.logged.get_mut(&(code as i32)) {
            Some(logged) if now.duration_since(logged.at) < LOG_INTERVAL => {
                logged.suppressed += 1;
                None
            }
            Some(logged) => Some(std::mem::replace(logged, first).suppressed),
            None => {
                self.logged.insert(code as i32, first);
                Some(0)
            }
        }
    }

    /// Notes that the credentials were refused.
    pub(crate) fn refuse(&mut self, reason: &str, now: Instant) {
        let since = match &self.refused {
            Some(before) if now.duration_since(before.latest) < REFUSAL_GAP => before.since,
            _ => now,
        };
        self.refused = Some(CredentialRefusal {
            since,
            latest: now,
            reason: reason.to_owned(),
        });
    }

    /// Why credentials are refused, if that has lasted for [`REFUSAL_TIMEOUT`].
    pub(crate) fn persistent_refusal(&self) -> Option<String> {
        let refusal = self.refused.as_ref()?;
        let lasted = refusal.latest.duration_since(refusal.since);
        (lasted >= REFUSAL_TIMEOUT).then(|| refusal.reason.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_that_repeats_is_logged_again_with_how_often_it_was_suppressed() {
        let (mut errors, start) = (ClientErrors::default(), Instant::now());
        let second = Duration::from_secs(1);
        let mut lines = Vec::new();
        for number in 0..125 {
            let line = errors.count(RDKafkaErrorCode::AllBrokersDown, start + number * second);
            lines.extend(line.map(|suppressed| (number, suppressed)));
        }
        assert_eq!(lines, [(0, 0), (60, 59), (120, 59)]);
    }

    #[test]
    fn each_code_is_logged_on_its_own() {
        let (mut errors, start) = (ClientErrors::default(), Instant::now());
        assert_eq!(errors.count(RDKafkaErrorCode::Resolve, start), Some(0));
        assert_eq!(errors.count(RDKafkaErrorCode::SSL, start), Some(0));
        assert_eq!(errors.count(RDKafkaErrorCode::SSL, start), None);
    }

    #[test]
    fn credentials_that_are_refused_for_a_minute_are_wrong() {
        let (mut errors, start) = (ClientErrors::default(), Instant::now());
        errors.refuse("no such user", start);
        assert_eq!(errors.persistent_refusal(), None);
        errors.refuse("no such user", start + REFUSAL_TIMEOUT);
        let reason = errors.persistent_refusal();
        assert_eq!(reason.as_deref(), Some("no such user"));
        errors.refuse("again", start + REFUSAL_TIMEOUT + REFUSAL_GAP);
        assert_eq!(errors.persistent_refusal(), None);
    }
}
