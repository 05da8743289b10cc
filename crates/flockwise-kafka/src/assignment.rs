//! Which partitions are read, and what librdkafka is told about it.
//!
//! The group is subscribed to internal topics only; inputs are added by hand to every assignment.
//! An eager protocol takes everything away before it gives anything, so the open sources and their
//! positions are remembered here and handed back in full.

use std::collections::BTreeMap;
use std::sync::Arc;

use flockwise_runtime::broker::{Failure, Start};
use flockwise_runtime::topics::{Source, Topics};
use rdkafka::consumer::{BaseConsumer, Consumer, RebalanceProtocol};
use rdkafka::error::KafkaResult;
use rdkafka::{Offset, TopicPartitionList};

use crate::bell::Bell;
use crate::events::{Events, RebalanceKind};
use crate::faults;
use crate::lanes::Lane;
use crate::parting::Leaving;
use crate::surveyor::{ask, known};
use crate::verifying::Verification;

/// The open sources of one consumer.
pub(crate) struct Assignment {
    pub(crate) consumer: Arc<BaseConsumer<Events>>,
    bell: Bell,
    topics: Topics,
    /// In the order of their sources.
    pub(crate) lanes: Vec<Lane>,
    /// Where sources stand that are not open yet.
    told: BTreeMap<Source, i64>,
    /// Index of the lane that was last told of.
    latest: usize,
    /// A rebalance that was handed out and waits for its answer.
    owed: Option<RebalanceKind>,
    /// Everything has been given back to an eager protocol, which has given nothing yet.
    suspended: bool,
    /// The group is being left, or has been: librdkafka is told nothing any more but one answer.
    pub(crate) leaving: Leaving,
}

impl Assignment {
    /// Nothing open.
    pub(crate) fn new(consumer: Arc<BaseConsumer<Events>>, bell: Bell, topics: Topics) -> Self {
        Self {
            consumer,
            bell,
            topics,
            lanes: Vec::new(),
            told: BTreeMap::new(),
            latest: 0,
            owed: None,
            suspended: false,
            leaving: Leaving::default(),
        }
    }

    /// Gives the answer that is owed to a close.
    pub(crate) fn part(&mut self) {
        if self.owed.take().is_some() {
            self.leaving.answer(&self.consumer);
        }
    }

    /// The loop has been told of a rebalance.
    pub(crate) fn owe(&mut self, kind: RebalanceKind) {
        self.owed = Some(kind);
    }

    /// Is the loop still to answer a rebalance?
    pub(crate) fn is_owing(&self) -> bool {
        self.owed.is_some()
    }

    /// May records be read?
    pub(crate) fn is_readable(&self) -> bool {
        !self.suspended && self.owed.is_none() && !self.leaving.has_begun()
    }

    /// How far a source has been processed.
    pub(crate) fn lead(&mut self, source: Source, event_time_ms: i64) {
        // Told for every record, and records of one source follow one another.
        if let Some(lane) = self.lanes.get_mut(self.latest)
            && lane.source == source
        {
            return lane.progress.told(event_time_ms);
        }
        match self.index(source) {
            Ok(index) => {
                self.latest = index;
                self.lanes[index].progress.told(event_time_ms);
            }
            Err(_) => {
                self.told.insert(source, event_time_ms);
            }
        }
    }

    /// The next offset to read of a source.
    pub(crate) fn next_offset(&self, source: Source) -> Option<i64> {
        Some(self.lanes[self.index(source).ok()?].next_offset())
    }

    /// Leader epoch up to which a source has been read.
    pub(crate) fn leader_epoch(&self, source: Source) -> Option<i32> {
        self.lanes[self.index(source).ok()?].leader_epoch()
    }

    /// Records behind the end of a source, as of its latest fetch. Of one that is halted no end is known: it is not
    /// fetched any more.
    pub(crate) fn lag(&self, source: Source) -> Option<u64> {
        let lane = &self.lanes[self.index(source).ok()?];
        lane.broken.is_none().then(|| lane.lag()).flatten()
    }

    /// The latest time that a broker has stamped a record with which was read.
    pub(crate) fn stamped_ms(&self) -> Option<i64> {
        self.lanes.iter().filter_map(|lane| lane.stamped_ms).max()
    }

