//! A client that injects failures from a script. Its worker sees what it would see if the broker failed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use flockwise_runtime::batch::{Batch, Record};
use flockwise_runtime::broker::{
    Broker, Failure, GroupConsumer, Outgoing, Replayed, Start, TopicReader, Transactions,
    WorkerEvent,
};
use flockwise_runtime::topics::{Topic, TopicPartition};

/// A fault that replaces a commit or follows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The broker aborts the transaction.
    Abort,
    /// The client dies with the transaction open.
    DieBefore,
    /// The client dies after the commit, before the worker gets the answer.
    DieAfter,
}

/// Faults by commit number. Commits are counted from 1, over all clients that share the script.
#[derive(Debug, Default)]
pub struct FaultScript {
    faults: Vec<(u64, Fault)>,
    commits: AtomicU64,
    fails_first_send: AtomicBool,
    fails_next_commit: AtomicBool,
    assigns_nothing_next: AtomicBool,
    hides_partitions: AtomicBool,
}

impl FaultScript {
    /// A script with these faults.
    #[must_use]
    pub fn new(faults: &[(u64, Fault)]) -> Self {
        Self {
            faults: faults.to_vec(),
            ..Self::default()
        }
    }

    /// A script in which sending the first record aborts the transaction.
    #[must_use]
    pub fn failing_first_send() -> Self {
        Self {
            fails_first_send: AtomicBool::new(true),
            ..Self::default()
        }
    }

    /// Makes the next commit abort the transaction.
    pub fn fail_next_commit(&self) {
        self.fails_next_commit.store(true, Ordering::Relaxed);
    }

    /// Makes the next poll return an empty assignment, as a cooperative protocol does for a member that keeps its
    /// tasks.
    pub fn assign_nothing_next(&self) {
        self.assigns_nothing_next.store(true, Ordering::Relaxed);
    }

    /// If `hides` is true, metadata reports one partition for each topic, as outdated metadata would. False ends
    /// that.
    pub fn hide_partitions(&self, hides: bool) {
        self.hides_partitions.store(hides, Ordering::Relaxed);
    }

    /// True once all of its faults have happened.
    #[must_use]
    pub fn is_over(&self) -> bool {
        let commits = self.commits.load(Ordering::Relaxed);
        self.faults.iter().all(|(number, _)| *number <= commits)
    }

    fn next(&self) -> Option<Fault> {
        let number = self.commits.fetch_add(1, Ordering::Relaxed) + 1;
        if self.fails_next_commit.swap(false, Ordering::Relaxed) {
            return Some(Fault::Abort);
        }
        self.faults
            .iter()
            .find(|(at, _)| *at == number)
            .map(|(_, fault)| *fault)
    }
}

/// A client that fails according to a script.
pub struct FaultyBroker<B> {
    inner: B,
    script: Arc<FaultScript>,
}

impl<B> FaultyBroker<B> {
    /// Wraps a client.
    pub fn new(inner: B, script: Arc<FaultScript>) -> Self {
        Self { inner, script }
    }
}

impl<B: Broker> GroupConsumer for FaultyBroker<B> {
    fn poll(
        &mut self,
        timeout: Duration,
        limit: usize,
        batch: &mut Batch,
    ) -> Result<WorkerEvent, Failure> {
        let script = &self.script;
        if script.assigns_nothing_next.swap(false, Ordering::Relaxed) {
            batch.clear();
            return Ok(WorkerEvent::Assigned(Vec::new()));
        }
        self.inner.poll(timeout, limit, batch)
    }

    fn open(&mut self, reads: &[(TopicPartition, Start)]) -> Result<(), Failure> {
        self.inner.open(reads)
    }

    fn close(&mut self, topic_partitions: &[TopicPartition]) -> Result<(), Failure> {
        self.inner.close(topic_partitions)
    }

    fn report_progress(&mut self, topic_partition: TopicPartition, event_time_ms: i64) {
        self.inner.report_progress(topic_partition, event_time_ms);
    }

    fn pause(&mut self, topic_partitions: &[TopicPartition]) {
        self.inner.pause(topic_partitions);
    }

    fn generation(&self) -> Option<i64> {
        self.inner.generation()
    }

    fn position(&self, topic_partition: TopicPartition) -> Option<i64> {
        self.inner.position(topic_partition)
    }

    fn leader_epoch(&self, topic_partition: TopicPartition) -> Option<i32> {
        self.inner.leader_epoch(topic_partition)
    }

    fn halted(&self) -> Vec<TopicPartition> {
        self.inner.halted()
    }

    fn skips_lost_records(&self) -> bool {
        self.inner.skips_lost_records()
    }

    fn lag(&self, topic_partition: TopicPartition) -> Option<u64> {
        self.inner.lag(topic_partition)
    }

    fn leave(&mut self) -> bool {
        self.inner.leave()
    }
}

impl<B: Broker> Transactions for FaultyBroker<B> {
    fn commit(&mut self, positions: &[(TopicPartition, i64)]) -> Result<(), Failure> {
        match self.script.next() {
            None => self.inner.commit(positions),
            Some(Fault::Abort) => Err(Failure::Abort("injected by the fault script".to_owned())),
            Some(Fault::DieBefore) => Err(Failure::Fatal("dead before the commit".to_owned())),
            Some(Fault::DieAfter) => {
                self.inner.commit(positions)?;
                Err(Failure::Fatal("dead after the commit".to_owned()))
            }
        }
    }

    fn max_record_bytes(&self, topic: Topic) -> usize {
        self.inner.max_record_bytes(topic)
    }

    fn transactional_id(&self) -> &str {
        self.inner.transactional_id()
    }

    fn fence(&mut self, name: &str) -> Result<(), Failure> {
        self.inner.fence(name)
    }

    fn send(&mut self, record: Outgoing<'_>) -> Result<(), Failure> {
        if self.script.fails_first_send.swap(false, Ordering::Relaxed) {
            return Err(Failure::Abort("injected by the fault script".to_owned()));
        }
        self.inner.send(record)
    }

    fn abort(&mut self) -> Result<(), Failure> {
        self.inner.abort()
    }
}

impl<B: Broker> TopicReader for FaultyBroker<B> {
    fn replay(
        &mut self,
        topic_partition: TopicPartition,
        from: Option<i64>,
        each: &mut dyn FnMut(Record<'_>),
    ) -> Result<Replayed, Failure> {
        self.inner.replay(topic_partition, from, each)
    }

    fn end_offsets(&mut self, topic_partitions: &[TopicPartition]) -> Result<Vec<i64>, Failure> {
        self.inner.end_offsets(topic_partitions)
    }

    fn topic_id(&mut self, topic: Topic) -> Result<String, Failure> {
        self.inner.topic_id(topic)
    }

    fn partitions(&mut self, topic: Topic) -> Result<u32, Failure> {
        let partitions = self.inner.partitions(topic)?;
        let hides = self.script.hides_partitions.load(Ordering::Relaxed);
        Ok(if hides { 1 } else { partitions })
    }
}
