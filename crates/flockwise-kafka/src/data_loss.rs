//! Lost records: retention deleted the next record of a partition before it was read, or the partition was truncated
//! or recreated, so that records that were read are no longer in it.
//!
//! They cannot be recovered, and the loss must not go unnoticed.

use std::time::{Duration, Instant};

use flockwise_runtime::broker::Start;
use flockwise_runtime::topics::{Topic, TopicPartition};
use tracing::{error, warn};

use crate::truncation::Truncation;

/// How often the error is logged again.
const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// What is known about lost records of a partition.
#[derive(Clone, Debug)]
pub(crate) struct DataLoss {
    pub(crate) topic_partition: TopicPartition,
    pub(crate) topic: String,
    /// The next offset to read.
    pub(crate) wanted: i64,
    /// Leader epoch up to which the partition was read.
    pub(crate) leader_epoch: Option<i32>,
    /// What the leader says about that epoch, if librdkafka reports a truncation.
    pub(crate) truncation: Option<Truncation>,
    /// The oldest offset on the leader, and the one after the newest.
    pub(crate) available: (i64, i64),
}

/// A partition that is halted because of lost records.
#[derive(Clone, Debug)]
pub(crate) struct Halted {
    loss: DataLoss,
    logged_at: Instant,
}

impl DataLoss {
    /// Are all records that were read still there, and the next one there or yet to be written?
    pub(crate) fn is_available(&self) -> bool {
        let (oldest, end) = self.available;
        match self.truncation {
            Some(truncation) => truncation.end.is_some_and(|end| end >= self.wanted),
            None => (oldest..=end).contains(&self.wanted),
        }
    }

    /// Are records that were read no longer there?
    pub(crate) fn is_truncated(&self) -> bool {
        !self.is_available() && self.wanted >= self.available.0
    }

    /// How many records were deleted unread; `None` if the partition was truncated or recreated.
    pub(crate) fn count(&self) -> Option<i64> {
        let (oldest, _) = self.available;
        (oldest > self.wanted).then(|| oldest - self.wanted)
    }

    /// Where to continue without the lost records: at the first record that was never read. That is the oldest record if
    /// retention deleted those before it, and for pipeline topics whose records may be read twice.
    pub(crate) fn resume_at(&self) -> Start {
        let (oldest, end) = self.available;
        if self.wanted < oldest
            || matches!(self.topic_partition.topic, Topic::Samples | Topic::Model)
        {
            return Start::Earliest;
        }
        let truncation = self.truncation.and_then(|truncation| truncation.end);
        let first_unread = truncation.unwrap_or(self.wanted).min(self.wanted);
        let offset = first_unread.min(end).max(oldest);
        // The records before it are of the epoch that was read, so the epoch reveals another truncation.
        let leader_epoch = truncation.and(self.leader_epoch);
        Start::at(offset, leader_epoch.filter(|_| offset <= first_unread))
    }

    /// Value of the metric label `reason`.
    pub(crate) fn reason(&self) -> &'static str {
        match self.count() {
            Some(_) => "deleted",
            None => "truncated",
        }
    }

    /// What was found where, for an error.
    pub(crate) fn text(&self) -> String {
        let (topic, partition, wanted) = (&self.topic, self.topic_partition.partition, self.wanted);
        let (oldest, end) = self.available;
        format!(
            "{topic}/{partition} is to be read at offset {wanted}, but has offsets {oldest} to {end}: {}",
            self.cause()
        )
    }

    fn cause(&self) -> String {
        if let Some(count) = self.count() {
            return format!("{count} records were deleted by retention before they were read");
        }
        let (wanted, end) = (self.wanted, self.available.1);
        let epoch = self.leader_epoch.unwrap_or(-1);
        match self.truncation {
            Some(Truncation { end: Some(end) }) => format!(
                "the partition was truncated, perhaps by an unclean leader election: it was read up to offset {wanted} in \
                 leader epoch {epoch}, which ends at {end}, so the records read from {end} on are no longer in it"
            ),
            Some(Truncation { end: None }) => format!(
                "the partition was truncated, perhaps by an unclean leader election: it was read up to offset {wanted} in \
                 leader epoch {epoch}, which the leader does not know"
            ),
            None => format!(
                "the partition was truncated or recreated: it was read up to offset {wanted}, but ends at {end}"
            ),
        }
    }

    /// Logs that reading skips the lost records.
    pub(crate) fn log_skipped(&self) {
        let on = self.resume_at().offset().unwrap_or(self.available.0);
        warn!(
            topic = self.topic,
            partition = self.topic_partition.partition,
            wanted = self.wanted,
            leader_epoch = self.leader_epoch,
            oldest = self.available.0,
            end = self.available.1,
            lost = self.count(),
            "skipping lost records: {}; continuing at offset {on}",
            self.cause()
        );
    }

    fn log_halted(&self) {
        let advice = if self.count().is_some() {
            "to prevent further loss, raise retention.ms of the topic"
        } else {
            "to prevent further loss, set unclean.leader.election.enable=false and min.insync.replicas=2 for the topic"
        };
        error!(
            topic = self.topic,
            partition = self.topic_partition.partition,
            wanted = self.wanted,
            leader_epoch = self.leader_epoch,
            oldest = self.available.0,
            end = self.available.1,
            lost = self.count(),
            "this partition is halted, the other partitions are still read: {}. To continue at the first record that was \
             never read, set lost_records = \"skip\" under [kafka] and restart (lost records that were counted stay \
             counted); {advice}",
            self.cause()
        );
    }
}

