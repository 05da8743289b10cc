//! A worker's client in a world where any call may be the last, or take long.

use std::rc::Rc;
use std::time::Duration;

use flockwise_memory::MemoryClient;
use flockwise_runtime::batch::{Batch, Record};
use flockwise_runtime::broker::{
    Failure, GroupConsumer, Outgoing, Replayed, Start, TopicReader, Transactions, WorkerEvent,
};
use flockwise_runtime::topics::{Topic, TopicPartition};

use super::cluster::{ClientId, Place};
use super::committed_log::Sent;
use super::setup::Setup;
use super::world::World;

/// Customers of whom nothing is left are gone for good.
pub(super) const LETS_GO: &str = "has let customers go";

/// A client of the simulated cluster.
pub(super) struct Client {
    world: Rc<World>,
    client_id: ClientId,
    setup: Setup,
    inner: MemoryClient,
    /// Records of the open transaction.
    sent: Vec<Sent>,
    /// What a poll has brought, under the world's numbers of inputs.
    polled: Batch,
}

impl Client {
    pub(super) fn new(
        world: Rc<World>,
        client_id: ClientId,
        setup: Setup,
        inner: MemoryClient,
    ) -> Self {
        Self {
            world,
            client_id,
            setup,
            inner,
            sent: Vec::new(),
            polled: Batch::default(),
        }
    }

    /// Positions under the world's numbers of inputs.
    fn global<T: Copy>(&self, places: &[(TopicPartition, T)]) -> Vec<(TopicPartition, T)> {
        let global = |(source, at): &(TopicPartition, T)| (self.setup.global(*source), *at);
        places.iter().map(global).collect()
    }

    /// A topic under the world's number of it.
    fn topic(&self, topic: Topic) -> Topic {
        let partition = 0;
        self.setup.global(TopicPartition { topic, partition }).topic
    }

    /// Between two things that a client does, anything may happen to it.
    fn inject(&self) -> Result<(), Failure> {
        self.befall_at(Place::Anywhere)
    }

    fn befall_at(&self, place: Place) -> Result<(), Failure> {
        self.world.inject(&self.client_id, place)
    }

    fn note(&self, what: &'static str, numbers: [i64; 2]) {
        self.world.note(Some(self.client_id.slot), what, numbers);
    }

    /// What a call came to, unless something happens before the caller hears of it.
    fn hear<T>(&self, outcome: Result<T, Failure>) -> Result<T, Failure> {
        self.inject()?;
        outcome
    }
}

impl GroupConsumer for Client {
    fn poll(
        &mut self,
        patience: Duration,
        limit: usize,
        batch: &mut Batch,
    ) -> Result<WorkerEvent, Failure> {
        self.inject()?;
        let outcome = self.inner.poll(patience, limit, &mut self.polled);
        batch.clear();
        for record in self.polled.records() {
            let source = self.setup.local(record.source);
            batch.push(Record { source, ..record });
        }
        match &outcome {
            Ok(WorkerEvent::Records) => self.note("polls records", [batch.len() as i64, 0]),
            Ok(WorkerEvent::Assigned(sources)) => {
                self.note("is assigned", [sources.len() as i64, 0])
            }
            Ok(WorkerEvent::Revoked(sources)) => self.note("hands over", [sources.len() as i64, 0]),
            Ok(WorkerEvent::Lost(sources)) => self.note("has lost", [sources.len() as i64, 0]),
            Ok(WorkerEvent::Idle) => {}
            Err(_) => self.note("cannot poll", [0, 0]),
        }
        let is_plain = matches!(outcome, Ok(WorkerEvent::Records | WorkerEvent::Idle));
        self.world
            .cluster()
            .begin_turn(self.client_id.slot, is_plain);
        self.hear(outcome)
    }

    fn open(&mut self, reads: &[(TopicPartition, Start)]) -> Result<(), Failure> {
        self.inject()?;
        let outcome = self.inner.open(&self.global(reads));
        self.hear(outcome)
    }

    fn close(&mut self, sources: &[TopicPartition]) -> Result<(), Failure> {
        self.inject()?;
        let sources: Vec<TopicPartition> =
            sources.iter().map(|one| self.setup.global(*one)).collect();
        let outcome = self.inner.close(&sources);
        self.hear(outcome)
    }

    fn report_progress(&mut self, source: TopicPartition, event_time_ms: i64) {
        self.inner
            .report_progress(self.setup.global(source), event_time_ms);
    }

