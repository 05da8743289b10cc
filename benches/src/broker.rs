//! Kafka, and what is done to it from outside.

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
use xtask::data::generate::Load;
use xtask::kafka::{Cluster, Running};

use crate::probe;

/// How long Kafka may take to answer, and a record to come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A broker to measure with.
pub(crate) struct Kafka {
    pub(crate) servers: String,
    /// Where it is ours.
    running: Option<Running>,
}

/// Sends in the background.
pub(crate) type Sender = ThreadedProducer<DefaultProducerContext>;

/// One node of our own.
pub(crate) fn cluster() -> Cluster {
    let directory = workspace("target/bench/kafka");
    Cluster::at(directory).first_port(0).heap("1g")
}

impl Kafka {
    /// The one that `FLOCKWISE_TEST_KAFKA` names, or one node of our own until this is dropped.
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

    /// User and system time of the broker so far, where it is ours.
    pub(crate) fn cpu_seconds(&self) -> Option<f64> {
        let nodes = self.running.as_ref()?.cluster.status();
        probe::cpu_seconds(nodes.first()?.1?).ok()
    }

    /// The same since [`Kafka::cpu_seconds`] said `before`.
    pub(crate) fn cpu_seconds_since(&self, before: Option<f64>) -> Option<f64> {
        Some(self.cpu_seconds()? - before?)
    }

    /// What a topic takes on the broker's disk, all partitions, where it is ours.
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

    /// A consumer that joins nothing and sees what is committed.
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

    /// A producer that chooses partitions as every Kafka client does, keeps the order whatever has to
    /// be sent again, and sends at once or, to be cheaper, after so many milliseconds.
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

    /// Makes a topic and waits until it is there.
    pub(crate) fn make_topic(&self, name: &str) -> Result<()> {
        let topic = NewTopic::new(name, PARTITIONS.cast_signed(), TopicReplication::Fixed(1));
        let admin = self.admin()?;
        // The request goes out at once; what comes of it is seen below.
        drop(admin.create_topics([&topic], &AdminOptions::new()));
        self.partitions(name).map(drop)
    }

    /// Every partition of a topic from its beginning, once the topic is there.
    pub(crate) fn partitions(&self, topic: &str) -> Result<TopicPartitionList> {
        let consumer = self.reader()?;
        let start = Instant::now();
        loop {
            let partitions = all_partitions(&consumer, topic)?;
            if partitions.count() == PARTITIONS as usize {
                return Ok(partitions);
            }
            ensure!(start.elapsed() < PATIENCE, "there is no topic {topic}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// A consumer of what comes into a topic from now on.
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

    /// Deletes the topics whose names start with this.
    pub(crate) fn delete_topics(&self, prefix: &str) -> Result<()> {
        let metadata = self.reader()?.client().fetch_metadata(None, PATIENCE)?;
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
        // Deleting goes on in the broker; the next round should not share the machine with it.
        std::thread::sleep(Duration::from_secs(2));
        Ok(())
    }

    /// Puts every event of a load into a new topic under its customer's key, compressed with zstd, and
    /// after them `more`.
    pub(crate) fn load(
        &self,
        topic: &str,
        load: &Load,
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
        Ok(producer.flush(PATIENCE)?)
    }
}

/// The end of a partition, which may have been made a moment ago and have no leader yet.
fn end(consumer: &BaseConsumer, topic: &str, partition: i32) -> Result<i64> {
    let start = Instant::now();
    loop {
        match consumer.fetch_watermarks(topic, partition, PATIENCE) {
            Ok((_, end)) => return Ok(end),
            Err(error) if start.elapsed() > PATIENCE => return Err(error.into()),
            Err(_) => std::thread::sleep(Duration::from_millis(50)),
        }
    }
}

/// Sends a record, as soon as there is room.
pub(crate) fn send(producer: &Sender, mut record: BaseRecord<'_, str, str>) -> Result<()> {
    while let Err((error, again)) = producer.send(record) {
        let is_full = error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull);
        ensure!(is_full, "sending: {error}");
        std::thread::sleep(Duration::from_millis(1));
        record = again;
    }
    Ok(())
}

/// Every partition of a topic from its beginning; none where there is no such topic yet.
pub(crate) fn all_partitions(consumer: &BaseConsumer, topic: &str) -> Result<TopicPartitionList> {
    let metadata = consumer
        .fetch_metadata(Some(topic), PATIENCE)
        .context("no metadata")?;
    let mut list = TopicPartitionList::new();
    for found in metadata.topics() {
        for partition in found.partitions() {
            list.add_partition_offset(topic, partition.id(), Offset::Beginning)?;
        }
    }
    Ok(list)
}
