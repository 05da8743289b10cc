//! A shard's client in a world where any call may be the last, or take long.

use std::rc::Rc;
use std::time::Duration;

use flockwise_memory::MemoryClient;
use flockwise_runtime::batch::{Batch, Record};
use flockwise_runtime::broker::{Broker, Failure, Outgoing, Replayed, Start, WorkerEvent};
use flockwise_runtime::topics::{Source, Topic};

use super::ledger::Sent;
use super::setup::Setup;
use super::staff::{Place, Post};
use super::world::World;

/// Customers of whom nothing is left are gone for good.
pub(super) const LETS_GO: &str = "has let customers go";

/// A client of the simulated cluster.
pub(super) struct Client {
    world: Rc<World>,
    post: Post,
    setup: Setup,
    inner: MemoryClient,
    /// Records of the open transaction.
    sent: Vec<Sent>,
    /// What a poll has brought, under the world's numbers of inputs.
    polled: Batch,
}

impl Client {
    pub(super) fn new(world: Rc<World>, post: Post, setup: Setup, inner: MemoryClient) -> Self {
        Self {
            world,
            post,
            setup,
            inner,
            sent: Vec::new(),
            polled: Batch::default(),
        }
    }

    /// Positions under the world's numbers of inputs.
    fn global<T: Copy>(&self, places: &[(Source, T)]) -> Vec<(Source, T)> {
        let global = |(source, at): &(Source, T)| (self.setup.global(*source), *at);
        places.iter().map(global).collect()
    }

    /// A topic under the world's number of it.
    fn topic(&self, topic: Topic) -> Topic {
        let partition = 0;
        self.setup.global(Source { topic, partition }).topic
    }

    /// Between two things that a client does, anything may happen to it.
    fn befall(&self) -> Result<(), Failure> {
        self.befall_at(Place::Anywhere)
    }

    fn befall_at(&self, place: Place) -> Result<(), Failure> {
        self.world.befall(&self.post, place)
    }

    fn note(&self, what: &'static str, numbers: [i64; 2]) {
        self.world.note(Some(self.post.seat), what, numbers);
    }

    /// What a call came to, unless something happens before the caller hears of it.
    fn hear<T>(&self, outcome: Result<T, Failure>) -> Result<T, Failure> {
        self.befall()?;
        outcome
    }
}

impl Broker for Client {
    fn poll(
        &mut self,
        patience: Duration,
        limit: usize,
        batch: &mut Batch,
    ) -> Result<WorkerEvent, Failure> {
        self.befall()?;
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
        self.world.staff().begin_turn(self.post.seat, is_plain);
        self.hear(outcome)
    }

    fn open(&mut self, reads: &[(Source, Start)]) -> Result<(), Failure> {
        self.befall()?;
        let outcome = self.inner.open(&self.global(reads));
        self.hear(outcome)
    }

    fn close(&mut self, sources: &[Source]) -> Result<(), Failure> {
        self.befall()?;
        let sources: Vec<Source> = sources.iter().map(|one| self.setup.global(*one)).collect();
        let outcome = self.inner.close(&sources);
        self.hear(outcome)
    }

    fn report_progress(&mut self, source: Source, event_time_ms: i64) {
        self.inner
            .report_progress(self.setup.global(source), event_time_ms);
    }

    fn pause(&mut self, sources: &[Source]) {
        let sources: Vec<Source> = sources.iter().map(|one| self.setup.global(*one)).collect();
        self.inner.pause(&sources);
    }

    fn position(&self, source: Source) -> Option<i64> {
        self.inner.position(self.setup.global(source))
    }

    fn leader_epoch(&self, source: Source) -> Option<i32> {
        self.inner.leader_epoch(self.setup.global(source))
    }

    fn generation(&self) -> Option<i64> {
        self.inner.generation()
    }

    fn replay(
        &mut self,
        source: Source,
        from: Option<i64>,
        each: &mut dyn FnMut(Record<'_>),
    ) -> Result<Replayed, Failure> {
        self.befall()?;
        let outcome = self.inner.replay(source, from, each);
        let number = i64::from(source.partition);
        match (&outcome, source.topic) {
            (Ok(Replayed::Whole(end)), Topic::Changelog) => {
                self.note("restores task", [number, *end]);
                let client = self.post.client;
                self.world.ledger().read(client, source.partition);
            }
            (Ok(Replayed::Held(at)), _) => self.note("is held back at", [number, *at]),
            (Ok(Replayed::Gone), _) => self.note("finds nothing of", [number, 0]),
            _ => {}
        }
        self.hear(outcome)
    }

    fn end_offsets(&mut self, sources: &[Source]) -> Result<Vec<i64>, Failure> {
        self.befall()?;
        let outcome = self.inner.end_offsets(sources);
        self.hear(outcome)
    }

    fn topic_id(&mut self, topic: Topic) -> Result<String, Failure> {
        self.befall()?;
        self.inner.topic_id(self.topic(topic))
    }

    fn transactional_id(&self) -> &str {
        self.inner.transactional_id()
    }

    fn fence(&mut self, name: &str) -> Result<(), Failure> {
        self.befall()?;
        self.note("evicts another", [0, 0]);
        let outcome = self.inner.fence(name);
        self.hear(outcome)
    }

    fn send(&mut self, record: Outgoing<'_>) -> Result<(), Failure> {
        self.befall()?;
        self.world.refuse(&self.post, true)?;
        self.inner.send(record)?;
        self.world.staff().go_on(self.post.seat);
        self.sent.push(Sent {
            topic: record.topic,
            partition: record.partition,
            key: record.key.map(<[u8]>::to_vec),
            value: record.value.map(<[u8]>::to_vec),
        });
        self.befall()
    }

    fn commit(&mut self, positions: &[(Source, i64)]) -> Result<(), Failure> {
        let positions = &*self.global(positions);
        self.befall_at(Place::BeforeOffsets)?;
        self.world.refuse(&self.post, false)?;
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
        let tasks =
            self.world
                .ledger()
                .commit(self.post.client, sent, positions, &self.setup.inputs);
        self.world.staff().commit(self.post.seat, tasks);
        let outcome = self.befall_at(Place::AfterEnd);
        self.world.ledger().hear(counts, outcome.is_ok());
        outcome
    }

    fn abort(&mut self) -> Result<(), Failure> {
        self.befall()?;
        let outcome = self.inner.abort();
        self.note("aborts", [self.sent.len() as i64, 0]);
        self.sent.clear();
        self.hear(outcome)
    }

    fn partitions(&mut self, topic: Topic) -> Result<u32, Failure> {
        self.befall()?;
        let topic = self.topic(topic);
        let known = self.inner.partitions(topic)?;
        Ok(self.world.as_metadata_has_it(topic, known))
    }

    fn lag(&self, source: Source) -> Option<u64> {
        self.inner.lag(self.setup.global(source))
    }

    fn skips_lost_records(&self) -> bool {
        let twists = self.world.scenario.twists;
        twists.recreated || twists.truncated
    }

    fn leave(&mut self) -> bool {
        self.inner.leave()
    }
}