impl Halted {
    /// Logs the loss as an error.
    pub(crate) fn at(loss: DataLoss, now: Instant) -> Self {
        loss.log_halted();
        Self {
            loss,
            logged_at: now,
        }
    }

    /// Logs the error again, once a minute.
    pub(crate) fn log_again(&mut self, now: Instant) {
        if now.duration_since(self.logged_at) >= LOG_INTERVAL {
            self.loss.log_halted();
            self.logged_at = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loss(wanted: i64, available: (i64, i64)) -> DataLoss {
        let topic = Topic::Input(0);
        DataLoss {
            topic_partition: TopicPartition {
                topic,
                partition: 3,
            },
            topic: "orders".to_owned(),
            wanted,
            leader_epoch: Some(4),
            truncation: None,
            available,
        }
    }

    fn truncated(wanted: i64, end: Option<i64>, available: (i64, i64)) -> DataLoss {
        DataLoss {
            truncation: Some(Truncation { end }),
            ..loss(wanted, available)
        }
    }

    #[test]
    fn what_retention_removed_is_counted_and_the_oldest_record_is_next() {
        let removed = loss(10, (50, 100));
        assert_eq!(removed.count(), Some(40));
        assert!(removed.cause().starts_with("40 records"));
        assert!(!removed.is_truncated());
        assert_eq!(removed.resume_at(), Start::Earliest);
    }

    #[test]
    fn a_partition_that_ends_before_the_position_goes_on_at_its_end() {
        let cut = loss(1_000, (0, 100));
        assert_eq!(cut.count(), None);
        assert!(cut.cause().contains("truncated or recreated"));
        assert!(!cut.is_available());
        assert!(cut.is_truncated());
        assert_eq!(cut.resume_at(), Start::Offset(100));
    }

    #[test]
    fn a_partition_that_was_truncated_and_has_grown_goes_on_at_the_end_of_the_epoch() {
        let cut = truncated(1_000, Some(800), (0, 5_000));
        assert!(cut.is_truncated());
        let verified = |offset| Start::at(offset, Some(4));
        assert_eq!(cut.resume_at(), verified(800));
        for part in ["offset 1000", "leader epoch 4", "ends at 800"] {
            assert!(cut.cause().contains(part), "{}", cut.cause());
        }
        let removed_meanwhile = truncated(1_000, Some(800), (900, 5_000));
        assert_eq!(removed_meanwhile.resume_at(), Start::Offset(900));
        let shorter = truncated(1_000, Some(800), (0, 700));
        assert_eq!(shorter.resume_at(), verified(700));
    }

    #[test]
    fn without_an_end_of_the_epoch_nothing_is_read_twice() {
        let cut = truncated(1_000, None, (0, 5_000));
        assert!(cut.is_truncated());
        assert_eq!(cut.resume_at(), Start::Offset(1_000));
    }

    #[test]
    fn what_the_leader_has_is_not_lost() {
        let is_available = |wanted| loss(wanted, (50, 100)).is_available();
        assert_eq!(
            [49, 50, 100, 101].map(is_available),
            [false, true, true, false]
        );
        // Truncated behind the position: only records that were fetched ahead are gone.
        assert!(truncated(90, Some(90), (50, 100)).is_available());
        assert!(!truncated(91, Some(90), (50, 100)).is_available());
    }

    #[test]
    fn samples_are_read_from_the_oldest() {
        let mut samples = loss(1_000, (0, 100));
        samples.topic_partition.topic = Topic::Samples;
        assert_eq!(samples.resume_at(), Start::Earliest);
    }
}
