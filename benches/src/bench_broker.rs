//! The Kafka broker of the measurements, and operations on its topics.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use flockwise_benches::events;
use flockwise_benches::job::PARTITIONS;
use flockwise_benches::workspace;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use xtask::data::generate::GeneratedLoad;
use xtask::kafka::{KafkaCluster, Running};

use crate::process_figures;

/// Timeout of requests and of waiting for a record.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(30);

/// A broker to measure with.
pub(crate) struct Kafka {
    pub(crate) servers: String,
    /// The node, if this process started it.
    running: Option<Running>,
}

/// A producer that sends in the background.
pub(crate) type Sender = ThreadedProducer<DefaultProducerContext>;

/// A cluster of one node.
pub(crate) fn cluster() -> KafkaCluster {
    let directory = workspace("target/bench/kafka");
    KafkaCluster::at(directory).first_port(0).heap("1g")
}

impl Kafka {
    /// Connects to the Kafka that `FLOCKWISE_TEST_KAFKA` names. If it is not set, starts a node, which is stopped on
    /// drop.
    pub(crate) fn start() -> Result<Self> {
        if let Ok(servers) = std::env::var("FLOCKWISE_TEST_KAFKA") {
            return Ok(Self {
                servers,
                running: None,
            });
        }
        eprintln!("starting Kafka");
        let running = cluster().run()?;
        Ok(Self {
            servers: running.servers.plain.clone(),
            running: Some(running),
        })
    }

    /// User and system time of the broker so far, seconds; `None` if this process did not start it.
    pub(crate) fn cpu_seconds(&self) -> Option<f64> {
        let nodes = self.running.as_ref()?.cluster.status();
        process_figures::cpu_seconds(nodes.first()?.1?).ok()
    }

    /// The same since [`Kafka::cpu_seconds`] returned `before`.
    pub(crate) fn cpu_seconds_since(&self, before: Option<f64>) -> Option<f64> {
        Some(self.cpu_seconds()? - before?)
    }

    /// Size of all partitions of a topic on the broker's disk, bytes; `None` if this process did not start the
    /// broker.
    pub(crate) fn bytes_of(&self, topic: &str) -> Option<u64> {
        let data = self.running.as_ref()?.cluster.directory().join("n1/data");
        let folders = (0..PARTITIONS).map(|partition| data.join(format!("{topic}-{partition}")));
        let files = folders
            .filter_map(|folder| fs::read_dir(folder).ok())
            .flatten()
            .flatten();
        let logs = files.filter(|file| file.path().extension().is_some_and(|end| end == "log"));
        let sizes: Vec<u64> = logs
            .filter_map(|log| Some(log.metadata().ok()?.len()))
            .collect();
        (!sizes.is_empty()).then(|| sizes.iter().sum())
    }

