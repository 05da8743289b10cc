//! Which partitions are read, and what librdkafka is told about it.
//!
//! The group is subscribed to internal topics only; inputs are added by hand to every assignment.
//! An eager protocol takes everything away before it gives anything, so the open sources and their
//! positions are remembered here and handed back in full.

use std::collections::BTreeMap;
use std::sync::Arc;

use flockwise_runtime::broker::{Failure, Start};
use flockwise_runtime::topics::{TopicPartition, Topics};
use rdkafka::consumer::{BaseConsumer, Consumer, RebalanceProtocol};
use rdkafka::error::KafkaResult;
use rdkafka::{Offset, TopicPartitionList};

use crate::context::{KafkaContext, RebalanceKind};
use crate::errors;
use crate::group_leave::LeaveState;
use crate::offset_query::{ask, known};
use crate::partition_reader::PartitionReader;
use crate::position_validation::PositionValidation;
use crate::wakeup::Wakeup;

/// The open sources of one consumer.
pub(crate) struct Assignment {
    pub(crate) consumer: Arc<BaseConsumer<KafkaContext>>,
    wakeup: Wakeup,
    topics: Topics,
    /// In the order of their sources.
    pub(crate) readers: Vec<PartitionReader>,
    /// Where sources stand that are not open yet.
    reported: BTreeMap<TopicPartition, i64>,
    /// Index of the lane that was last told of.
    latest: usize,
    /// A rebalance that was handed out and waits for its answer.
    owed: Option<RebalanceKind>,
    /// Everything has been given back to an eager protocol, which has given nothing yet.
    suspended: bool,
    /// The group is being left, or has been: librdkafka is told nothing any more but one answer.
    pub(crate) leaving: LeaveState,
}

