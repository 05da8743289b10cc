//! Records of a partition that are lost: retention removed the next one before it was read, or the partition was
//! truncated or made anew, so that records that were read are not in it any more.
//!
//! Nothing here can bring them back, and nobody may overlook it.

use std::time::{Duration, Instant};

use flockwise_runtime::broker::{Failure, Start};
use flockwise_runtime::topics::{Topic, TopicPartition};
use flockwise_vocabulary::lost_records::LostRecords;
use rdkafka::Offset;
use tracing::{error, info, warn};

use crate::assignment::Assignment;
use crate::offset_query::known;
use crate::partition_reader::{PartitionReader, ReadError};
use crate::truncation::Truncation;

/// How often a partition is opened again, without a record in between, whose leader says that it has the
/// next one and yet refuses it.
const MAX_REOPENS: u32 = 5;

/// How often it is said again.
const REMIND_EVERY: Duration = Duration::from_secs(60);

/// What is known of the loss.
#[derive(Clone, Debug)]
pub(crate) struct DataLoss {
    pub(crate) source: TopicPartition,
    pub(crate) topic: String,
    /// The next offset to read.
    pub(crate) wanted: i64,
    /// Leader epoch of what was read before it.
    pub(crate) leader_epoch: Option<i32>,
    /// What the leader says of that epoch, where it ends before `wanted`.
    pub(crate) truncation: Option<Truncation>,
    /// The oldest offset there is and the one behind the newest.
    pub(crate) there: (i64, i64),
}

/// A partition that is read no more.
#[derive(Clone, Debug)]
pub(crate) struct Halted {
    loss: DataLoss,
    said: Instant,
}

impl Assignment {
    /// Deals with a source of which librdkafka says that records are lost; what was lost, where reading goes on behind
    /// it.
    ///
    /// librdkafka says so of whatever it asked for last, which may be long before where the source is
    /// opened by now and have been deleted by ourselves. So the leader is asked whether it is true.
    ///
    /// # Errors
    /// [`Failure::Abort`] where an input was truncated: seen from the last commit, nothing may be lost.
    pub(crate) fn handle_data_loss(
        &mut self,
        source: TopicPartition,
        policy: LostRecords,
    ) -> Result<Option<DataLoss>, Failure> {
        let Ok(index) = self.index(source) else {
            return Ok(None);
        };
        let loss = self.loss(&self.readers[index])?;
        let reader = &self.readers[index];
        let is_cut = loss.is_truncated() && matches!(source.topic, Topic::Input(_));
        if is_cut && reader.has_read {
            return Err(Failure::Abort(loss.text()));
        }
        // An answer to an earlier question may still have been under way.
        if loss.is_available() || (is_cut && reader.reopened == 0) {
            return self.reopen(index, &loss).map(|()| None);
        }
        self.decide(index, loss, policy)
    }

    fn decide(
        &mut self,
        index: usize,
        loss: DataLoss,
        policy: LostRecords,
    ) -> Result<Option<DataLoss>, Failure> {
        let reader = &mut self.readers[index];
        let source = reader.source;
        if source.topic == Topic::Repartition && reader.has_read {
            // Nobody but the task's owner deletes there, and only what it has processed.
            return Err(Failure::Fatal(format!(
                "{}; is it another's by now?",
                loss.text()
            )));
        }
        let goes_on = policy == LostRecords::Skip
            // Nobody was promised what was the oldest a moment ago.
            || reader.at_oldest
            // A mini-batch is a sample, and versions of a model that were taken before are known.
            || matches!(source.topic, Topic::Samples | Topic::Model);
        if !goes_on {
            reader.broken = Some(ReadError::Halted(Halted::at(loss, Instant::now())));
            return Ok(None);
        }
        loss.log_skipped();
        self.open(&[(source, loss.goes_on_at())])?;
        Ok(Some(loss))
    }

    fn loss(&self, reader: &PartitionReader) -> Result<DataLoss, Failure> {
        let end = |what| self.ask(reader.source, what).and_then(known);
        Ok(DataLoss {
            source: reader.source,
            topic: reader.topic.clone(),
            wanted: reader.next_offset(),
            leader_epoch: reader.leader_epoch(),
            truncation: match reader.broken {
                Some(ReadError::Gone(truncation)) => truncation,
                _ => None,
            },
            there: (end(Offset::Beginning)?, end(Offset::End)?),
        })
    }

