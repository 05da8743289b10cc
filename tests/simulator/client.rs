//! A worker's client in the simulation. Every call may fail, pause, or end with the death of the process.

use flockwise_runtime::task_id::TaskId;
use std::rc::Rc;
use std::time::Duration;

use flockwise_runtime::batch::{Batch, Record};
use flockwise_runtime::broker::{
    Failure, GroupConsumer, Outgoing, Replayed, Start, TopicReader, Transactions, WorkerEvent,
};
use flockwise_runtime::topics::{Topic, TopicPartition};
use flockwise_simulation::SimulatedClient;

use super::cluster::{ClientId, InjectionPoint};
use super::committed_log::Sent;
use super::rolling_configurations::Setup;
use super::simulation::Simulation;

/// Trace event: a commit removes expired customers.
pub(super) const EXPIRES: &str = "removes expired customers";

/// A client of the simulated cluster.
pub(super) struct Client {
    simulation: Rc<Simulation>,
    client_id: ClientId,
    setup: Setup,
    inner: SimulatedClient,
    /// Records of the open transaction.
    sent: Vec<Sent>,
    /// The last poll's records, with global input numbers.
    polled: Batch,
}

impl Client {
    pub(super) fn new(
        simulation: Rc<Simulation>,
        client_id: ClientId,
        setup: Setup,
        inner: SimulatedClient,
    ) -> Self {
        Self {
            simulation,
            client_id,
            setup,
            inner,
            sent: Vec::new(),
            polled: Batch::default(),
        }
    }

    /// Translates positions to global input numbers.
    fn global<T: Copy>(&self, places: &[(TopicPartition, T)]) -> Vec<(TopicPartition, T)> {
        let global = |(topic_partition, at): &(TopicPartition, T)| {
            (self.setup.global(*topic_partition), *at)
        };
        places.iter().map(global).collect()
    }

    /// Translates a topic to its global input number.
    fn topic(&self, topic: Topic) -> Topic {
        let partition = 0;
        self.setup.global(TopicPartition { topic, partition }).topic
    }

    /// An injection point between two operations of the client.
    fn inject(&self) -> Result<(), Failure> {
        self.inject_at(InjectionPoint::Anywhere)
    }

    fn inject_at(&self, point: InjectionPoint) -> Result<(), Failure> {
        self.simulation.inject(&self.client_id, point)
    }

    fn note(&self, what: &'static str, numbers: [i64; 2]) {
        self.simulation
            .note(Some(self.client_id.slot), what, numbers);
    }

    /// Returns the outcome of a call, unless a fault is injected before the caller gets it.
    fn answer<T>(&self, outcome: Result<T, Failure>) -> Result<T, Failure> {
        self.inject()?;
        outcome
    }
}

impl GroupConsumer for Client {
    fn poll(
        &mut self,
        timeout: Duration,
        limit: usize,
        batch: &mut Batch,
    ) -> Result<WorkerEvent, Failure> {
        self.inject()?;
        let outcome = self.inner.poll(timeout, limit, &mut self.polled);
        batch.clear();
        for record in self.polled.records() {
            let topic_partition = self.setup.local(record.topic_partition);
            batch.push(Record {
                topic_partition,
                ..record
            });
        }
        match &outcome {
            Ok(WorkerEvent::Records) => self.note("polls records", [batch.len() as i64, 0]),
            Ok(WorkerEvent::Assigned(topic_partitions)) => {
                self.note("is assigned", [topic_partitions.len() as i64, 0]);
            }
            Ok(WorkerEvent::Revoked(topic_partitions)) => {
                self.note("is revoked", [topic_partitions.len() as i64, 0]);
            }
            Ok(WorkerEvent::Lost(topic_partitions)) => {
                self.note("loses", [topic_partitions.len() as i64, 0]);
            }
            Ok(WorkerEvent::Idle) => {}
            Err(_) => self.note("cannot poll", [0, 0]),
        }
        let is_plain = matches!(outcome, Ok(WorkerEvent::Records | WorkerEvent::Idle));
        self.simulation
            .cluster()
            .begin_run(self.client_id.slot, is_plain);
        self.answer(outcome)
    }

    fn open(&mut self, reads: &[(TopicPartition, Start)]) -> Result<(), Failure> {
        self.inject()?;
        let outcome = self.inner.open(&self.global(reads));
        self.answer(outcome)
    }

    fn close(&mut self, topic_partitions: &[TopicPartition]) -> Result<(), Failure> {
        self.inject()?;
        let topic_partitions: Vec<TopicPartition> = topic_partitions
            .iter()
            .map(|one| self.setup.global(*one))
            .collect();
        let outcome = self.inner.close(&topic_partitions);
        self.answer(outcome)
    }

    fn report_progress(&mut self, topic_partition: TopicPartition, event_time_ms: i64) {
        self.inner
            .report_progress(self.setup.global(topic_partition), event_time_ms);
    }

    fn pause(&mut self, topic_partitions: &[TopicPartition]) {
        let topic_partitions: Vec<TopicPartition> = topic_partitions
            .iter()
            .map(|one| self.setup.global(*one))
            .collect();
        self.inner.pause(&topic_partitions);
    }

