//! A small worker, and clients that inspect Kafka from outside.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use flockwise_kafka::{KafkaBroker, KafkaSettings, admin};
use flockwise_runtime::batch::Batch;
use flockwise_runtime::broker::{
    Failure, GroupConsumer, Outgoing, Start, TopicReader, Transactions, WorkerEvent,
};
use flockwise_runtime::topics::{Topic, TopicPartition, Topics};
use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, NewTopic, ResourceSpecifier, TopicReplication,
};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::producer::{BaseRecord, Producer, ThreadedProducer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The broker to test against. Prints a message if there is none.
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

/// Creates the topics of one test: inputs with these partition counts, and the internal topics.
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
    panic!("topic {name} was not created");
}

/// Makes the brokers set the timestamps of a topic's records. Takes effect after a moment.
pub(crate) fn stamp_by_broker(servers: &str, name: &str) {
    let admin: AdminClient<DefaultClientContext> = client(servers).create().expect("admin client");
    let config = AlterConfig::new(ResourceSpecifier::Topic(name))
        .set("message.timestamp.type", "LogAppendTime");
    drop(admin.alter_configs([&config], &AdminOptions::new()));
}

pub(crate) fn delete_topic(servers: &str, name: &str) {
    let admin: AdminClient<DefaultClientContext> = client(servers).create().expect("admin client");
    drop(admin.delete_topics(&[name], &AdminOptions::new()));
    let consumer = reader(servers, "read_committed");
    eventually(|| {
        let found = consumer.fetch_metadata(Some(name), PATIENCE);
        found.expect("metadata").topics()[0].partitions().is_empty()
    });
}

