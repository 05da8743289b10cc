//! Corrupt batches. A partition halts before one, whereas librdkafka would skip it.

use std::time::{Duration, Instant};

use rdkafka::error::RDKafkaErrorCode;
use tracing::error;

/// How often the error is logged again.
const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// The errors of one slice of a partition, and whether its records may still be used.
#[derive(Debug, Default)]
pub(crate) struct SliceErrors {
    /// The error to act on: the first one with the highest [`weight`].
    pub(crate) worst: Option<(RDKafkaErrorCode, String)>,
}

impl SliceErrors {
    /// Notes an error that stands in place of a record.
    pub(crate) fn add(&mut self, code: RDKafkaErrorCode, reason: String) {
        let known = self.worst.as_ref().map(|(known, _)| weight(*known));
        if known < Some(weight(code)) {
            self.worst = Some((code, reason));
        }
    }

    /// Is there a corrupt batch in the slice? Using the records after it would skip it.
    pub(crate) fn is_corrupt(&self) -> bool {
        self.worst
            .as_ref()
            .is_some_and(|(code, _)| is_corrupt(*code))
    }
}

/// The error with the highest weight counts. An error after a corrupt batch concerns what librdkafka took for the next
/// batch. Errors that end the reading of a partition are reported once, temporary ones repeatedly.
fn weight(code: RDKafkaErrorCode) -> u8 {
    match code {
        _ if is_corrupt(code) => 3,
        RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::TopicAuthorizationFailed => 2,
        RDKafkaErrorCode::PartitionEOF => 0,
        _ => 1,
    }
}

/// Does librdkafka report a batch that it skips with this code: a wrong checksum, version or compression?
pub(crate) fn is_corrupt(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::BadMessage
            | RDKafkaErrorCode::NotImplemented
            | RDKafkaErrorCode::BadCompression
    )
}

/// A partition that is halted before a corrupt batch.
#[derive(Clone, Debug)]
pub(crate) struct CorruptBatch {
    text: String,
    logged_at: Instant,
}

impl CorruptBatch {
    /// Logs the error.
    pub(crate) fn at(topic: &str, partition: u32, offset: i64, reason: &str) -> Self {
        let text = text(topic, partition, offset, reason);
        error!("{text}");
        Self {
            text,
            logged_at: Instant::now(),
        }
    }

    /// Logs the error again, once a minute.
    pub(crate) fn log_again(&mut self, now: Instant) {
        if now.duration_since(self.logged_at) >= LOG_INTERVAL {
            error!("{}", self.text);
            self.logged_at = now;
        }
    }
}

fn text(topic: &str, partition: u32, offset: i64, reason: &str) -> String {
    format!(
        "{topic}/{partition} is halted at offset {offset}, the other partitions are still read: a batch cannot \
         be read ({reason}). Check disk and memory of the partition's leader, move leadership to an intact replica, and \
         restart this instance"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_behind_a_broken_batch_is_used() {
        let mut errors = SliceErrors::default();
        assert!(!errors.is_corrupt());
        errors.add(RDKafkaErrorCode::PartitionEOF, "end".to_owned());
        assert!(!errors.is_corrupt());
        errors.add(RDKafkaErrorCode::BadMessage, "first".to_owned());
        errors.add(RDKafkaErrorCode::BadMessage, "second".to_owned());
        errors.add(RDKafkaErrorCode::PartitionEOF, "end".to_owned());
        assert!(errors.is_corrupt());
        assert_eq!(
            errors.worst.map(|(_, reason)| reason).as_deref(),
            Some("first")
        );
    }

    #[test]
    fn an_error_that_is_said_once_is_not_lost_behind_one_that_passes() {
        let said = [
            (RDKafkaErrorCode::PartitionEOF, "end"),
            (RDKafkaErrorCode::BrokerTransportFailure, "passes"),
            (RDKafkaErrorCode::AutoOffsetReset, "gone"),
            (RDKafkaErrorCode::TopicAuthorizationFailed, "later"),
            (RDKafkaErrorCode::PartitionEOF, "end"),
        ];
        let mut errors = SliceErrors::default();
        for (code, reason) in said {
            errors.add(code, reason.to_owned());
        }
        let gone = (RDKafkaErrorCode::AutoOffsetReset, "gone".to_owned());
        assert_eq!(errors.worst, Some(gone));
    }

    #[test]
    fn every_error_with_which_librdkafka_skips_a_batch_counts() {
        for code in [
            RDKafkaErrorCode::BadMessage,
            RDKafkaErrorCode::NotImplemented,
            RDKafkaErrorCode::BadCompression,
        ] {
            let mut errors = SliceErrors::default();
            errors.add(code, "batch".to_owned());
            errors.add(RDKafkaErrorCode::AutoOffsetReset, "after it".to_owned());
            assert!(errors.is_corrupt(), "{code}");
            assert_eq!(errors.worst, Some((code, "batch".to_owned())));
        }
    }

    #[test]
    fn the_error_names_the_place_and_what_to_do() {
        let text = text("orders", 3, 42, "CRC32C");
        for part in ["orders/3", "offset 42", "CRC32C", "intact replica"] {
            assert!(text.contains(part), "{text}");
        }
    }
}