    fn position(&self, topic_partition: TopicPartition) -> Option<i64> {
        self.inner.position(self.setup.global(topic_partition))
    }

    fn leader_epoch(&self, topic_partition: TopicPartition) -> Option<i32> {
        self.inner.leader_epoch(self.setup.global(topic_partition))
    }

    fn generation(&self) -> Option<i64> {
        self.inner.generation()
    }

    fn lag(&self, topic_partition: TopicPartition) -> Option<u64> {
        self.inner.lag(self.setup.global(topic_partition))
    }

    fn skips_lost_records(&self) -> bool {
        let variations = self.simulation.scenario.variations;
        variations.recreated || variations.truncated
    }

    fn leave(&mut self) -> bool {
        self.inner.leave()
    }
}

impl Transactions for Client {
    fn transactional_id(&self) -> &str {
        self.inner.transactional_id()
    }

    fn fence(&mut self, name: &str) -> Result<(), Failure> {
        self.inject()?;
        self.note("fences another", [0, 0]);
        let outcome = self.inner.fence(name);
        self.answer(outcome)
    }

    fn send(&mut self, record: Outgoing<'_>) -> Result<(), Failure> {
        self.inject()?;
        self.simulation.refuse(&self.client_id, true)?;
        self.inner.send(record)?;
        self.simulation.cluster().continue_run(self.client_id.slot);
        self.sent.push(Sent {
            topic: record.topic,
            partition: record.partition,
            key: record.key.map(<[u8]>::to_vec),
            value: record.value.map(<[u8]>::to_vec),
        });
        self.inject()
    }

    fn commit(&mut self, positions: &[(TopicPartition, i64)]) -> Result<(), Failure> {
        let positions = &*self.global(positions);
        self.inject_at(InjectionPoint::BeforeOffsets)?;
        self.simulation.refuse(&self.client_id, false)?;
        let count = self.sent.len() as i64;
        self.inner
            .send_offsets(positions)
            .inspect_err(|_| self.note("cannot send offsets", [count, 0]))?;
        let has_version = self.sent.iter().any(|sent| sent.topic == Topic::Model);
        self.inject_at(match has_version {
            true => InjectionPoint::BeforeEndOfVersion,
            false => InjectionPoint::BeforeEnd,
        })?;
        self.inner
            .end_commit()
            .inspect_err(|_| self.note("cannot commit", [count, 0]))?;
        self.note("commits", [count, positions.len() as i64]);
        let sent = std::mem::take(&mut self.sent);
        let is_tombstone = |sent: &&Sent| sent.topic == Topic::Changelog && sent.value.is_none();
        let gone = sent.iter().filter(is_tombstone).count() as i64;
        if gone > 0 {
            self.note(EXPIRES, [gone, 0]);
        }
        let counts = self.simulation.counts_of(&sent);
        let tasks = self.simulation.committed_log().commit(
            self.client_id.client,
            sent,
            positions,
            &self.setup.inputs,
        );
        self.simulation.cluster().commit(self.client_id.slot, tasks);
        let outcome = self.inject_at(InjectionPoint::AfterEnd);
        self.simulation
            .committed_log()
            .acknowledge(counts, outcome.is_ok());
        outcome
    }

    fn abort(&mut self) -> Result<(), Failure> {
        self.inject()?;
        let outcome = self.inner.abort();
        self.note("aborts", [self.sent.len() as i64, 0]);
        self.sent.clear();
        self.answer(outcome)
    }
}

impl TopicReader for Client {
    fn replay(
        &mut self,
        topic_partition: TopicPartition,
        from: Option<i64>,
        each: &mut dyn FnMut(Record<'_>),
    ) -> Result<Replayed, Failure> {
        self.inject()?;
        let outcome = self.inner.replay(topic_partition, from, each);
        let number = i64::from(topic_partition.partition);
        match (&outcome, topic_partition.topic) {
            (Ok(Replayed::Whole(end)), Topic::Changelog) => {
                self.note("restores task", [number, *end]);
                let client = self.client_id.client;
                self.simulation
                    .committed_log()
                    .read(client, TaskId(topic_partition.partition));
            }
            (Ok(Replayed::Held(at)), _) => {
                self.note("waits for an open transaction at", [number, *at]);
            }
            (Ok(Replayed::Gone), _) => self.note("finds records deleted in", [number, 0]),
            _ => {}
        }
        self.answer(outcome)
    }

    fn end_offsets(&mut self, topic_partitions: &[TopicPartition]) -> Result<Vec<i64>, Failure> {
        self.inject()?;
        let outcome = self.inner.end_offsets(topic_partitions);
        self.answer(outcome)
    }

    fn topic_id(&mut self, topic: Topic) -> Result<String, Failure> {
        self.inject()?;
        self.inner.topic_id(self.topic(topic))
    }

    fn partitions(&mut self, topic: Topic) -> Result<u32, Failure> {
        self.inject()?;
        let topic = self.topic(topic);
        let known = self.inner.partitions(topic)?;
        Ok(self.simulation.metadata_partitions(topic, known))
    }
}
