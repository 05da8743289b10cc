//! Kafka as a [`TestBroker`].

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use flockwise_kafka::{KafkaBroker, KafkaSettings, admin};
use flockwise_memory::CommittedRecord;
use flockwise_runtime::broker::Failure;
use flockwise_runtime::topics::{Topic, Topics};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::metadata::MetadataPartition;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ThreadedProducer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use crate::events::InputRecord;
use crate::test_broker::TestBroker;
use crate::{TIMEOUT, eventually};

/// Maximum record size of input topics, bytes. Larger than the largest event that the decoder accepts.
const LARGEST: &str = "8000000";

/// A Kafka cluster with the topics of one pipeline.
pub struct Kafka {
    servers: String,
    topics: Topics,
    /// Uses the pipeline's group id to look up committed offsets. Never joins the group.
    group: BaseConsumer,
    /// Reads end offsets including open transactions. A commit becomes visible on different partitions at different
    /// times, so a record that is not visible yet must not count as absent.
    uncommitted: BaseConsumer,
}

/// Bootstrap servers of the test Kafka, from `FLOCKWISE_TEST_KAFKA`; `None`, with a message on stderr, if it is not
/// set.
#[must_use]
pub fn servers() -> Option<String> {
    let servers = std::env::var("FLOCKWISE_TEST_KAFKA").ok();
    if servers.is_none() {
        eprintln!(
            "skipped: FLOCKWISE_TEST_KAFKA is not set to host:port of an Apache Kafka for tests \
             (`cargo xtask kafka up` starts one)"
        );
    }
    servers
}

/// A lock that a test with its own cluster holds. Two clusters that start at once would choose the same free ports,
/// and a node that is down leaves its port free. `None`, with a message on stderr, if there is no test Kafka.
#[must_use]
pub fn one_cluster_at_a_time() -> Option<MutexGuard<'static, ()>> {
    static ONE: Mutex<()> = Mutex::new(());
    servers()?;
    Some(ONE.lock().unwrap_or_else(PoisonError::into_inner))
}

impl Kafka {
    /// Connects to a pipeline's topics, which need not exist yet.
    ///
    /// # Panics
    /// If a client cannot be created.
    #[must_use]
    pub fn of(servers: &str, topics: Topics) -> Self {
        Self {
            group: consumer(servers, &topics.app, "read_committed"),
            uncommitted: consumer(servers, &topics.app, "read_uncommitted"),
            servers: servers.to_owned(),
            topics,
        }
    }

    /// Creates an input topic for records of up to `LARGEST` bytes, without retention.
    ///
    /// # Panics
    /// If the topic does not appear in time.
    pub fn create_input(&self, name: &str, partitions: u32) {
        let client = self.admin();
        // -1: the broker's default replication factor.
        let replication = TopicReplication::Fixed(-1);
        let topic = NewTopic::new(name, partitions.cast_signed(), replication)
            .set("max.message.bytes", LARGEST)
            // The events have old timestamps, which retention would delete.
            .set("retention.ms", "-1");
        // The call sends the request. Its answer is not needed, since the next line waits for the topic.
        drop(client.create_topics([&topic], &AdminOptions::new()));
        eventually("the input topic is made", || {
            self.partitions(name) == partitions as usize
        });
    }

    /// Deletes an input topic and creates a new one with its name.
    ///
    /// # Panics
    /// If the topic does not disappear or appear in time.
    pub fn recreate_input(&self, name: &str, partitions: u32) {
        // Kept alive until the topic is gone: dropping the client drops requests that it has not sent yet.
        let client = self.admin();
        drop(client.delete_topics(&[name], &AdminOptions::new()));
        eventually("the input topic is gone", || self.partitions(name) == 0);
        self.create_input(name, partitions);
    }

    fn admin(&self) -> AdminClient<DefaultClientContext> {
        config(&self.servers).create().expect("an admin client")
    }

    fn partitions(&self, name: &str) -> usize {
        let found = self.group.fetch_metadata(Some(name), TIMEOUT);
        found.expect("metadata").topics()[0].partitions().len()
    }

    /// The leader and the replicas of the first partition of an input.
    ///
    /// # Panics
    /// If no broker answers.
    #[must_use]
    pub fn replicas(&self, input: u16) -> (i32, Vec<i32>) {
        self.first_partition(input, |partition| {
            (partition.leader(), partition.replicas().to_vec())
        })
    }

    /// Number of in-sync replicas of the first partition of an input.
    ///
    /// # Panics
    /// If no broker answers.
    #[must_use]
    pub fn in_sync(&self, input: u16) -> usize {
        self.first_partition(input, |partition| partition.isr().len())
    }