/// Waits until the condition holds.
pub(crate) fn eventually(mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(
            start.elapsed() < PATIENCE,
            "the condition does not hold in time"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

pub(crate) fn settings(servers: &str, topics: &Topics, worker: &str) -> KafkaSettings {
    KafkaSettings::new(servers, &topics.app, &format!("{}-{worker}", topics.app))
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

/// Writes `values` to a topic, to its partitions in turn.
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
    producer.flush(PATIENCE * 6).expect("delivered");
}

/// Writes records with these timestamps to one partition of a topic.
pub(crate) fn put_timed(
    servers: &str,
    topic: &str,
    partition: i32,
    times_ms: impl Iterator<Item = i64>,
) {
    let producer: ThreadedProducer<_> = client(servers)
        .set("linger.ms", "1")
        .create()
        .expect("producer");
    for time_ms in times_ms {
        let record = BaseRecord::<str, str>::to(topic)
            .partition(partition)
            .timestamp(time_ms)
            .payload("x");
        producer
            .send(record)
            .map_err(|(error, _)| error)
            .expect("sent");
    }
    producer.flush(PATIENCE).expect("delivered");
}

/// Deletes the records before an offset, as retention does.
pub(crate) fn delete_before(servers: &str, topic: &str, partition: i32, offset: i64) {
    let admin: AdminClient<DefaultClientContext> = client(servers).create().expect("admin client");
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, partition, Offset::Offset(offset))
        .expect("listed");
    drop(admin.delete_records(&list, &AdminOptions::new()));
    let consumer = reader(servers, "read_committed");
    for _ in 0..200 {
        let ends = consumer
            .fetch_watermarks(topic, partition, PATIENCE)
            .expect("ends");
        if ends.0 >= offset {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("records of {topic} were not deleted");
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

/// Copies every input record to the segment changes. Keeps its positions in the changelog.
pub(crate) struct Worker {
    pub(crate) broker: KafkaBroker,
    /// The committed next offset of every partition, by task. Uncommitted ones are in `dirty`.
    pub(crate) tasks: BTreeMap<u32, BTreeMap<TopicPartition, i64>>,
    pub(crate) handled: usize,
    pub(crate) aborts: Vec<String>,
    pub(crate) rebalances: Vec<String>,
    suspended: BTreeMap<u32, BTreeMap<TopicPartition, i64>>,
    inputs: Vec<u32>,
    state_partitions: u32,
    dirty: BTreeMap<TopicPartition, i64>,
    batch: Batch,
}

impl Worker {
    pub(crate) fn connect(settings: KafkaSettings, topics: &Topics, inputs: &[u32]) -> Self {
        Self {
            broker: KafkaBroker::connect(settings, topics.clone()).expect("connected"),
            tasks: BTreeMap::new(),
            handled: 0,
            aborts: Vec::new(),
            rebalances: Vec::new(),
            suspended: BTreeMap::new(),
            inputs: inputs.to_vec(),
            state_partitions: topics.state_partitions,
            dirty: BTreeMap::new(),
            batch: Batch::default(),
        }
    }

    /// One turn of the loop. Commits after every batch.
    pub(crate) fn run_once(&mut self, patience: Duration) -> Result<(), Failure> {
        match self.step(patience) {
            Err(Failure::Abort(reason)) => {
                self.aborts.push(reason);
                self.broker.abort()?;
                self.dirty.clear();
                self.reopen()
            }
            other => other,
        }
    }

    fn step(&mut self, patience: Duration) -> Result<(), Failure> {
        let turn = self.broker.poll(patience, 1000, &mut self.batch)?;
        if !matches!(turn, WorkerEvent::Records | WorkerEvent::Idle) {
            self.rebalances.push(format!("{turn:?}"));
        }
        match turn {
            WorkerEvent::Records => {
                self.echo()?;
                self.commit()
            }
            WorkerEvent::Idle => Ok(()),
            WorkerEvent::Assigned(topic_partitions) => self.assigned(&topic_partitions),
            WorkerEvent::Revoked(topic_partitions) => {
                self.commit()?;
                self.close(&topic_partitions, true)
            }
            WorkerEvent::Lost(topic_partitions) => {
                self.broker.abort()?;
                self.dirty.clear();
                self.close(&topic_partitions, false)?;
                self.reopen()
            }
        }
    }

    /// Runs until `enough` holds. Fails after a minute.
    pub(crate) fn run_until(&mut self, mut enough: impl FnMut(&Self) -> bool) {
        let start = Instant::now();
        while !enough(self) {
            assert!(
                start.elapsed() < PATIENCE * 2,
                "slow: {:?}",
                self.rebalances
            );
            self.run_once(Duration::from_millis(50)).expect("a turn");
        }
    }

    pub(crate) fn leave(&mut self) {
        let start = Instant::now();
        while !self.broker.leave() {
            assert!(start.elapsed() < PATIENCE, "did not leave");
            self.run_once(Duration::from_millis(20)).expect("a turn");
        }
    }

    fn echo(&mut self) -> Result<(), Failure> {
        for record in self.batch.records() {
            let Topic::Input(input) = record.topic_partition.topic else {
                continue;
            };
            let key = format!(
                "{input}/{}/{}",
                record.topic_partition.partition, record.offset
            );
            self.broker.send(Outgoing {
                topic: Topic::SegmentChanges,
                partition: record.topic_partition.partition % self.state_partitions,
                key: Some(key.as_bytes()),
                value: record.value,
                headers: &[],
            })?;
            self.dirty.insert(record.topic_partition, record.offset + 1);
            self.broker
                .report_progress(record.topic_partition, record.timestamp_ms);
            self.handled += 1;
        }
        Ok(())
    }

    pub(crate) fn commit(&mut self) -> Result<(), Failure> {
        let positions: Vec<_> = self.dirty.clone().into_iter().collect();
        for (topic_partition, position) in &positions {
            let Topic::Input(input) = topic_partition.topic else {
                continue;
            };
            let key = format!("{input}/{}", topic_partition.partition);
            self.broker.send(Outgoing {
                topic: Topic::Changelog,
                partition: topic_partition.partition % self.state_partitions,
                key: Some(key.as_bytes()),
                value: Some(position.to_string().as_bytes()),
                headers: &[],
            })?;
        }
        self.broker.commit(&positions)?;
        for (topic_partition, position) in std::mem::take(&mut self.dirty) {
            let task = topic_partition.partition % self.state_partitions;
            let task = self.tasks.get_mut(&task).expect("an open task");
            task.insert(topic_partition, position);
        }
        Ok(())
    }

    fn assigned(&mut self, topic_partitions: &[TopicPartition]) -> Result<(), Failure> {
        let mut reads = Vec::new();
        for topic_partition in topic_partitions {
            if topic_partition.topic == Topic::Samples {
                reads.push((*topic_partition, Start::Latest));
                continue;
            }
            if self.tasks.contains_key(&topic_partition.partition) {
                continue;
            }
            let task = match self.suspended.remove(&topic_partition.partition) {
                Some(task) => task,
                None => self.restored(topic_partition.partition)?,
            };
            self.tasks.insert(topic_partition.partition, task);
            reads.extend(self.reads(topic_partition.partition));
        }
        self.suspended.clear();
        self.broker.open(&reads)
    }

    fn close(&mut self, topic_partitions: &[TopicPartition], rest: bool) -> Result<(), Failure> {
        let mut closed = topic_partitions.to_vec();
        for topic_partition in topic_partitions {
            if topic_partition.topic == Topic::Repartition {
                closed.extend(self.sources_of(topic_partition.partition));
                let task = self.tasks.remove(&topic_partition.partition);
                if let Some(task) = task.filter(|_| rest) {
                    self.suspended.insert(topic_partition.partition, task);
                }
            }
        }
        self.broker.close(&closed)
    }

    /// Reopens all tasks at the last commit.
    fn reopen(&mut self) -> Result<(), Failure> {
        let reads: Vec<_> = self
            .tasks
            .keys()
            .flat_map(|task| self.reads(*task))
            .collect();
        self.broker.open(&reads)
    }

    fn reads(&self, task: u32) -> Vec<(TopicPartition, Start)> {
        let positions = &self.tasks[&task];
        let start = |topic_partition| match positions.get(&topic_partition) {
            Some(position) => Start::Offset(*position),
            None => Start::Earliest,
        };
        let topic_partitions = self.sources_of(task).into_iter();
        topic_partitions
            .map(|topic_partition| (topic_partition, start(topic_partition)))
            .collect()
    }

    fn restored(&mut self, partition: u32) -> Result<BTreeMap<TopicPartition, i64>, Failure> {
        let mut positions = BTreeMap::new();
        let topic_partition = TopicPartition {
            topic: Topic::Changelog,
            partition,
        };
        let text =
            |bytes: Option<&[u8]>| String::from_utf8_lossy(bytes.expect("some")).into_owned();
        self.broker.replay(topic_partition, None, &mut |record| {
            let key = text(record.key);
            let (input, partition) = key.split_once('/').expect("a key");
            let topic_partition = TopicPartition {
                topic: Topic::Input(input.parse().expect("a number")),
                partition: partition.parse().expect("a number"),
            };
            positions.insert(
                topic_partition,
                text(record.value).parse().expect("a number"),
            );
        })?;
        Ok(positions)
    }

    fn sources_of(&self, task: u32) -> Vec<TopicPartition> {
        let mut topic_partitions = vec![TopicPartition {
            topic: Topic::Repartition,
            partition: task,
        }];
        for (input, partitions) in self.inputs.iter().enumerate() {
            let own = (0..*partitions).filter(|p| p % self.state_partitions == task);
            topic_partitions.extend(own.map(|partition| TopicPartition {
                topic: Topic::Input(input as u16),
                partition,
            }));
        }
        topic_partitions
    }
}