    fn reopen(&mut self, index: usize, loss: &DataLoss) -> Result<(), Failure> {
        let reader = &mut self.readers[index];
        let (at_oldest, has_read, reopened) =
            (reader.at_oldest, reader.has_read, reader.reopened + 1);
        let progress = std::mem::take(&mut reader.progress);
        if reopened > MAX_REOPENS {
            return Err(Failure::Fatal(format!(
                "{}, and yet it is refused",
                loss.text()
            )));
        }
        info!(
            topic = loss.topic,
            partition = loss.source.partition,
            wanted = loss.wanted,
            "records may be lost; asking again"
        );
        let start = Start::at(loss.wanted, loss.leader_epoch);
        self.open(&[(loss.source, start)])?;
        let reader = &mut self.readers[index];
        (reader.at_oldest, reader.has_read, reader.reopened) = (at_oldest, has_read, reopened);
        reader.progress = progress;
        Ok(())
    }

    /// Sources that are read no more since their next record is gone or broken.
    pub(crate) fn halted(&self) -> Vec<TopicPartition> {
        let is_stopped = |reader: &&PartitionReader| {
            matches!(
                reader.broken,
                Some(ReadError::Halted(_) | ReadError::Corrupt(_))
            )
        };
        let stopped = self.readers.iter().filter(is_stopped);
        stopped.map(|reader| reader.source).collect()
    }

    /// Says again, now and then, what is stopped.
    pub(crate) fn remind(&mut self, now: Instant) {
        for reader in &mut self.readers {
            match &mut reader.broken {
                Some(ReadError::Halted(stopped)) => stopped.remind(now),
                Some(ReadError::Corrupt(corrupt)) => corrupt.remind(now),
                _ => {}
            }
        }
    }
}

impl DataLoss {
    /// Is all that was read still there, and the next record as well or the next to come?
    fn is_available(&self) -> bool {
        let (oldest, end) = self.there;
        match self.truncation {
            Some(truncation) => truncation.end.is_some_and(|end| end >= self.wanted),
            None => (oldest..=end).contains(&self.wanted),
        }
    }

    /// Are records gone that were read?
    pub(crate) fn is_truncated(&self) -> bool {
        !self.is_available() && self.wanted >= self.there.0
    }

    /// How many records went unread; not known where the partition was truncated or made anew.
    pub(crate) fn count(&self) -> Option<i64> {
        let (oldest, _) = self.there;
        (oldest > self.wanted).then(|| oldest - self.wanted)
    }

    /// Where reading goes on without what is lost: at the first record that was never read. That is the oldest one only
    /// where those before it were removed unread, or where those pipeline topics begin again that may be read twice.
    fn goes_on_at(&self) -> Start {
        let (oldest, end) = self.there;
        if self.wanted < oldest || matches!(self.source.topic, Topic::Samples | Topic::Model) {
            return Start::Earliest;
        }
        let truncation = self.truncation.and_then(|truncation| truncation.end);
        let first_unread = truncation.unwrap_or(self.wanted).min(self.wanted);
        let offset = first_unread.min(end).max(oldest);
        // What is before it is of the epoch that was read: should the partition be truncated again, that shows by it.
        let leader_epoch = truncation.and(self.leader_epoch);
        Start::at(offset, leader_epoch.filter(|_| offset <= first_unread))
    }

    /// As metrics have it.
    pub(crate) fn reason(&self) -> &'static str {
        match self.count() {
            Some(_) => "deleted",
            None => "truncated",
        }
    }

    fn text(&self) -> String {
        let (topic, partition, wanted) = (&self.topic, self.source.partition, self.wanted);
        let (oldest, end) = self.there;
        format!(
            "{topic}/{partition} is to be read at {wanted} and has {oldest} to {end}: {}",
            self.cause()
        )
    }

    fn cause(&self) -> String {
        if let Some(count) = self.count() {
            return format!("{count} records were removed by retention before they were read");
        }
        let (wanted, end) = (self.wanted, self.there.1);
        let epoch = self.leader_epoch.unwrap_or(-1);
        match self.truncation {
            Some(Truncation { end: Some(end) }) => format!(
                "the partition was truncated, as by an unclean leader election: it was read up to offset {wanted} in \
                 leader epoch {epoch}, which ends at {end}, so what was read from {end} on is no longer in it"
            ),
            Some(Truncation { end: None }) => format!(
                "the partition was truncated, as by an unclean leader election: it was read up to offset {wanted} in \
                 leader epoch {epoch}, which its leader does not know"
            ),
            None => format!(
                "the partition was truncated or made anew: it was read up to offset {wanted} and ends at {end}"
            ),
        }
    }

    /// The rest of the partition is read.
    pub(crate) fn log_skipped(&self) {
        let on = self.goes_on_at().offset().unwrap_or(self.there.0);
        warn!(
            topic = self.topic,
            partition = self.source.partition,
            wanted = self.wanted,
            leader_epoch = self.leader_epoch,
            oldest = self.there.0,
            end = self.there.1,
            lost = self.count(),
            "records are lost: {}; going on at offset {on}",
            self.cause()
        );
    }

    fn log_halted(&self) {
        let advice = if self.count().is_some() {
            "to lose no more, raise retention.ms of the topic"
        } else {
            "to lose no more, set unclean.leader.election.enable=false and min.insync.replicas=2 for the topic"
        };
        error!(
            topic = self.topic,
            partition = self.source.partition,
            wanted = self.wanted,
            leader_epoch = self.leader_epoch,
            oldest = self.there.0,
            end = self.there.1,
            lost = self.count(),
            "this partition is stopped, the others go on: {}. To go on at the first record that was never read, set \
             lost_records = \"skip\" under [kafka] and start again (what was counted of lost records stays counted); \
             {advice}",
            self.cause()
        );
    }
}

