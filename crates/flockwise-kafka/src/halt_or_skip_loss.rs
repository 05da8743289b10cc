//! Decides whether reading halts at lost records or skips them.

use std::time::Instant;

use flockwise_runtime::broker::{Failure, Start};
use flockwise_runtime::topics::{Topic, TopicPartition};
use flockwise_vocabulary::lost_records::LostRecords;
use rdkafka::Offset;
use tracing::info;

use crate::assignment::Assignment;
use crate::data_loss::{DataLoss, Halted};
use crate::offset_query::known;
use crate::partition_reader::{PartitionReader, ReadError};

/// How often a partition is reopened, without reading a record in between, if its leader claims to have
/// the next record but refuses it.
const MAX_REOPENS: u32 = 5;

impl Assignment {
    /// Handles librdkafka's report that records of a partition are lost. Returns the loss if reading skips it.
    ///
    /// The report is about librdkafka's last fetch, which may lie far before the offset where the partition was
    /// reopened since, in records that we deleted ourselves. So this asks the leader whether the report holds.
    ///
    /// # Errors
    /// [`Failure::Abort`] if an input was truncated: as seen from the last commit, nothing may be lost.
    pub(crate) fn handle_data_loss(
        &mut self,
        topic_partition: TopicPartition,
        policy: LostRecords,
    ) -> Result<Option<DataLoss>, Failure> {
        let Ok(index) = self.index(topic_partition) else {
            return Ok(None);
        };
        let loss = self.loss(&self.readers[index])?;
        let reader = &self.readers[index];
        let is_cut = loss.is_truncated() && matches!(topic_partition.topic, Topic::Input(_));
        if is_cut && reader.has_read {
            return Err(Failure::Abort(loss.text()));
        }
        // The report may answer an earlier fetch.
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
        let topic_partition = reader.topic_partition;
        if topic_partition.topic == Topic::Repartition && reader.has_read {
            // Only the task's owner deletes there, and only what it has processed.
            return Err(Failure::Fatal(format!(
                "{}; another instance may own the task by now",
                loss.text()
            )));
        }
        let goes_on = policy == LostRecords::Skip
            // Opened at the oldest record, whichever that was a moment ago: nothing was missed.
            || reader.at_oldest
            // Samples may go missing, and model versions that were read before are known.
            || matches!(topic_partition.topic, Topic::Samples | Topic::Model);
        if !goes_on {
            reader.broken = Some(ReadError::Halted(Halted::at(loss, Instant::now())));
            return Ok(None);
        }
        loss.log_skipped();
        self.open(&[(topic_partition, loss.resume_at())])?;
        Ok(Some(loss))
    }

    fn loss(&self, reader: &PartitionReader) -> Result<DataLoss, Failure> {
        let end = |what| self.ask(reader.topic_partition, what).and_then(known);
        Ok(DataLoss {
            topic_partition: reader.topic_partition,
            topic: reader.topic.clone(),
            wanted: reader.next_offset(),
            leader_epoch: reader.leader_epoch(),
            truncation: match reader.broken {
                Some(ReadError::Gone(truncation)) => truncation,
                _ => None,
            },
            available: (end(Offset::Beginning)?, end(Offset::End)?),
        })
    }

    fn reopen(&mut self, index: usize, loss: &DataLoss) -> Result<(), Failure> {
        let reader = &mut self.readers[index];
        let (at_oldest, has_read, reopened) =
            (reader.at_oldest, reader.has_read, reader.reopened + 1);
        let progress = std::mem::take(&mut reader.progress);
        if reopened > MAX_REOPENS {
            return Err(Failure::Fatal(format!(
                "{}; the leader refuses a record that it has",
                loss.text()
            )));
        }
        info!(
            topic = loss.topic,
            partition = loss.topic_partition.partition,
            wanted = loss.wanted,
            "records may be lost; reopening the partition"
        );
        let start = Start::at(loss.wanted, loss.leader_epoch);
        self.open(&[(loss.topic_partition, start)])?;
        let reader = &mut self.readers[index];
        (reader.at_oldest, reader.has_read, reader.reopened) = (at_oldest, has_read, reopened);
        reader.progress = progress;
        Ok(())
    }

    /// The partitions that are halted because their next record is lost or corrupt.
    pub(crate) fn halted(&self) -> Vec<TopicPartition> {
        let is_stopped = |reader: &&PartitionReader| {
            matches!(
                reader.broken,
                Some(ReadError::Halted(_) | ReadError::Corrupt(_))
            )
        };
        let stopped = self.readers.iter().filter(is_stopped);
        stopped.map(|reader| reader.topic_partition).collect()
    }

    /// Logs the errors of halted partitions again, once a minute.
    pub(crate) fn log_again(&mut self, now: Instant) {
        for reader in &mut self.readers {
            match &mut reader.broken {
                Some(ReadError::Halted(stopped)) => stopped.log_again(now),
                Some(ReadError::Corrupt(corrupt)) => corrupt.log_again(now),
                _ => {}
            }
        }
    }
}