    pub(crate) fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.servers);
        config
    }

    /// A consumer that joins no group and reads committed records.
    pub(crate) fn reader(&self) -> Result<BaseConsumer> {
        let consumer = self
            .client()
            .set("group.id", "outside")
            .set("isolation.level", "read_committed")
            .set("enable.auto.commit", "false")
            .set("enable.partition.eof", "true")
            .set("fetch.queue.backoff.ms", "5")
            .create()?;
        Ok(consumer)
    }

    /// A producer with the default partitioner that keeps the order over retries. It sends after `linger_ms`, or at
    /// once if that is 0.
    pub(crate) fn sender(&self, linger_ms: &str, compression: &str) -> Result<Sender> {
        let sender = self
            .client()
            .set("partitioner", "murmur2_random")
            .set("enable.idempotence", "true")
            .set("compression.type", compression)
            .set("linger.ms", linger_ms)
            .set("batch.num.messages", "2000")
            .set("batch.size", "262144")
            .create()?;
        Ok(sender)
    }

    fn admin(&self) -> Result<AdminClient<DefaultClientContext>> {
        Ok(self.client().create()?)
    }

    /// Creates a topic and waits until it exists.
    pub(crate) fn make_topic(&self, name: &str) -> Result<()> {
        let topic = NewTopic::new(name, PARTITIONS.cast_signed(), TopicReplication::Fixed(1));
        let admin = self.admin()?;
        // The call sends the request; the next line waits for its effect.
        drop(admin.create_topics([&topic], &AdminOptions::new()));
        self.partitions(name).map(drop)
    }

    /// Waits until a topic exists. Returns all its partitions, from their beginning.
    pub(crate) fn partitions(&self, topic: &str) -> Result<TopicPartitionList> {
        let consumer = self.reader()?;
        let start = Instant::now();
        loop {
            let partitions = all_partitions(&consumer, topic)?;
            if partitions.count() == PARTITIONS as usize {
                return Ok(partitions);
            }
            ensure!(
                start.elapsed() < TIMEOUT,
                "topic {topic} did not appear in time"
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// A consumer of a topic from its current end on.
    pub(crate) fn listener(&self, topic: &str) -> Result<BaseConsumer> {
        let consumer = self.reader()?;
        let mut ends = TopicPartitionList::new();
        for partition in self.partitions(topic)?.elements() {
            let end = end(&consumer, topic, partition.partition())?;
            ends.add_partition_offset(topic, partition.partition(), Offset::Offset(end))?;
        }
        consumer.assign(&ends)?;
        Ok(consumer)
    }

    /// Deletes all topics with this prefix.
    pub(crate) fn delete_topics(&self, prefix: &str) -> Result<()> {
        let metadata = self.reader()?.client().fetch_metadata(None, TIMEOUT)?;
        let names: Vec<&str> = metadata
            .topics()
            .iter()
            .map(rdkafka::metadata::MetadataTopic::name)
            .filter(|name| name.starts_with(prefix))
            .collect();
        if names.is_empty() {
            return Ok(());
        }
        let admin = self.admin()?;
        drop(admin.delete_topics(&names, &AdminOptions::new()));
        // The broker deletes in the background. Wait, so that the next round does not share the machine with it.
        std::thread::sleep(Duration::from_secs(2));
        Ok(())
    }

    /// Creates a topic and produces every event of a load to it, then those of `more`, keyed by customer and
    /// compressed with zstd.
    pub(crate) fn load(
        &self,
        topic: &str,
        load: &GeneratedLoad,
        mut more: impl Iterator<Item = String>,
    ) -> Result<()> {
        self.make_topic(topic)?;
        eprintln!("loading {} events into {topic}", load.events);
        let producer = self.sender("100", "zstd")?;
        let send = |line: &str| {
            let record = BaseRecord::to(topic)
                .key(events::customer(line)?)
                .payload(line);
            send(&producer, record)
        };
        events::each(load, send)?;
        more.try_for_each(|line| send(&line))?;
        Ok(producer.flush(TIMEOUT)?)
    }
}

/// The end offset of a partition. Retries, since a new partition may have no leader yet.
fn end(consumer: &BaseConsumer, topic: &str, partition: i32) -> Result<i64> {
    let start = Instant::now();
    loop {
        match consumer.fetch_watermarks(topic, partition, TIMEOUT) {
            Ok((_, end)) => return Ok(end),
            Err(error) if start.elapsed() > TIMEOUT => return Err(error.into()),
            Err(_) => std::thread::sleep(Duration::from_millis(50)),
        }
    }
}

/// Sends a record as soon as the producer's queue has room.
pub(crate) fn send(producer: &Sender, mut record: BaseRecord<'_, str, str>) -> Result<()> {
    while let Err((error, unsent)) = producer.send(record) {
        let is_full = error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull);
        ensure!(is_full, "sending: {error}");
        std::thread::sleep(Duration::from_millis(1));
        record = unsent;
    }
    Ok(())
}

/// All partitions of a topic, from their beginning; an empty list if the topic does not exist.
pub(crate) fn all_partitions(consumer: &BaseConsumer, topic: &str) -> Result<TopicPartitionList> {
    let metadata = consumer
        .fetch_metadata(Some(topic), TIMEOUT)
        .context("no metadata")?;
    let mut list = TopicPartitionList::new();
    for found in metadata.topics() {
        for partition in found.partitions() {
            list.add_partition_offset(topic, partition.id(), Offset::Beginning)?;
        }
    }
    Ok(list)
}