impl Halted {
    /// Says so.
    pub(crate) fn at(loss: DataLoss, now: Instant) -> Self {
        loss.log_halted();
        Self { loss, said: now }
    }

    /// Says so again, now and then.
    pub(crate) fn remind(&mut self, now: Instant) {
        if now.duration_since(self.said) >= REMIND_EVERY {
            self.loss.log_halted();
            self.said = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loss(wanted: i64, there: (i64, i64)) -> DataLoss {
        let topic = Topic::Input(0);
        DataLoss {
            source: TopicPartition {
                topic,
                partition: 3,
            },
            topic: "orders".to_owned(),
            wanted,
            leader_epoch: Some(4),
            truncation: None,
            there,
        }
    }

    fn truncated(wanted: i64, end: Option<i64>, there: (i64, i64)) -> DataLoss {
        DataLoss {
            truncation: Some(Truncation { end }),
            ..loss(wanted, there)
        }
    }

    #[test]
    fn what_retention_removed_is_counted_and_the_oldest_record_is_next() {
        let removed = loss(10, (50, 100));
        assert_eq!(removed.count(), Some(40));
        assert!(removed.cause().starts_with("40 records"));
        assert!(!removed.is_truncated());
        assert_eq!(removed.goes_on_at(), Start::Earliest);
    }

    #[test]
    fn a_partition_that_ends_before_the_position_goes_on_at_its_end() {
        let cut = loss(1_000, (0, 100));
        assert_eq!(cut.count(), None);
        assert!(cut.cause().contains("truncated or made anew"));
        assert!(!cut.is_available());
        assert!(cut.is_truncated());
        assert_eq!(cut.goes_on_at(), Start::Offset(100));
    }

    #[test]
    fn a_partition_that_was_truncated_and_has_grown_goes_on_at_the_end_of_the_epoch() {
        let cut = truncated(1_000, Some(800), (0, 5_000));
        assert!(cut.is_truncated());
        let verified = |offset| Start::at(offset, Some(4));
        assert_eq!(cut.goes_on_at(), verified(800));
        for part in ["offset 1000", "leader epoch 4", "ends at 800"] {
            assert!(cut.cause().contains(part), "{}", cut.cause());
        }
        let removed_meanwhile = truncated(1_000, Some(800), (900, 5_000));
        assert_eq!(removed_meanwhile.goes_on_at(), Start::Offset(900));
        let shorter = truncated(1_000, Some(800), (0, 700));
        assert_eq!(shorter.goes_on_at(), verified(700));
    }

    #[test]
    fn without_an_end_of_the_epoch_nothing_is_read_twice() {
        let cut = truncated(1_000, None, (0, 5_000));
        assert!(cut.is_truncated());
        assert_eq!(cut.goes_on_at(), Start::Offset(1_000));
    }

    #[test]
    fn what_the_leader_has_is_not_lost() {
        let is_available = |wanted| loss(wanted, (50, 100)).is_available();
        assert_eq!(
            [49, 50, 100, 101].map(is_available),
            [false, true, true, false]
        );
        // Truncated, but behind the position: as where the rest had been fetched ahead.
        assert!(truncated(90, Some(90), (50, 100)).is_available());
        assert!(!truncated(91, Some(90), (50, 100)).is_available());
    }

    #[test]
    fn samples_are_read_from_the_oldest() {
        let mut samples = loss(1_000, (0, 100));
        samples.source.topic = Topic::Samples;
        assert_eq!(samples.goes_on_at(), Start::Earliest);
    }
}
