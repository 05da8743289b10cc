//! The client as a member of the consumer group.

use std::time::Duration;

use flockwise_runtime::batch::Batch;
use flockwise_runtime::broker::{Failure, GroupConsumer, Start, WorkerEvent};
use flockwise_runtime::topics::TopicPartition;

use super::SimulatedClient;
use crate::fetch_position::FetchPosition;

impl GroupConsumer for SimulatedClient {
    /// Never waits.
    fn poll(
        &mut self,
        _timeout: Duration,
        limit: usize,
        batch: &mut Batch,
    ) -> Result<WorkerEvent, Failure> {
        batch.clear();
        let mut state = self.shared.call();
        state.producers.require_unfenced(&self.member, self.epoch)?;
        state.hear(&self.member);
        if !state.delays_news(&self.member)
            && let Some(event) = state.group.turn(&self.member)
        {
            self.is_open &= !matches!(event, WorkerEvent::Assigned(_));
            return Ok(event);
        }
        state.require_uncut(&self.reads)?;
        if self.is_open && state.believes_to_serve(&self.member) {
            state.fill(&mut self.reads, limit, batch);
        }
        Ok(match batch.is_empty() {
            true => WorkerEvent::Idle,
            false => WorkerEvent::Records,
        })
    }

    fn open(&mut self, reads: &[(TopicPartition, Start)]) -> Result<(), Failure> {
        let state = self.shared.borrow();
        for &(topic_partition, start) in reads {
            let known = self.generations.get(&topic_partition.topic).copied();
            let opened = FetchPosition::open(&state, topic_partition, start, known)?;
            self.reads
                .retain(|read| read.topic_partition != topic_partition);
            self.reads.push(opened);
        }
        self.is_open = true;
        Ok(())
    }

    fn close(&mut self, topic_partitions: &[TopicPartition]) -> Result<(), Failure> {
        self.reads
            .retain(|read| !topic_partitions.contains(&read.topic_partition));
        let mut state = self.shared.borrow();
        state.producers.require_unfenced(&self.member, self.epoch)?;
        state.group.hand_over(&self.member, topic_partitions);
        Ok(())
    }

    /// Ignored: the order of records is drawn at random.
    fn report_progress(&mut self, _topic_partition: TopicPartition, _event_time_ms: i64) {}

    fn pause(&mut self, topic_partitions: &[TopicPartition]) {
        for read in &mut self.reads {
            read.is_paused = topic_partitions.contains(&read.topic_partition);
        }
    }

    fn position(&self, topic_partition: TopicPartition) -> Option<i64> {
        let read = self.read(topic_partition)?;
        self.shared.borrow().position(read)
    }

    fn leader_epoch(&self, topic_partition: TopicPartition) -> Option<i32> {
        let read = self.read(topic_partition)?;
        let state = self.shared.borrow();
        let log = state.log(topic_partition);
        let is_known = read.generation == log.generation && !read.is_halted && !read.is_cut(log);
        // A position also passes offsets that have no readable record. They have an epoch too.
        let passed = is_known.then(|| log.epochs.before(log.next_readable(read.next)));
        read.leader_epoch.max(passed)
    }

    /// The latest one in which this member got an assignment; `None` if it is not in the group.
    fn generation(&self) -> Option<i64> {
        let state = self.shared.borrow();
        let member = state.group.members().get(&self.member)?;
        Some(member.round)
    }

    fn lag(&self, topic_partition: TopicPartition) -> Option<u64> {
        let read = self.read(topic_partition)?;
        let state = self.shared.borrow();
        let log = state.log(topic_partition);
        // Offsets that have no readable record do not count.
        let next = log.next_readable(read.next);
        let is_there = log.generation == read.generation;
        is_there.then(|| u64::try_from(log.stable() - next).ok())?
    }

    fn halted(&self) -> Vec<TopicPartition> {
        let halted = self.reads.iter().filter(|read| read.is_halted);
        halted.map(|read| read.topic_partition).collect()
    }

    fn skips_lost_records(&self) -> bool {
        self.shared.borrow().conditions.skips_lost_records
    }

    fn leave(&mut self) -> bool {
        let mut state = self.shared.borrow();
        state.producers.is_fenced(&self.member, self.epoch) || state.group.leave(&self.member)
    }
}
