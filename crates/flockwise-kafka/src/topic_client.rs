//! A client outside the group that reads a topic to its end, or sends a record.

use std::time::Duration;

use flockwise_runtime::batch::Record;
use flockwise_runtime::broker::{Failure, Replayed};
use flockwise_runtime::topics::{Topic, TopicPartition, Topics};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseRecord, Producer};

use crate::admin::committed;
use crate::classify_error;
use crate::client_context::KafkaContext;
use crate::clients;
use crate::partition_replay::ReplayRequest;
use crate::replay::Replayer;
use crate::settings::KafkaSettings;

/// Reads committed records of a pipeline's topics and sends records, without joining the group.
pub struct KafkaTopicClient {
    pub(crate) settings: KafkaSettings,
    pub(crate) topics: Topics,
    pub(crate) consumer: BaseConsumer<KafkaContext>,
    pub(crate) replayer: Replayer,
}

impl KafkaTopicClient {
    /// Connects. Waits for a broker for the start timeout at most.
    ///
    /// # Errors
    /// [`Failure::Fatal`] says why no broker answers, [`Failure::Config`] why the brokers refuse.
    pub fn connect(settings: KafkaSettings, topics: Topics) -> Result<Self, Failure> {
        settings.check()?;
        let context = KafkaContext::new("topic-client");
        // Not a group member: dropping a member takes 100 ms.
        let consumer = clients::consumer(&settings.admin(), context.clone())?;
        clients::reach(
            consumer.client(),
            &context,
            &settings,
            &settings.group,
            || {
                consumer.poll(Duration::ZERO);
            },
        )?;
        Ok(Self {
            replayer: Replayer::new(&settings)?,
            settings,
            topics,
            consumer,
        })
    }

    /// Calls `each` with every committed record of the first partition of a topic from an offset on (`None`:
    /// from the oldest), up to its current end. Returns the next offset to read.
    ///
    /// # Errors
    /// If the topic is missing or cannot be read.
    pub fn read(
        &mut self,
        topic: Topic,
        from: Option<i64>,
        each: &mut dyn FnMut(Record<'_>),
    ) -> Result<i64, Failure> {
        let (next, _) = self.replay(topic, from, each)?;
        Ok(next)
    }

    /// As [`KafkaTopicClient::read`]. Also returns whether a transaction is open there.
    pub(crate) fn replay(
        &mut self,
        topic: Topic,
        from: Option<i64>,
        each: &mut dyn FnMut(Record<'_>),
    ) -> Result<(i64, bool), Failure> {
        let name = self.topics.name(topic);
        let read = ReplayRequest {
            topic: name.clone(),
            topic_partition: TopicPartition {
                topic,
                partition: 0,
            },
            from,
        };
        let replayed = self.replayer.replay(&[read], each, &mut || Ok(()))?;
        match replayed.first() {
            Some(Replayed::Whole(next)) => Ok((*next, false)),
            Some(Replayed::Held(next)) => Ok((*next, true)),
            Some(Replayed::Gone) | None => Err(Failure::Fatal(format!(
                "topic {name} was recreated while it was read"
            ))),
        }
    }

    /// Sends a record to a partition of a topic, and waits until all replicas have it. Returns its offset.
    ///
    /// # Errors
    /// If the topic or the partition is missing, or the record is too large or is not stored in time.
    pub fn send(&self, to: TopicPartition, value: &[u8]) -> Result<i64, Failure> {
        let name = self.topics.name(to.topic);
        // A producer alone might make the brokers create a missing topic.
        clients::partitions(self.consumer.client(), &name)?;
        let context = KafkaContext::new("topic-client");
        let mut config = self.settings.idempotent();
        // The report of the delivery has the offset.
        config.set("delivery.report.only.error", "false");
        let producer = clients::producer(&config, context.clone())?;
        let record = BaseRecord::<(), [u8]>::to(&name).partition(to.partition.cast_signed());
        producer
            .send(record.payload(value))
            .map_err(|(error, _)| classify_error::plain(&format!("sending to {name}"), &error))?;
        // Longer than librdkafka itself waits, since it then reports why a record was not delivered.
        let timeout = self.settings.longest_call();
        let flushed = producer.flush(timeout);
        if let Some(record) = context.take_undelivered() {
            return Err(given_up(&classify_error::undelivered(&record)));
        }
        flushed.map_err(|error| classify_error::plain(&format!("sending to {name}"), &error))?;
        context
            .take_delivered_offset()
            .ok_or_else(|| Failure::Fatal(format!("sending to {name}: no offset was reported")))
    }

    /// The next offset that the group has committed for a partition; `None` if it has committed none.
    ///
    /// # Errors
    /// If no broker answers, or the principal may not describe the group.
    pub fn committed(&self, topic_partition: TopicPartition) -> Result<Option<i64>, Failure> {
        let client = self.consumer.client().native_ptr();
        let committed = committed(client, &self.settings.group)?;
        let partitions = committed.get(&self.topics.name(topic_partition.topic));
        Ok(partitions.and_then(|offsets| offsets.get(&topic_partition.partition).copied()))
    }
}

/// Without a transaction, nothing is aborted and done again.
fn given_up(failure: &Failure) -> Failure {
    match failure {
        Failure::Config(reason) => Failure::Config(reason.clone()),
        Failure::Fenced(reason) | Failure::Fatal(reason) | Failure::Abort(reason) => {
            Failure::Fatal(reason.clone())
        }
    }
}
