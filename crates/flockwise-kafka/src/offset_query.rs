//! Queries about topics and the ends of partitions, uncommitted records included.

use std::time::{Duration, Instant};

use flockwise_runtime::batch::Record;
use flockwise_runtime::broker::{Failure, ORIGIN_HEADER};
use flockwise_runtime::heartbeat::beat;
use flockwise_runtime::topics::TopicPartition;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::topic_partition_list::TopicPartitionListElem;
use rdkafka::{Offset, TopicPartitionList};
use tracing::debug;

use crate::admin::describe_requests::topic_id;
use crate::classify_error;
use crate::client_context::KafkaContext;
use crate::clients;
use crate::retry::{REQUEST_TIMEOUT, retry_query};
use crate::settings::KafkaSettings;

/// The longest that uncommitted records are read. Control records are not delivered, so reading never reaches
/// the end of a partition that ends with one.
const UNCOMMITTED_READ_TIMEOUT: Duration = Duration::from_millis(500);
const POLL_TIMEOUT: Duration = Duration::from_millis(20);

/// A client for queries. It reads uncommitted records: a reader of committed records sees an end that lies before open
/// transactions.
pub(crate) struct OffsetQuery {
    consumer: BaseConsumer<KafkaContext>,
}

impl OffsetQuery {
    /// Creates the client. It connects at first use.
    pub(crate) fn new(settings: &KafkaSettings) -> Result<Self, Failure> {
        let consumer =
            clients::consumer(&settings.offset_query(), KafkaContext::new("offset-query"))?;
        Ok(Self { consumer })
    }

    /// The end offset of each partition, in order. One request to each broker that leads some of them.
    pub(crate) fn end_offsets(&self, partitions: &[(String, u32)]) -> Result<Vec<i64>, Failure> {
        self.ask(partitions, Offset::End)
    }

    /// The log start offset of each partition, in order.
    pub(crate) fn starts(&self, partitions: &[(String, u32)]) -> Result<Vec<i64>, Failure> {
        self.ask(partitions, Offset::Beginning)
    }

    /// The cluster's id and the topic's, which tell a topic from others of the same name. Brokers before
    /// Kafka 2.8 give topics no id: the topic's name takes its place.
    pub(crate) fn topic_id(&self, topic: &str) -> Result<String, Failure> {
        let client = self.consumer.client();
        let id = retry_query(|| topic_id(client, topic))?.unwrap_or_else(|| {
            debug!(topic, "the brokers give topics no id; using the name");
            topic.to_owned()
        });
        // Without it, the topic would look like one of another cluster, and so recreated.
        let unknown =
            || Failure::Fatal("the brokers do not report the id of their cluster".to_owned());
        let cluster = retry_query(|| client.fetch_cluster_id(REQUEST_TIMEOUT).ok_or_else(unknown))?;
        Ok(format!("{cluster}.{id}"))
    }

