//! The partitions that are read, and their assignment in librdkafka.
//!
//! The group is subscribed to internal topics only; inputs are added manually to every assignment.
//! An eager protocol revokes everything before it assigns anything, so the open partitions and their
//! positions are kept here and assigned again in full.

use std::collections::BTreeMap;
use std::sync::Arc;

use flockwise_runtime::broker::{Failure, Start};
use flockwise_runtime::topics::{TopicPartition, Topics};
use rdkafka::consumer::{BaseConsumer, Consumer, RebalanceProtocol};
use rdkafka::error::KafkaResult;
use rdkafka::{Offset, TopicPartitionList};

use crate::classify_error;
use crate::client_context::KafkaContext;
use crate::group_leave::LeaveState;
use crate::offset_query::{ask, known};
use crate::partition_reader::PartitionReader;
use crate::position_validation::PositionValidation;
use crate::rebalance_acknowledgement::RebalanceKind;
use crate::wakeup::Wakeup;

/// The open partitions of one consumer.
pub(crate) struct Assignment {
    pub(crate) consumer: Arc<BaseConsumer<KafkaContext>>,
    wakeup: Wakeup,
    topics: Topics,
    /// Sorted by partition.
    pub(crate) readers: Vec<PartitionReader>,
    /// Event times reported for partitions that are not open yet, milliseconds since the epoch.
    reported: BTreeMap<TopicPartition, i64>,
    /// Index of the reader whose progress was reported last.
    last_reported: usize,
    /// A rebalance that the worker has received and not yet acknowledged.
    pending_ack: Option<RebalanceKind>,
    /// An eager protocol has revoked everything and not yet assigned anything.
    suspended: bool,
    /// Once leaving has begun, librdkafka gets one acknowledgement and nothing else.
    pub(crate) leaving: LeaveState,
}

impl Assignment {
    /// Without open partitions.
    pub(crate) fn new(
        consumer: Arc<BaseConsumer<KafkaContext>>,
        wakeup: Wakeup,
        topics: Topics,
    ) -> Self {
        Self {
            consumer,
            wakeup,
            topics,
            readers: Vec::new(),
            reported: BTreeMap::new(),
            last_reported: 0,
            pending_ack: None,
            suspended: false,
            leaving: LeaveState::default(),
        }
    }

    /// Gives the acknowledgement that a close waits for, if one is due.
    pub(crate) fn leave_group(&mut self) {
        if self.pending_ack.take().is_some() {
            self.leaving.acknowledge(&self.consumer);
        }
    }

    /// The worker has received a rebalance, which it must acknowledge.
    pub(crate) fn expect_ack(&mut self, kind: RebalanceKind) {
        self.pending_ack = Some(kind);
    }

    /// Must the worker still acknowledge a rebalance?
    pub(crate) fn is_ack_due(&self) -> bool {
        self.pending_ack.is_some()
    }

    /// May records be read?
    pub(crate) fn is_readable(&self) -> bool {
        !self.suspended && self.pending_ack.is_none() && !self.leaving.has_begun()
    }

    /// Notes the event time up to which a partition is processed.
    pub(crate) fn report_progress(&mut self, topic_partition: TopicPartition, event_time_ms: i64) {
        // Called for every record, and records of one partition follow one another.
        if let Some(reader) = self.readers.get_mut(self.last_reported)
            && reader.topic_partition == topic_partition
        {
            return reader.progress.reported(event_time_ms);
        }
        match self.index(topic_partition) {
            Ok(index) => {
                self.last_reported = index;
                self.readers[index].progress.reported(event_time_ms);
            }
            Err(_) => {
                self.reported.insert(topic_partition, event_time_ms);
            }
        }
    }

    /// The next offset to read of a partition; `None` if it is not open.
    pub(crate) fn next_offset(&self, topic_partition: TopicPartition) -> Option<i64> {
        Some(self.readers[self.index(topic_partition).ok()?].next_offset())
    }

    /// Leader epoch up to which a partition has been read; `None` if unknown.
    pub(crate) fn leader_epoch(&self, topic_partition: TopicPartition) -> Option<i32> {
        self.readers[self.index(topic_partition).ok()?].leader_epoch()
    }

    /// Records between the position and the end of a partition, as of its latest fetch. `None` for a halted partition:
    /// it is no longer fetched, so its end is unknown.
    pub(crate) fn lag(&self, topic_partition: TopicPartition) -> Option<u64> {
        let reader = &self.readers[self.index(topic_partition).ok()?];
        reader.broken.is_none().then(|| reader.lag()).flatten()
    }

