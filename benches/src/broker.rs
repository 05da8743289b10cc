//! Kafka, and what is done to it from outside.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use flockwise_benches::events::{self, EVENTS};
use flockwise_benches::job::PARTITIONS;
use flockwise_benches::workspace;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use xtask::kafka::{Cluster, Running};

const PATIENCE: Duration = Duration::from_secs(30);

/// A broker to measure with.
pub(crate) struct Kafka {
    pub(crate) servers: String,
    /// Where it is ours.
    running: Option<Running>,
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
        let directory = workspace("target/bench/kafka");
        let running = Cluster::at(directory).first_port(0).heap("1g").run()?;
        Ok(Self {
            servers: running.servers.plain.clone(),
            running: Some(running),
        })
    }

    /// Its process, where it is ours.
    pub(crate) fn process(&self) -> Option<u32> {
        let nodes = self.running.as_ref()?.cluster.status();
        nodes.first()?.1
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

    fn admin(&self) -> Result<AdminClient<DefaultClientContext>> {
        Ok(self.client().create()?)
    }

    /// Makes an input topic and waits until it is there.
    pub(crate) fn make_topic(&self, name: &str) -> Result<()> {
        let topic = NewTopic::new(name, PARTITIONS.cast_signed(), TopicReplication::Fixed(1));
        let admin = self.admin()?;
        // The request goes out at once; what comes of it is seen below.
        drop(admin.create_topics([&topic], &AdminOptions::new()));
        let consumer = self.reader()?;
        let start = Instant::now();
        while all_partitions(&consumer, name)?.count() < PARTITIONS as usize {
            ensure!(start.elapsed() < PATIENCE, "topic {name} was not made");
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
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
        let admin = self.admin()?;
        drop(admin.delete_topics(&names, &AdminOptions::new()));
        // Deleting goes on in the broker; the next round should not share the machine with it.
        std::thread::sleep(Duration::from_secs(2));
        Ok(())
    }

    /// Puts every event into a new topic under its customer's key, compressed with zstd.
    pub(crate) fn load(&self, topic: &str) -> Result<()> {
        self.make_topic(topic)?;
        eprintln!("loading {EVENTS} events");
        let producer: ThreadedProducer<DefaultProducerContext> = self
            .client()
            .set("compression.type", "zstd")
            .set("partitioner", "murmur2_random")
            .set("linger.ms", "100")
            .set("batch.num.messages", "2000")
            .set("batch.size", "262144")
            .create()?;
        events::each(|line| {
            let customer = events::customer(line).context("an event without a customer")?;
            let mut record = BaseRecord::to(topic).key(customer).payload(line);
            while let Err((error, again)) = producer.send(record) {
                let is_full = error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull);
                ensure!(is_full, "loading: {error}");
                std::thread::sleep(Duration::from_millis(5));
                record = again;
            }
            Ok(())
        })?;
        Ok(producer.flush(PATIENCE)?)
    }

    /// Records of a topic that are committed.
    pub(crate) fn count(&self, topic: &str) -> Result<u64> {
        let consumer = self.reader()?;
        let partitions = all_partitions(&consumer, topic)?;
        consumer.assign(&partitions)?;
        let (mut count, mut ended) = (0, 0);
        while ended < partitions.count() {
            match consumer.poll(PATIENCE).context("counting: nothing comes")? {
                Ok(_) => count += 1,
                Err(KafkaError::PartitionEOF(_)) => ended += 1,
                Err(error) => return Err(error).context("counting"),
            }
        }
        Ok(count)
    }
}

/// Every partition of a topic from its beginning; none where there is no such topic yet.
pub(crate) fn all_partitions(consumer: &BaseConsumer, topic: &str) -> Result<TopicPartitionList> {
    let metadata = consumer.fetch_metadata(Some(topic), PATIENCE)?;
    let mut list = TopicPartitionList::new();
    for found in metadata.topics() {
        for partition in found.partitions() {
            list.add_partition_offset(topic, partition.id(), Offset::Beginning)?;
        }
    }
    Ok(list)
}