    fn pause(&mut self, sources: &[TopicPartition]) {
        let sources: Vec<TopicPartition> =
            sources.iter().map(|one| self.setup.global(*one)).collect();
        self.inner.pause(&sources);
    }

    fn position(&self, source: TopicPartition) -> Option<i64> {
        self.inner.position(self.setup.global(source))
    }

    fn leader_epoch(&self, source: TopicPartition) -> Option<i32> {
        self.inner.leader_epoch(self.setup.global(source))
    }

    fn generation(&self) -> Option<i64> {
        self.inner.generation()
    }

    fn lag(&self, source: TopicPartition) -> Option<u64> {
        self.inner.lag(self.setup.global(source))
    }

    fn skips_lost_records(&self) -> bool {
        let variations = self.world.scenario.variations;
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
        self.note("evicts another", [0, 0]);
        let outcome = self.inner.fence(name);
        self.hear(outcome)
    }

    fn send(&mut self, record: Outgoing<'_>) -> Result<(), Failure> {
        self.inject()?;
        self.world.refuse(&self.client_id, true)?;
        self.inner.send(record)?;
        self.world.cluster().go_on(self.client_id.slot);
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
        self.befall_at(Place::BeforeOffsets)?;
        self.world.refuse(&self.client_id, false)?;
        let count = self.sent.len() as i64;
        self.inner
            .send_offsets(positions)
            .inspect_err(|_| self.note("cannot send offsets", [count, 0]))?;
        let has_version = self.sent.iter().any(|sent| sent.topic == Topic::Model);
        self.befall_at(match has_version {
            true => Place::BeforeEndOfVersion,
            false => Place::BeforeEnd,
        })?;
        self.inner
            .end_commit()
            .inspect_err(|_| self.note("cannot commit", [count, 0]))?;
        self.note("commits", [count, positions.len() as i64]);
        let sent = std::mem::take(&mut self.sent);
        let is_tombstone = |sent: &&Sent| sent.topic == Topic::Changelog && sent.value.is_none();
        let gone = sent.iter().filter(is_tombstone).count() as i64;
        if gone > 0 {
            self.note(LETS_GO, [gone, 0]);
        }
        let counts = self.world.counts_of(&sent);
        let tasks = self.world.committed_log().commit(
            self.client_id.client,
            sent,
            positions,
            &self.setup.inputs,
        );
        self.world.cluster().commit(self.client_id.slot, tasks);
        let outcome = self.befall_at(Place::AfterEnd);
        self.world.committed_log().hear(counts, outcome.is_ok());
        outcome
    }

    fn abort(&mut self) -> Result<(), Failure> {
        self.inject()?;
        let outcome = self.inner.abort();
        self.note("aborts", [self.sent.len() as i64, 0]);
        self.sent.clear();
        self.hear(outcome)
    }
}

impl TopicReader for Client {
    fn replay(
        &mut self,
        source: TopicPartition,
        from: Option<i64>,
        each: &mut dyn FnMut(Record<'_>),
    ) -> Result<Replayed, Failure> {
        self.inject()?;
        let outcome = self.inner.replay(source, from, each);
        let number = i64::from(source.partition);
        match (&outcome, source.topic) {
            (Ok(Replayed::Whole(end)), Topic::Changelog) => {
                self.note("restores task", [number, *end]);
                let client = self.client_id.client;
                self.world.committed_log().read(client, source.partition);
            }
            (Ok(Replayed::Held(at)), _) => self.note("is held back at", [number, *at]),
            (Ok(Replayed::Gone), _) => self.note("finds nothing of", [number, 0]),
            _ => {}
        }
        self.hear(outcome)
    }

    fn end_offsets(&mut self, sources: &[TopicPartition]) -> Result<Vec<i64>, Failure> {
        self.inject()?;
        let outcome = self.inner.end_offsets(sources);
        self.hear(outcome)
    }

    fn topic_id(&mut self, topic: Topic) -> Result<String, Failure> {
        self.inject()?;
        self.inner.topic_id(self.topic(topic))
    }

    fn partitions(&mut self, topic: Topic) -> Result<u32, Failure> {
        self.inject()?;
        let topic = self.topic(topic);
        let known = self.inner.partitions(topic)?;
        Ok(self.world.as_metadata_has_it(topic, known))
    }
}
