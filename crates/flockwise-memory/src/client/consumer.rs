//! The client as a member of the consumer group.

use std::sync::Arc;
use std::time::Duration;

use flockwise_runtime::batch::Batch;
use flockwise_runtime::broker::{Failure, GroupConsumer, Start, WorkerEvent};
use flockwise_runtime::topics::{Topic, TopicPartition};

use super::MemoryClient;
use crate::broker_state::{BrokerState, after, until};
use crate::log::Log;
use crate::log_merge::OpenPartition;

impl GroupConsumer for MemoryClient {
    fn poll(
        &mut self,
        patience: Duration,
        limit: usize,
        batch: &mut Batch,
    ) -> Result<WorkerEvent, Failure> {
        batch.clear();
        let shared = Arc::clone(&self.shared);
        let mut state = shared.lock();
        let mut deadline = None;
        loop {
            if let Some(event) = self.next(&mut state, limit, batch)? {
                return Ok(event);
            }
            if patience.is_zero() {
                return Ok(WorkerEvent::Idle);
            }
            let deadline = *deadline.get_or_insert_with(|| after(patience));
            let Some(left) = until(deadline) else {
                return Ok(WorkerEvent::Idle);
            };
            state = shared.wait(state, left);
        }
    }

    fn open(&mut self, reads: &[(TopicPartition, Start)]) -> Result<(), Failure> {
        let state = self.shared.lock();
        let is_expelled = state.group.is_lost(&self.member);
        for &(topic_partition, start) in reads {
            let number = self.shared.layout.require(topic_partition);
            let number = number.map_err(Failure::Config)?;
            let log = &state.logs[number];
            let next = match start.offset() {
                // An expelled member learns of that with its next poll. Meanwhile others process its records.
                Some(offset) if is_expelled && offset < log.start => log.start,
                offset => begin(log, topic_partition, offset.map_or(start, Start::Offset))?,
            };
            self.reads
                .retain(|read| read.topic_partition != topic_partition);
            self.reads.push(OpenPartition {
                topic_partition,
                number,
                next,
                is_paused: false,
            });
        }
        self.is_open = true;
        Ok(())
    }

    fn close(&mut self, topic_partitions: &[TopicPartition]) -> Result<(), Failure> {
        self.reads
            .retain(|read| !topic_partitions.contains(&read.topic_partition));
        let mut state = self.shared.lock();
        state.producers.require_unfenced(&self.member, self.epoch)?;
        state.group.hand_over(&self.member, topic_partitions);
        self.shared.notify(&state);
        Ok(())
    }

    /// Ignored: records come in the order in which they were appended, whatever their event time.
    fn report_progress(&mut self, _topic_partition: TopicPartition, _event_time_ms: i64) {}

    fn pause(&mut self, topic_partitions: &[TopicPartition]) {
        for read in &mut self.reads {
            read.is_paused = topic_partitions.contains(&read.topic_partition);
        }
    }

    /// Always that of the first leader: it is never replaced.
    fn leader_epoch(&self, topic_partition: TopicPartition) -> Option<i32> {
        self.read(topic_partition).map(|_| 0)
    }

    fn generation(&self) -> Option<i64> {
        Some(self.shared.lock().group.round)
    }

    fn lag(&self, topic_partition: TopicPartition) -> Option<u64> {
        let read = self.read(topic_partition)?;
        let end = self.shared.lock().logs[read.number].end;
        u64::try_from(end - read.next).ok()
    }

    fn leave(&mut self) -> bool {
        let mut state = self.shared.lock();
        if state.producers.is_fenced(&self.member, self.epoch) {
            return true;
        }
        let is_gone = state.group.leave(&self.member);
        self.shared.notify(&state);
        is_gone
    }
}

impl MemoryClient {
    /// The next event for the worker, if there is one now.
    fn next(
        &mut self,
        state: &mut BrokerState,
        limit: usize,
        batch: &mut Batch,
    ) -> Result<Option<WorkerEvent>, Failure> {
        state.producers.require_unfenced(&self.member, self.epoch)?;
        if let Some(event) = state.group.turn(&self.member) {
            self.is_open &= !matches!(event, WorkerEvent::Assigned(_));
            return Ok(Some(event));
        }
        if self.is_open && state.group.is_serving(&self.member) {
            self.merge.fill(&mut self.reads, &state.logs, limit, batch);
        }
        Ok((!batch.is_empty()).then_some(WorkerEvent::Records))
    }

    fn read(&self, topic_partition: TopicPartition) -> Option<&OpenPartition> {
        self.reads
            .iter()
            .find(|read| read.topic_partition == topic_partition)
    }
}

/// The offset at which reading starts.
fn begin(log: &Log, topic_partition: TopicPartition, start: Start) -> Result<i64, Failure> {
    match start {
        Start::Earliest => Ok(log.start),
        Start::Latest => Ok(log.end),
        Start::Time(time) => {
            let mut records = log.records(log.start);
            let first = records.find(|(entry, _)| entry.timestamp_ms >= time);
            Ok(first.map_or(log.end, |(entry, _)| entry.offset))
        }
        // As after Kafka's retention, the trainer skips samples that are gone.
        Start::Offset(offset) if offset < log.start && topic_partition.topic == Topic::Samples => {
            Ok(log.start)
        }
        Start::Offset(offset) if (log.start..=log.end).contains(&offset) => Ok(offset),
        Start::Offset(offset) | Start::Verified { offset, .. } => Err(Failure::Config(format!(
            "offset {offset} of {topic_partition:?} is out of range: expected {} to {}",
            log.start, log.end
        ))),
    }
}