    fn first_partition<T>(&self, input: u16, look: impl Fn(&MetadataPartition) -> T) -> T {
        let name = self.topics.name(Topic::Input(input));
        let metadata = answered(|timeout| self.group.fetch_metadata(Some(&name), timeout));
        look(&metadata.topics()[0].partitions()[0])
    }

    /// The first available offset and the end offset of each partition, including open transactions.
    fn end_offsets(&self, topic: Topic) -> Vec<(i64, i64)> {
        let name = self.topics.name(topic);
        let metadata = answered(|timeout| self.group.fetch_metadata(Some(&name), timeout));
        let count = metadata.topics()[0].partitions().len();
        let ends = |partition| {
            answered(|timeout| self.uncommitted.fetch_watermarks(&name, partition, timeout))
        };
        (0..count as i32).map(ends).collect()
    }

    /// The group's committed offset of each partition. Fails while a commit is in progress.
    fn positions(&self, topic: Topic, count: usize) -> Result<Vec<Option<i64>>, KafkaError> {
        let name = self.topics.name(topic);
        let mut list = TopicPartitionList::new();
        list.add_partition_range(&name, 0, count as i32 - 1);
        let found = self.group.committed_offsets(list, Duration::from_secs(5))?;
        let offset = |partition| match found.find_partition(&name, partition)?.offset() {
            Offset::Offset(offset) => Some(offset),
            _ => None,
        };
        Ok((0..count as i32).map(offset).collect())
    }

    /// Number of input records that the group has committed, over all inputs.
    ///
    /// # Errors
    /// While a commit is in progress.
    pub fn processed(&self) -> Result<u64, KafkaError> {
        let mut processed = 0;
        for input in 0..self.topics.inputs.len() as u16 {
            let count = self.end_offsets(Topic::Input(input)).len();
            let positions = self.positions(Topic::Input(input), count)?;
            processed += positions.into_iter().flatten().sum::<i64>().cast_unsigned();
        }
        Ok(processed)
    }

    /// True if the group has committed an input exactly to its end. Inputs hold no transaction markers. A position beyond
    /// the end belongs to a topic that was deleted, or to records that were truncated.
    fn is_consumed(&self, input: Topic) -> bool {
        let ends = self.end_offsets(input);
        let Ok(positions) = self.positions(input, ends.len()) else {
            return false;
        };
        let mut pairs = ends.iter().zip(positions);
        pairs.all(|((start, end), position)| position.unwrap_or(*start) == *end)
    }

    /// True if the group has committed all records of a topic that is written in transactions.
    fn is_read(&self, topic: Topic) -> bool {
        let ends = self.end_offsets(topic);
        let Ok(positions) = self.positions(topic, ends.len()) else {
            return false;
        };
        let rest: Vec<Option<(i64, i64)>> = ends
            .iter()
            .zip(positions)
            .map(|((start, end), position)| (position.unwrap_or(*start).max(*start), *end))
            .map(|(from, end)| (from < end).then_some((from, end)))
            .collect();
        // The rest may be transaction markers only, which are never committed as read.
        self.fetch(topic, &rest).iter().all(Vec::is_empty)
    }

    /// The committed records of these ranges, by partition.
    fn fetch(&self, topic: Topic, ranges: &[Option<(i64, i64)>]) -> Vec<Vec<CommittedRecord>> {
        let mut found = vec![Vec::new(); ranges.len()];
        let name = self.topics.name(topic);
        let mut list = TopicPartitionList::new();
        for (partition, range) in (0..).zip(ranges) {
            if let Some((from, _)) = range {
                list.add_partition_offset(&name, partition, Offset::Offset(*from))
                    .expect("listed");
            }
        }
        if list.count() == 0 {
            return found;
        }
        let reader = consumer(&self.servers, "outside", "read_committed");
        reader.assign(&list).expect("assigned");
        let start = Instant::now();
        while start.elapsed() < TIMEOUT {
            match reader.poll(Duration::from_millis(20)) {
                Some(Ok(message)) => found[message.partition() as usize].push(record(&message)),
                // Connection errors: the client reconnects.
                Some(Err(_)) => {}
                None if is_at_end(&reader, &name, ranges) => return found,
                None => {}
            }
        }
        let position = reader.position();
        panic!(
            "{name} was not read to its end in time: expected {ranges:?}, position {position:?}"
        );
    }
}

impl TestBroker for Kafka {
    type Client = KafkaBroker;