    /// Reads these sources from there on.
    pub(crate) fn open(&mut self, reads: &[(Source, Start)]) -> Result<(), Failure> {
        if self.leaving.has_begun() {
            self.part();
            return Ok(());
        }
        let places = self.places(reads)?;
        let owed = self.owed.take();
        if self.is_cooperative() {
            let again: Vec<Source> = reads.iter().map(|(source, _)| *source).collect();
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
    pub(crate) fn close(&mut self, sources: &[Source]) -> Result<(), Failure> {
        if self.leaving.has_begun() {
            self.forget(sources);
            if self.owed != Some(RebalanceKind::Assigned) {
                self.part();
            }
            return Ok(());
        }
        let owed = self.owed.take();
        let given_up = matches!(owed, Some(RebalanceKind::Revoked | RebalanceKind::Lost));
        if self.is_cooperative() {
            self.unassign_some(sources, given_up)?;
            self.forget(sources);
        } else {
            let known = self.lanes.len();
            self.forget(sources);
            if given_up {
                self.suspend()?;
            } else if owed.is_none() && !self.suspended && self.lanes.len() < known {
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

    pub(crate) fn index(&self, source: Source) -> Result<usize, usize> {
        self.lanes.binary_search_by_key(&source, |lane| lane.source)
    }

    fn forget(&mut self, sources: &[Source]) {
        self.lanes.retain(|lane| !sources.contains(&lane.source));
    }

    /// These positions have been committed: what lies before them is read, and may be deleted.
    pub(crate) fn committed(&mut self, positions: &[(Source, i64)]) {
        for (source, position) in positions {
            if let Ok(index) = self.index(*source) {
                let lane = &mut self.lanes[index];
                lane.position = lane.position.max(*position);
            }
        }
    }

    /// Puts lanes where they are to be read from; librdkafka is told afterwards.
    fn place(&mut self, places: &[i64], reads: &[(Source, Start)]) -> Result<(), Failure> {
        for (&(source, start), &position) in reads.iter().zip(places) {
            let topic = self.topics.name(source.topic);
            // Anew each time, since the topic may have been made anew; and the old one first, since
            // both would be woken by the same queue.
            if let Ok(index) = self.index(source) {
                self.lanes.remove(index);
            }
            let mut lane = Lane::open(&self.consumer, &self.bell, source, topic, position)?;
            lane.at_oldest = start == Start::Earliest;
            lane.opened_in_epoch = start.leader_epoch();
            if let Some(event_time_ms) = self.told.remove(&source) {
                lane.progress.told(event_time_ms);
            }
            let (Ok(index) | Err(index)) = self.index(source);
            self.lanes.insert(index, lane);
        }
        Ok(())
    }

    /// What librdkafka forgets when a partition is taken away: retention may remove a control record,
    /// and an offset before the oldest record cannot be gone back to.
    fn note_positions(&mut self) {
        for lane in self.lanes.iter_mut().filter(|lane| lane.assigned) {
            lane.opened_in_epoch = lane.leader_epoch();
            lane.position = lane.next_offset();
        }
    }

    fn assign_all(&mut self) -> Result<(), Failure> {
        self.note_positions();
        let list = list(self.lanes.iter())?;
        let verification = Verification::begin(&self.consumer, self.lanes.iter())?;
        done("assigning partitions", self.consumer.assign(&list))?;
        verification.end(&self.consumer)?;
        for lane in &mut self.lanes {
            lane.assigned = true;
        }
        self.suspended = false;
        Ok(())
    }

    fn suspend(&mut self) -> Result<(), Failure> {
        self.note_positions();
        done("giving up partitions", self.consumer.unassign())?;
        for lane in &mut self.lanes {
            lane.assigned = false;
        }
        self.suspended = true;
        Ok(())
    }

    /// An empty list is told too where an answer is owed.
    fn assign_new(&mut self, even_none: bool) -> Result<(), Failure> {
        let new = || self.lanes.iter().filter(|lane| !lane.assigned);
        let list = list(new())?;
        let verification = Verification::begin(&self.consumer, new())?;
        if list.count() > 0 || even_none {
            done(
                "assigning more partitions",
                self.consumer.incremental_assign(&list),
            )?;
        }
        verification.end(&self.consumer)?;
        for lane in &mut self.lanes {
            lane.assigned = true;
        }
        Ok(())
    }

    fn unassign_some(&mut self, sources: &[Source], even_none: bool) -> Result<(), Failure> {
        let gone = |lane: &&mut Lane| lane.assigned && sources.contains(&lane.source);
        let mut named: Vec<&mut Lane> = self.lanes.iter_mut().filter(gone).collect();
        let list = list(named.iter().map(|lane| &**lane))?;
        if list.count() > 0 || even_none {
            done(
                "giving up some partitions",
                self.consumer.incremental_unassign(&list),
            )?;
        }
        for lane in &mut named {
            lane.assigned = false;
        }
        Ok(())
    }

    /// Offsets to start at.
    fn places(&self, reads: &[(Source, Start)]) -> Result<Vec<i64>, Failure> {
        reads
            .iter()
            .map(|&(source, start)| self.offset(source, start))
            .collect()
    }

    fn offset(&self, source: Source, start: Start) -> Result<i64, Failure> {
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
    pub(crate) fn ask(&self, source: Source, what: Offset) -> Result<Offset, Failure> {
        let asked = [(self.topics.name(source.topic), source.partition)];
        ask(&self.consumer, &asked, what).map(|found| found[0])
    }
}

fn list<'a>(lanes: impl Iterator<Item = &'a Lane>) -> Result<TopicPartitionList, Failure> {
    let mut list = TopicPartitionList::new();
    for lane in lanes {
        let partition = lane.source.partition.cast_signed();
        let added =
            list.add_partition_offset(&lane.topic, partition, Offset::Offset(lane.position));
        done("listing partitions", added)?;
    }
    Ok(list)
}

fn done(doing: &str, result: KafkaResult<()>) -> Result<(), Failure> {
    result.map_err(|error| faults::plain(doing, &error))
}
