//! A small shard over the broker, and clients to look at Kafka from outside.

#![allow(dead_code, missing_docs)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use flockwise_kafka::{KafkaBroker, KafkaSettings, admin};
use flockwise_runtime::batch::Batch;
use flockwise_runtime::broker::{Broker, Failure, Outgoing, Start, Turn};
use flockwise_runtime::topics::{Source, Topic, Topics};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::producer::{BaseRecord, Producer, ThreadedProducer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The broker to test against; says so where there is none.
pub(crate) fn kafka() -> Option<String> {
    let filter = tracing_subscriber::EnvFilter::from_default_env();
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_test_writer()
        .try_init();
    let servers = std::env::var("FLOCKWISE_TEST_KAFKA").ok();
    if servers.is_none() {
        eprintln!(
            "skipped: FLOCKWISE_TEST_KAFKA is not set to host:port of an Apache Kafka for tests \
             (`cargo xtask kafka up` starts one)"
        );
    }
    servers
}

/// Topics of one test: inputs with these partitions, made, and the internal ones.
pub(crate) fn topics(servers: &str, state_partitions: u32, inputs: &[u32]) -> Topics {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let app = format!(
        "test-{}-{}",
        std::process::id(),
        NEXT.fetch_add(1, Ordering::Relaxed)
    );
    let names: Vec<String> = (0..inputs.len()).map(|n| format!("{app}-in{n}")).collect();
    for (name, partitions) in names.iter().zip(inputs) {
        make_topic(servers, name, *partitions);
    }
    let topics = Topics {
        app,
        inputs: names,
        state_partitions,
    };
    let settings = settings(servers, &topics, "admin");
    let made = admin::ensure_topics(&settings, &topics).expect("internal topics");
    assert_eq!(made.len(), Topics::internal().len());
    topics
}

pub(crate) fn make_topic(servers: &str, name: &str, partitions: u32) {
    let admin: AdminClient<DefaultClientContext> = client(servers).create().expect("admin client");
    let topic = NewTopic::new(name, partitions.cast_signed(), TopicReplication::Fixed(1));
    drop(admin.create_topics([&topic], &AdminOptions::new()));
    let consumer = reader(servers, "read_committed");
    for _ in 0..200 {
        let found = consumer
            .fetch_metadata(Some(name), PATIENCE)
            .expect("metadata");
        if found.topics()[0].partitions().len() == partitions as usize {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("topic {name} was not made");
}

pub(crate) fn settings(servers: &str, topics: &Topics, shard: &str) -> KafkaSettings {
    KafkaSettings::new(servers, &topics.app, &format!("{}-{shard}", topics.app))
}

fn client(servers: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", servers);
    config
}

pub(crate) fn reader(servers: &str, isolation_level: &str) -> BaseConsumer {
    client(servers)
        .set("group.id", "outside")
        .set("isolation.level", isolation_level)
        .set("enable.auto.commit", "false")
        .create()
        .expect("reader")
}

/// Puts `values` into a topic, in turn over its partitions.
pub(crate) fn put(
    servers: &str,
    topic: &str,
    partitions: u32,
    values: impl Iterator<Item = String>,
) {
    let producer: ThreadedProducer<_> = client(servers)
        .set("linger.ms", "1")
        .create()
        .expect("producer");
    for (n, value) in values.enumerate() {
        let partition = (n % partitions as usize) as i32;
        let record = BaseRecord::<str, str>::to(topic)
            .partition(partition)
            .payload(&value);
        producer
            .send(record)
            .map_err(|(error, _)| error)
            .expect("sent");
    }
    producer.flush(PATIENCE).expect("delivered");
}

/// Keys and values of every record of a topic, partition by partition.
pub(crate) fn everything(
    servers: &str,
    topic: &str,
    partitions: u32,
    isolation_level: &str,
) -> Vec<(String, String)> {
    let consumer = reader(servers, isolation_level);
    let mut list = TopicPartitionList::new();
    let mut ends = BTreeMap::new();
    for partition in 0..partitions.cast_signed() {
        let (low, high) = consumer
            .fetch_watermarks(topic, partition, PATIENCE)
            .expect("ends");
        list.add_partition_offset(topic, partition, Offset::Offset(low))
            .expect("listed");
        ends.insert(partition, high);
    }
    consumer.assign(&list).expect("assigned");
    let text = |bytes: Option<&[u8]>| String::from_utf8_lossy(bytes.unwrap_or(b"")).into_owned();
    let mut found = Vec::new();
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        if let Some(message) = consumer.poll(Duration::from_millis(50)) {
            let message = message.expect("a record");
            found.push((text(message.key()), text(message.payload())));
            continue;
        }
        let position = consumer.position().expect("position");
        let done = ends.iter().all(|(partition, end)| {
            *end == 0
                || position
                    .find_partition(topic, *partition)
                    .is_some_and(|at| matches!(at.offset(), Offset::Offset(at) if at >= *end))
        });
        if done {
            return found;
        }
    }
    panic!("{topic} could not be read to its end");
}

/// Echoes every input record to the segment changes, its positions in the changelog.
pub(crate) struct Shard {
    pub(crate) broker: KafkaBroker,
    pub(crate) owned: BTreeSet<u32>,
    pub(crate) handled: usize,
    pub(crate) rebalances: Vec<String>,
    inputs: Vec<u32>,
    state_partitions: u32,
    dirty: BTreeMap<Source, i64>,
    batch: Batch,
}

impl Shard {
    pub(crate) fn connect(settings: KafkaSettings, topics: &Topics, inputs: &[u32]) -> Self {
        Self {
            broker: KafkaBroker::connect(settings, topics.clone()).expect("connected"),
            owned: BTreeSet::new(),
            handled: 0,
            rebalances: Vec::new(),
            inputs: inputs.to_vec(),
            state_partitions: topics.state_partitions,
            dirty: BTreeMap::new(),
            batch: Batch::default(),
        }
    }

    /// One turn of the loop; commits when idle or after a batch.
    pub(crate) fn turn(&mut self, patience: Duration) -> Result<(), Failure> {
        let turn = self.broker.poll(patience, 1000, &mut self.batch)?;
        if !matches!(turn, Turn::Records | Turn::Idle) {
            self.rebalances.push(format!("{turn:?}"));
        }
        match turn {
            Turn::Records => {
                self.echo()?;
                self.commit()
            }
            Turn::Idle => Ok(()),
            Turn::Assigned(sources) => self.assigned(&sources),
            Turn::Revoked(sources) => {
                self.commit()?;
                self.revoked(&sources)
            }
            Turn::Lost(sources) => {
                self.broker.abort()?;
                self.dirty.clear();
                self.revoked(&sources)
            }
        }
    }

    /// Turns until `enough`, or for half a minute.
    pub(crate) fn run_until(&mut self, mut enough: impl FnMut(&Self) -> bool) {
        let start = Instant::now();
        while !enough(self) {
            assert!(
                start.elapsed() < PATIENCE,
                "too slow: {:?}",
                self.rebalances
            );
            self.turn(Duration::from_millis(50)).expect("a turn");
        }
    }

    pub(crate) fn leave(&mut self) {
        let start = Instant::now();
        while !self.broker.leave() {
            assert!(start.elapsed() < PATIENCE, "did not leave");
            self.turn(Duration::from_millis(20)).expect("a turn");
        }
    }

    fn echo(&mut self) -> Result<(), Failure> {
        for record in self.batch.records() {
            let Topic::Input(input) = record.source.topic else {
                continue;
            };
            let key = format!("{input}/{}/{}", record.source.partition, record.offset);
            self.broker.send(Outgoing {
                topic: Topic::SegmentChanges,
                partition: record.source.partition % self.state_partitions,
                key: Some(key.as_bytes()),
                value: record.value,
                timestamp_ms: None,
                headers: &[],
            })?;
            self.dirty.insert(record.source, record.offset + 1);
            self.broker.lead(record.source, record.timestamp_ms);
            self.handled += 1;
        }
        Ok(())
    }

    pub(crate) fn commit(&mut self) -> Result<(), Failure> {
        let positions: Vec<_> = std::mem::take(&mut self.dirty).into_iter().collect();
        for (source, position) in &positions {
            let Topic::Input(input) = source.topic else {
                continue;
            };
            let key = format!("{input}/{}", source.partition);
            self.broker.send(Outgoing {
                topic: Topic::Changelog,
                partition: source.partition % self.state_partitions,
                key: Some(key.as_bytes()),
                value: Some(position.to_string().as_bytes()),
                timestamp_ms: None,
                headers: &[],
            })?;
        }
        self.broker.commit(&positions)
    }

    fn assigned(&mut self, sources: &[Source]) -> Result<(), Failure> {
        let new: BTreeSet<u32> = state(sources).collect();
        // Under an eager protocol: what did not come back.
        let gone: Vec<u32> = self.owned.difference(&new).copied().collect();
        if self.rebalances.iter().any(|r| r.starts_with("Revoked")) && !sources.is_empty() {
            let gone: Vec<Source> = gone.iter().flat_map(|p| self.sources_of(*p)).collect();
            self.broker.close(&gone)?;
        }
        let mut reads: Vec<_> = sources
            .iter()
            .filter(|source| source.topic == Topic::Deltas)
            .map(|source| (*source, Start::Latest))
            .collect();
        let added: Vec<u32> = new.difference(&self.owned).copied().collect();
        for partition in added {
            let positions = self.positions(partition)?;
            for source in self.sources_of(partition) {
                let start = match (positions.get(&source), source.topic) {
                    (Some(position), _) => Start::Offset(*position),
                    (None, _) => Start::Earliest,
                };
                reads.push((source, start));
            }
        }
        self.owned = new;
        self.broker.open(&reads)
    }

    /// Eager: everything, kept open until it is known what comes back.
    fn revoked(&mut self, _: &[Source]) -> Result<(), Failure> {
        self.broker.close(&[])
    }

    fn positions(&mut self, partition: u32) -> Result<BTreeMap<Source, i64>, Failure> {
        let mut positions = BTreeMap::new();
        let source = Source {
            topic: Topic::Changelog,
            partition,
        };
        self.broker.replay(source, &mut |record| {
            let text =
                |bytes: Option<&[u8]>| String::from_utf8_lossy(bytes.expect("some")).into_owned();
            let key = text(record.key);
            let (input, partition) = key.split_once('/').expect("a key");
            let source = Source {
                topic: Topic::Input(input.parse().expect("a number")),
                partition: partition.parse().expect("a number"),
            };
            positions.insert(source, text(record.value).parse().expect("a number"));
        })?;
        Ok(positions)
    }

    fn sources_of(&self, state_partition: u32) -> Vec<Source> {
        let mut sources = vec![Source {
            topic: Topic::Repartition,
            partition: state_partition,
        }];
        for (input, partitions) in self.inputs.iter().enumerate() {
            let own = (0..*partitions).filter(|p| p % self.state_partitions == state_partition);
            sources.extend(own.map(|partition| Source {
                topic: Topic::Input(input as u16),
                partition,
            }));
        }
        sources
    }
}

fn state(sources: &[Source]) -> impl Iterator<Item = u32> {
    sources
        .iter()
        .filter(|source| source.topic == Topic::Repartition)
        .map(|source| source.partition)
}