    /// The latest time that a broker has stamped on a record read so far, milliseconds since the epoch.
    pub(crate) fn log_append_ms(&self) -> Option<i64> {
        self.readers
            .iter()
            .filter_map(|reader| reader.log_append_ms)
            .max()
    }

    /// Reads these partitions from these starts on. Acknowledges a pending rebalance.
    pub(crate) fn open(&mut self, reads: &[(TopicPartition, Start)]) -> Result<(), Failure> {
        if self.leaving.has_begun() {
            self.leave_group();
            return Ok(());
        }
        let offsets = self.start_offsets(reads)?;
        let pending_ack = self.pending_ack.take();
        if self.is_cooperative() {
            let again: Vec<TopicPartition> = reads
                .iter()
                .map(|(topic_partition, _)| *topic_partition)
                .collect();
            self.unassign_some(&again, false)?;
            self.insert_readers(&offsets, reads)?;
            return self.assign_new(pending_ack.is_some());
        }
        self.insert_readers(&offsets, reads)?;
        if self.suspended && pending_ack != Some(RebalanceKind::Assigned) {
            return Ok(());
        }
        self.assign_all()
    }

    /// Stops reading these partitions. Acknowledges a pending revocation or loss.
    pub(crate) fn close(&mut self, topic_partitions: &[TopicPartition]) -> Result<(), Failure> {
        if self.leaving.has_begun() {
            self.forget(topic_partitions);
            if self.pending_ack != Some(RebalanceKind::Assigned) {
                self.leave_group();
            }
            return Ok(());
        }
        let pending_ack = self.pending_ack.take();
        let is_revoked = matches!(
            pending_ack,
            Some(RebalanceKind::Revoked | RebalanceKind::Lost)
        );
        if self.is_cooperative() {
            self.unassign_some(topic_partitions, is_revoked)?;
            self.forget(topic_partitions);
        } else {
            let known = self.readers.len();
            self.forget(topic_partitions);
            if is_revoked {
                self.suspend()?;
            } else if pending_ack.is_none() && !self.suspended && self.readers.len() < known {
                self.assign_all()?;
            }
        }
        if pending_ack == Some(RebalanceKind::Assigned) {
            self.pending_ack = pending_ack;
        }
        Ok(())
    }

    fn is_cooperative(&self) -> bool {
        matches!(
            self.consumer.rebalance_protocol(),
            RebalanceProtocol::Cooperative
        )
    }

    pub(crate) fn index(&self, topic_partition: TopicPartition) -> Result<usize, usize> {
        self.readers
            .binary_search_by_key(&topic_partition, |reader| reader.topic_partition)
    }

    fn forget(&mut self, topic_partitions: &[TopicPartition]) {
        self.readers
            .retain(|reader| !topic_partitions.contains(&reader.topic_partition));
    }

    /// These positions have been committed: the records before them are processed, and may be deleted.
    pub(crate) fn committed(&mut self, positions: &[(TopicPartition, i64)]) {
        for (topic_partition, position) in positions {
            if let Ok(index) = self.index(*topic_partition) {
                let reader = &mut self.readers[index];
                reader.position = reader.position.max(*position);
            }
        }
    }

    /// Creates readers at these positions. The caller assigns them in librdkafka afterwards.
    fn insert_readers(
        &mut self,
        offsets: &[i64],
        reads: &[(TopicPartition, Start)],
    ) -> Result<(), Failure> {
        for (&(topic_partition, start), &position) in reads.iter().zip(offsets) {
            let topic = self.topics.name(topic_partition.topic);
            // Always a new reader, since the topic may have been recreated. The old one is removed first,
            // since both share one queue and its callback.
            if let Ok(index) = self.index(topic_partition) {
                self.readers.remove(index);
            }
            let mut reader = PartitionReader::open(
                &self.consumer,
                &self.wakeup,
                topic_partition,
                topic,
                position,
            )?;
            reader.at_oldest = start == Start::Earliest;
            reader.opened_in_epoch = start.leader_epoch();
            if let Some(event_time_ms) = self.reported.remove(&topic_partition) {
                reader.progress.reported(event_time_ms);
            }
            let (Ok(index) | Err(index)) = self.index(topic_partition);
            self.readers.insert(index, reader);
        }
        Ok(())
    }