impl Assignment {
    /// Nothing open.
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
            latest: 0,
            owed: None,
            suspended: false,
            leaving: LeaveState::default(),
        }
    }

    /// Gives the answer that is owed to a close.
    pub(crate) fn leave_group(&mut self) {
        if self.owed.take().is_some() {
            self.leaving.answer(&self.consumer);
        }
    }

    /// The loop has been told of a rebalance.
    pub(crate) fn expect_ack(&mut self, kind: RebalanceKind) {
        self.owed = Some(kind);
    }

    /// Is the loop still to answer a rebalance?
    pub(crate) fn is_ack_due(&self) -> bool {
        self.owed.is_some()
    }

    /// May records be read?
    pub(crate) fn is_readable(&self) -> bool {
        !self.suspended && self.owed.is_none() && !self.leaving.has_begun()
    }

    /// How far a source has been processed.
    pub(crate) fn report_progress(&mut self, source: TopicPartition, event_time_ms: i64) {
        // Told for every record, and records of one source follow one another.
        if let Some(reader) = self.readers.get_mut(self.latest)
            && reader.source == source
        {
            return reader.progress.reported(event_time_ms);
        }
        match self.index(source) {
            Ok(index) => {
                self.latest = index;
                self.readers[index].progress.reported(event_time_ms);
            }
            Err(_) => {
                self.reported.insert(source, event_time_ms);
            }
        }
    }

    /// The next offset to read of a source.
    pub(crate) fn next_offset(&self, source: TopicPartition) -> Option<i64> {
        Some(self.readers[self.index(source).ok()?].next_offset())
    }

    /// Leader epoch up to which a source has been read.
    pub(crate) fn leader_epoch(&self, source: TopicPartition) -> Option<i32> {
        self.readers[self.index(source).ok()?].leader_epoch()
    }

    /// Records behind the end of a source, as of its latest fetch. Of one that is halted no end is known: it is not
    /// fetched any more.
    pub(crate) fn lag(&self, source: TopicPartition) -> Option<u64> {
        let reader = &self.readers[self.index(source).ok()?];
        reader.broken.is_none().then(|| reader.lag()).flatten()
    }

    /// The latest time that a broker has stamped a record with which was read.
    pub(crate) fn log_append_ms(&self) -> Option<i64> {
        self.readers
            .iter()
            .filter_map(|reader| reader.log_append_ms)
            .max()
    }

    /// Reads these sources from there on.
    pub(crate) fn open(&mut self, reads: &[(TopicPartition, Start)]) -> Result<(), Failure> {
        if self.leaving.has_begun() {
            self.leave_group();
            return Ok(());
        }
        let places = self.places(reads)?;
        let owed = self.owed.take();
        if self.is_cooperative() {
            let again: Vec<TopicPartition> = reads.iter().map(|(source, _)| *source).collect();
            self.unassign_some(&again, false)?;
            self.place(&places, reads)?;
            return self.assign_new(owed.is_some());
        }
        self.place(&places, reads)?;
        if self.suspended && owed != Some(RebalanceKind::Assigned) {
            return Ok(());
        }
        self.assign_all()
    }

    /// Reads these sources no more.
    pub(crate) fn close(&mut self, sources: &[TopicPartition]) -> Result<(), Failure> {
        if self.leaving.has_begun() {
            self.forget(sources);
            if self.owed != Some(RebalanceKind::Assigned) {
                self.leave_group();
            }
            return Ok(());
        }
        let owed = self.owed.take();
        let given_up = matches!(owed, Some(RebalanceKind::Revoked | RebalanceKind::Lost));
        if self.is_cooperative() {
            self.unassign_some(sources, given_up)?;
            self.forget(sources);
        } else {
            let known = self.readers.len();
            self.forget(sources);
            if given_up {
                self.suspend()?;
            } else if owed.is_none() && !self.suspended && self.readers.len() < known {
                self.assign_all()?;
            }
        }
        if owed == Some(RebalanceKind::Assigned) {
            self.owed = owed;
        }
        Ok(())
    }

    fn is_cooperative(&self) -> bool {
        matches!(
            self.consumer.rebalance_protocol(),
            RebalanceProtocol::Cooperative
        )
    }

    pub(crate) fn index(&self, source: TopicPartition) -> Result<usize, usize> {
        self.readers
            .binary_search_by_key(&source, |reader| reader.source)
    }

    fn forget(&mut self, sources: &[TopicPartition]) {
        self.readers
            .retain(|reader| !sources.contains(&reader.source));
    }

    /// These positions have been committed: what lies before them is read, and may be deleted.
    pub(crate) fn committed(&mut self, positions: &[(TopicPartition, i64)]) {
        for (source, position) in positions {
            if let Ok(index) = self.index(*source) {
                let reader = &mut self.readers[index];
                reader.position = reader.position.max(*position);
            }
        }
    }

    /// Puts lanes where they are to be read from; librdkafka is told afterwards.
    fn place(&mut self, places: &[i64], reads: &[(TopicPartition, Start)]) -> Result<(), Failure> {
        for (&(source, start), &position) in reads.iter().zip(places) {
            let topic = self.topics.name(source.topic);
            // Anew each time, since the topic may have been made anew; and the old one first, since
            // both would be woken by the same queue.
            if let Ok(index) = self.index(source) {
                self.readers.remove(index);
            }
            let mut reader =
                PartitionReader::open(&self.consumer, &self.wakeup, source, topic, position)?;
            reader.at_oldest = start == Start::Earliest;
            reader.opened_in_epoch = start.leader_epoch();
            if let Some(event_time_ms) = self.reported.remove(&source) {
                reader.progress.reported(event_time_ms);
            }
            let (Ok(index) | Err(index)) = self.index(source);
            self.readers.insert(index, reader);
        }
        Ok(())
    }

    /// What librdkafka forgets when a partition is taken away: retention may remove a control record,
    /// and an offset before the oldest record cannot be gone back to.
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
        done("giving up partitions", self.consumer.unassign())?;
        for reader in &mut self.readers {
            reader.assigned = false;
        }
        self.suspended = true;
        Ok(())
    }

    /// An empty list is told too where an answer is owed.
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
        sources: &[TopicPartition],
        even_none: bool,
    ) -> Result<(), Failure> {
        let gone =
            |reader: &&mut PartitionReader| reader.assigned && sources.contains(&reader.source);
        let mut named: Vec<&mut PartitionReader> = self.readers.iter_mut().filter(gone).collect();
        let list = list(named.iter().map(|reader| &**reader))?;
        if list.count() > 0 || even_none {
            done(
                "giving up some partitions",
                self.consumer.incremental_unassign(&list),
            )?;
        }
        for reader in &mut named {
            reader.assigned = false;
        }
        Ok(())
    }

    /// Offsets to start at.
    fn places(&self, reads: &[(TopicPartition, Start)]) -> Result<Vec<i64>, Failure> {
        reads
            .iter()
            .map(|&(source, start)| self.offset(source, start))
            .collect()
    }

    fn offset(&self, source: TopicPartition, start: Start) -> Result<i64, Failure> {
        match start {
            Start::Offset(offset) | Start::Verified { offset, .. } => Ok(offset),
            Start::Earliest => self.ask(source, Offset::Beginning).and_then(known),
            Start::Latest => self.ask(source, Offset::End).and_then(known),
            Start::Time(since_ms) => match self.ask(source, Offset::Offset(since_ms))? {
                Offset::End => self.ask(source, Offset::End).and_then(known),
                found => known(found),
            },
        }
    }

    /// See [`ask`].
    pub(crate) fn ask(&self, source: TopicPartition, what: Offset) -> Result<Offset, Failure> {
        let asked = [(self.topics.name(source.topic), source.partition)];
        ask(&self.consumer, &asked, what).map(|found| found[0])
    }
}

fn list<'a>(
    readers: impl Iterator<Item = &'a PartitionReader>,
) -> Result<TopicPartitionList, Failure> {
    let mut list = TopicPartitionList::new();
    for reader in readers {
        let partition = reader.source.partition.cast_signed();
        let added =
            list.add_partition_offset(&reader.topic, partition, Offset::Offset(reader.position));
        done("listing partitions", added)?;
    }
    Ok(list)
}

fn done(doing: &str, result: KafkaResult<()>) -> Result<(), Failure> {
    result.map_err(|error| errors::plain(doing, &error))
}