    /// Calls `each` with the records of a partition from an offset on, committed or not, as far as they
    /// arrive within [`UNCOMMITTED_READ_TIMEOUT`].
    pub(crate) fn read_uncommitted(
        &self,
        topic: &str,
        topic_partition: TopicPartition,
        from: i64,
        each: &mut dyn FnMut(Record<'_>),
    ) -> Result<(), Failure> {
        let doing = format!("reading uncommitted records of {topic}");
        let failed = |error: KafkaError| classify_error::plain(&doing, &error);
        let end = self.end_offsets(&[(topic.to_owned(), topic_partition.partition)])?[0];
        // Without metadata, the first fetch waits for seconds.
        clients::partitions(self.consumer.client(), topic)?;
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(
            topic,
            topic_partition.partition.cast_signed(),
            Offset::Offset(from),
        )
        .and_then(|()| self.consumer.assign(&list))
        .map_err(failed)?;
        let (start, mut next) = (Instant::now(), from);
        while next < end && start.elapsed() < UNCOMMITTED_READ_TIMEOUT {
            if let Some(Ok(message)) = self.consumer.poll(POLL_TIMEOUT) {
                next = message.offset() + 1;
                each(Record {
                    topic_partition,
                    offset: message.offset(),
                    timestamp_ms: message.timestamp().to_millis().unwrap_or(-1),
                    key: message.key(),
                    value: message.payload(),
                    origin: origin(&message),
                });
            }
        }
        self.consumer.unassign().map_err(failed)
    }

    fn ask(&self, partitions: &[(String, u32)], what: Offset) -> Result<Vec<i64>, Failure> {
        let found = self.lookup(partitions, what)?;
        found.into_iter().map(known).collect()
    }

    /// As the function [`ask`], with this client.
    pub(crate) fn lookup(
        &self,
        partitions: &[(String, u32)],
        what: Offset,
    ) -> Result<Vec<Offset>, Failure> {
        let found = ask(&self.consumer, partitions, what);
        // Serves its queue, which holds events and no records.
        self.consumer.poll(Duration::ZERO);
        found
    }
}

/// Asks the leaders of partitions for one offset each: [`Offset::Beginning`], [`Offset::End`], or that of a
/// time, given in milliseconds as [`Offset::Offset`]. The answer to a time is [`Offset::End`] if no record is
/// as late. Sends one request to each broker that leads some of them, and retries while leaders move.
pub(crate) fn ask(
    consumer: &BaseConsumer<KafkaContext>,
    partitions: &[(String, u32)],
    what: Offset,
) -> Result<Vec<Offset>, Failure> {
    if partitions.is_empty() {
        return Ok(Vec::new());
    }
    retry_query(|| {
        ask_once(consumer, partitions, what).map_err(|error| {
            // Reports a missing topic or permission instead, if that is the cause.
            let missing = partitions
                .iter()
                .find_map(|(topic, partition)| check_partition(consumer, topic, *partition).err());
            match missing {
                Some(failure @ Failure::Config(_)) => failure,
                _ => Failure::Fatal(format!("asking {}: {error}", describe(partitions))),
            }
        })
    })
}

fn ask_once(
    consumer: &BaseConsumer<KafkaContext>,
    partitions: &[(String, u32)],
    what: Offset,
) -> KafkaResult<Vec<Offset>> {
    let mut asked = TopicPartitionList::with_capacity(partitions.len());
    for (topic, partition) in partitions {
        asked.add_partition_offset(topic, partition.cast_signed(), what)?;
    }
    // As times, -1 and -2 stand for the end and the beginning.
    let answer = consumer.offsets_for_times(asked, REQUEST_TIMEOUT)?;
    let offset = |(topic, partition): &(String, u32)| {
        let found = answer.find_partition(topic, partition.cast_signed());
        offset(found)
    };
    partitions.iter().map(offset).collect()
}

fn check_partition(
    consumer: &BaseConsumer<KafkaContext>,
    topic: &str,
    partition: u32,
) -> Result<(), Failure> {
    beat();
    let metadata = consumer
        .fetch_metadata(Some(topic), REQUEST_TIMEOUT)
        .map_err(|error| classify_error::plain(&format!("asking for {topic}"), &error))?;
    if clients::partition_count(&metadata, topic)? <= partition {
        return Err(classify_error::missing_topic(&format!(
            "{topic} with partition {partition}"
        )));
    }
    Ok(())
}

fn offset(found: Option<TopicPartitionListElem<'_>>) -> KafkaResult<Offset> {
    let found = found.ok_or(KafkaError::MetadataFetch(
        RDKafkaErrorCode::UnknownPartition,
    ))?;
    found.error()?;
    Ok(found.offset())
}

/// The offset as a number.
pub(crate) fn known(offset: Offset) -> Result<i64, Failure> {
    match offset {
        Offset::Offset(offset) => Ok(offset),
        other => Err(Failure::Fatal(format!(
            "expected an offset from the broker, found {other:?}"
        ))),
    }
}

fn origin<'a>(message: &'a BorrowedMessage<'_>) -> Option<&'a [u8]> {
    let mut headers = message.headers()?.iter();
    headers.find(|header| header.key == ORIGIN_HEADER)?.value
}

fn describe(partitions: &[(String, u32)]) -> String {
    let (topic, partition) = &partitions[0];
    let others = partitions.len() - 1;
    format!("for offsets of {topic}/{partition} and {others} other partitions")
}