    /// Keeps what librdkafka forgets with an assignment: the position behind control records. Retention
    /// may delete a control record, and an offset before the oldest record cannot be read again.
    fn note_positions(&mut self) {
        for reader in self.readers.iter_mut().filter(|reader| reader.assigned) {
            reader.opened_in_epoch = reader.leader_epoch();
            reader.position = reader.next_offset();
        }
    }

    fn assign_all(&mut self) -> Result<(), Failure> {
        self.note_positions();
        let list = list(self.readers.iter())?;
        let verification = PositionValidation::begin(&self.consumer, self.readers.iter())?;
        done("assigning partitions", self.consumer.assign(&list))?;
        verification.end(&self.consumer)?;
        for reader in &mut self.readers {
            reader.assigned = true;
        }
        self.suspended = false;
        Ok(())
    }

    fn suspend(&mut self) -> Result<(), Failure> {
        self.note_positions();
        done("unassigning all partitions", self.consumer.unassign())?;
        for reader in &mut self.readers {
            reader.assigned = false;
        }
        self.suspended = true;
        Ok(())
    }

    /// Assigns what is not assigned yet. With `even_none` also an empty list, as the acknowledgement of a rebalance.
    fn assign_new(&mut self, even_none: bool) -> Result<(), Failure> {
        let new = || self.readers.iter().filter(|reader| !reader.assigned);
        let list = list(new())?;
        let verification = PositionValidation::begin(&self.consumer, new())?;
        if list.count() > 0 || even_none {
            done(
                "assigning more partitions",
                self.consumer.incremental_assign(&list),
            )?;
        }
        verification.end(&self.consumer)?;
        for reader in &mut self.readers {
            reader.assigned = true;
        }
        Ok(())
    }

    fn unassign_some(
        &mut self,
        topic_partitions: &[TopicPartition],
        even_none: bool,
    ) -> Result<(), Failure> {
        let gone = |reader: &&mut PartitionReader| {
            reader.assigned && topic_partitions.contains(&reader.topic_partition)
        };
        let mut named: Vec<&mut PartitionReader> = self.readers.iter_mut().filter(gone).collect();
        let list = list(named.iter().map(|reader| &**reader))?;
        if list.count() > 0 || even_none {
            done(
                "unassigning some partitions",
                self.consumer.incremental_unassign(&list),
            )?;
        }
        for reader in &mut named {
            reader.assigned = false;
        }
        Ok(())
    }

    /// The offsets to start at, in order.
    fn start_offsets(&self, reads: &[(TopicPartition, Start)]) -> Result<Vec<i64>, Failure> {
        reads
            .iter()
            .map(|&(topic_partition, start)| self.offset(topic_partition, start))
            .collect()
    }

    fn offset(&self, topic_partition: TopicPartition, start: Start) -> Result<i64, Failure> {
        match start {
            Start::Offset(offset) | Start::Verified { offset, .. } => Ok(offset),
            Start::Earliest => self.ask(topic_partition, Offset::Beginning).and_then(known),
            Start::Latest => self.ask(topic_partition, Offset::End).and_then(known),
            Start::Time(since_ms) => match self.ask(topic_partition, Offset::Offset(since_ms))? {
                Offset::End => self.ask(topic_partition, Offset::End).and_then(known),
                found => known(found),
            },
        }
    }

    /// Asks for one partition's offset, see [`ask`].
    pub(crate) fn ask(
        &self,
        topic_partition: TopicPartition,
        what: Offset,
    ) -> Result<Offset, Failure> {
        let asked = [(
            self.topics.name(topic_partition.topic),
            topic_partition.partition,
        )];
        ask(&self.consumer, &asked, what).map(|found| found[0])
    }
}

fn list<'a>(
    readers: impl Iterator<Item = &'a PartitionReader>,
) -> Result<TopicPartitionList, Failure> {
    let mut list = TopicPartitionList::new();
    for reader in readers {
        let partition = reader.topic_partition.partition.cast_signed();
        let added =
            list.add_partition_offset(&reader.topic, partition, Offset::Offset(reader.position));
        done("listing partitions", added)?;
    }
    Ok(list)
}

fn done(doing: &str, result: KafkaResult<()>) -> Result<(), Failure> {
    result.map_err(|error| classify_error::plain(doing, &error))
}