    fn create(topics: Topics, input_partitions: &[u32]) -> Option<Self> {
        let kafka = Self::of(&servers()?, topics);
        for (name, partitions) in kafka.topics.inputs.iter().zip(input_partitions) {
            kafka.create_input(name, *partitions);
        }
        let settings = KafkaSettings::new(&kafka.servers, &kafka.topics.app, "stage");
        admin::ensure_topics(&settings, &kafka.topics).expect("internal topics");
        Some(kafka)
    }

    fn join(&self, member: &str) -> Result<KafkaBroker, Failure> {
        let app = &self.topics.app;
        let settings = KafkaSettings::new(&self.servers, app, &format!("{app}-{member}"));
        KafkaBroker::connect(settings, self.topics.clone())
    }

    fn put(&self, records: &[InputRecord]) {
        let producer: ThreadedProducer<_> = config(&self.servers)
            .set("linger.ms", "5")
            .set("message.max.bytes", LARGEST)
            .set("queue.buffering.max.messages", "1000000")
            .create()
            .expect("a producer");
        for record in records {
            let topic = self.topics.name(Topic::Input(record.input));
            send(&producer, &topic, record);
        }
        producer.flush(TIMEOUT).expect("delivered");
    }

    fn read(&self, topic: Topic) -> Vec<Vec<CommittedRecord>> {
        let ends = self.end_offsets(topic);
        let ranges = ends
            .into_iter()
            .map(|(start, end)| (start < end).then_some((start, end)));
        self.fetch(topic, &ranges.collect::<Vec<_>>())
    }

    fn committed(&self, topic: Topic, partition: u32) -> Option<i64> {
        let positions = self
            .positions(topic, partition as usize + 1)
            .expect("positions");
        positions.last().copied().flatten()
    }

    fn is_drained(&self) -> bool {
        // Inputs first: once they are committed, so are the records that they caused on the other topics.
        let mut inputs = (0..self.topics.inputs.len() as u16).map(Topic::Input);
        inputs.all(|input| self.is_consumed(input))
            && [Topic::Repartition, Topic::Samples]
                .into_iter()
                .all(|topic| self.is_read(topic))
    }

    fn fence_member(&self, member: &str) {
        let producer: BaseProducer = config(&self.servers)
            .set("transactional.id", format!("{}-{member}", self.topics.app))
            .create()
            .expect("a producer");
        producer.init_transactions(TIMEOUT).expect("taken over");
    }
}

/// Asks until a broker answers. Leaders may be moving, and for a moment no broker may be available.
fn answered<T>(mut ask: impl FnMut(Duration) -> Result<T, KafkaError>) -> T {
    let start = Instant::now();
    loop {
        match ask(Duration::from_secs(5)) {
            Ok(answer) => return answer,
            Err(error) => assert!(start.elapsed() < TIMEOUT, "{error}"),
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn config(servers: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", servers);
    config
}

fn consumer(servers: &str, group: &str, isolation: &str) -> BaseConsumer {
    config(servers)
        .set("group.id", group)
        .set("isolation.level", isolation)
        .set("enable.auto.commit", "false")
        .set("fetch.wait.max.ms", "20")
        .create()
        .expect("a consumer")
}

fn send(
    producer: &ThreadedProducer<rdkafka::producer::DefaultProducerContext>,
    topic: &str,
    record: &InputRecord,
) {
    let mut outgoing = BaseRecord::<[u8], [u8]>::to(topic)
        .partition(record.partition.cast_signed())
        .timestamp(record.timestamp_ms)
        .key(&record.key);
    outgoing.payload = record.value.as_deref();
    while let Err((error, unsent)) = producer.send(outgoing) {
        let code = error.rdkafka_error_code();
        assert_eq!(code, Some(RDKafkaErrorCode::QueueFull), "{error}");
        outgoing = unsent;
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn is_at_end(reader: &BaseConsumer, name: &str, ranges: &[Option<(i64, i64)>]) -> bool {
    let position = reader.position().expect("positions");
    (0..).zip(ranges).all(|(partition, range)| {
        range.is_none_or(|(_, end)| {
            let at = position
                .find_partition(name, partition)
                .map(|found| found.offset());
            matches!(at, Some(Offset::Offset(at)) if at >= end)
        })
    })
}

fn record(message: &BorrowedMessage<'_>) -> CommittedRecord {
    let headers = message.headers().map(|headers| {
        let headers = headers.iter();
        headers.map(|header| {
            (
                header.key.to_owned(),
                header.value.unwrap_or_default().to_vec(),
            )
        })
    });
    CommittedRecord {
        offset: message.offset(),
        timestamp_ms: message.timestamp().to_millis().unwrap_or(-1),
        key: message.key().map(<[u8]>::to_vec),
        value: message.payload().map(<[u8]>::to_vec),
        headers: headers.map(Iterator::collect).unwrap_or_default(),
    }
}
