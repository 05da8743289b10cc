//! Deletes a pipeline's state and writes where it starts again.

use std::thread;
use std::time::{Duration, Instant};

use flockwise_runtime::broker::Failure;
use flockwise_runtime::topics::{Topic, Topics};
use rdkafka::admin::AdminOptions;
use rdkafka::consumer::Consumer;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::producer::{BaseRecord, Producer};
use rdkafka::{Offset, TopicPartitionList};
use tracing::info;

use super::admin_client::Admin;
use super::create_topics::admin_client;
use super::describe_requests;
use crate::classify_error;
use crate::client_context::KafkaContext;
use crate::clients;
use crate::offset_query::{self, known};
use crate::retry::{QUERY_TIMEOUT, retry};
use crate::settings::KafkaSettings;

/// What a reset does to a pipeline's topics.
#[derive(Clone, Debug)]
pub struct Reset {
    /// Topics to delete and recreate empty.
    pub remade: Vec<Topic>,
    /// Records to write after that, in one transaction.
    pub records: Vec<ResetRecord>,
    /// Next offsets to commit for the group, for lag tools: topic, partition, offset.
    pub offsets: Vec<(String, u32, i64)>,
}

/// A record that a reset writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResetRecord {
    /// Topic to write to.
    pub topic: Topic,
    /// Partition to write to.
    pub partition: u32,
    /// Key; `None` for a record without one.
    pub key: Option<Vec<u8>>,
    /// Value, never a tombstone.
    pub value: Vec<u8>,
}

/// The first and the end offset of a partition, and the offset for a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Log start offset: no older record is there.
    pub start: i64,
    /// The offset after the newest record.
    pub end: i64,
    /// Offset of the first record with the requested time or a later one, or `end` if there is none. `None` if no
    /// time was requested.
    pub at_time: Option<i64>,
}

/// Bounds of these partitions, in order. With `time_ms`, milliseconds since the epoch, also the offset for that time.
///
/// # Errors
/// If the brokers do not answer.
pub fn bounds(
    settings: &KafkaSettings,
    partitions: &[(String, u32)],
    time_ms: Option<i64>,
) -> Result<Vec<Bounds>, Failure> {
    let admin = Admin::connect(settings)?;
    let ask = |what| offset_query::ask(&admin.consumer, partitions, what);
    let (starts, ends) = (ask(Offset::Beginning)?, ask(Offset::End)?);
    let times = time_ms
        .map(|time_ms| ask(Offset::Offset(time_ms)))
        .transpose()?;
    let bound = |(index, (start, end)): (usize, (Offset, Offset))| {
        let (start, end) = (known(start)?, known(end)?);
        let at_time = times.as_ref().map(|times| match times[index] {
            Offset::Offset(offset) => offset,
            _ => end,
        });
        Ok(Bounds {
            start,
            end,
            at_time,
        })
    };
    starts
        .into_iter()
        .zip(ends)
        .enumerate()
        .map(bound)
        .collect()
}

/// Resets a pipeline that has no running instance. An interrupted reset leaves an empty changelog: `run` then
/// refuses to start, and the reset can be repeated.
///
/// # Errors
/// [`Failure::Config`] if the group has members, or if a permission is missing.
pub fn reset(settings: &KafkaSettings, topics: &Topics, reset: &Reset) -> Result<(), Failure> {
    let admin = Admin::connect(settings)?;
    let members = admin.group()?.members.len();
    if members > 0 {
        return Err(Failure::Config(format!(
            "group {} has {members} members again; nothing was changed. Stop all instances and repeat the reset",
            settings.group
        )));
    }
    let there = admin.survey(topics)?.partitions();
    let is_there = |topic: &&Topic| there.iter().any(|(found, _)| found == *topic);
    let deleted: Vec<String> = reset
        .remade
        .iter()
        .filter(is_there)
        .map(|topic| topics.name(*topic))
        .collect();
    admin.delete(&deleted)?;
    let missing: Vec<Topic> = Topics::internal()
        .into_iter()
        .filter(|topic| reset.remade.contains(topic) || !is_there(&topic))
        .collect();
    admin.create(topics, &missing)?;
    write(settings, topics, reset)
}

impl Admin {
    fn delete(&self, names: &[String]) -> Result<(), Failure> {
        if names.is_empty() {
            return Ok(());
        }
        let list: Vec<&str> = names.iter().map(String::as_str).collect();
        let options = AdminOptions::new()
            .request_timeout(Some(QUERY_TIMEOUT))
            .operation_timeout(Some(QUERY_TIMEOUT));
        let client = admin_client(&self.settings)?;
        let results = pollster::block_on(client.delete_topics(&list, &options))
            .map_err(|error| classify_error::plain("deleting topics", &error))?;
        for result in results {
            match result {
                Ok(topic) => info!(topic, "topic deleted"),
                Err((_, RDKafkaErrorCode::UnknownTopicOrPartition)) => {}
                Err((name, code)) => return Err(not_deleted(&name, code)),
            }
        }
        self.await_absence(names)
    }

    fn await_absence(&self, names: &[String]) -> Result<(), Failure> {
        let start = Instant::now();
        while start.elapsed() < QUERY_TIMEOUT {
            let found = describe_requests::topics(self.native(), names)?;
            if found.iter().all(|topic| matches!(topic, Ok(None))) {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(50));
        }
        Err(Failure::Fatal(format!(
            "the brokers still list {} {QUERY_TIMEOUT:?} after its deletion; repeat the reset",
            names.join(" or ")
        )))
    }
}

fn not_deleted(name: &str, code: RDKafkaErrorCode) -> Failure {
    let remedy = match code {
        RDKafkaErrorCode::TopicAuthorizationFailed => {
            "give the principal Delete on topics prefixed with `app`"
        }
        RDKafkaErrorCode::TopicDeletionDisabled => "set delete.topic.enable on the brokers",
        _ => "repeat the reset",
    };
    Failure::Config(format!(
        "topic {name} could not be deleted: {code}; {remedy}"
    ))
}

/// Writes one transaction: the records of the reset and the group's offsets.
fn write(settings: &KafkaSettings, topics: &Topics, reset: &Reset) -> Result<(), Failure> {
    let context = KafkaContext::new("reset");
    let producer = clients::producer(&settings.producer(), context.clone())?;
    let timeout = settings.longest_call();
    retry("beginning a transaction", || {
        producer.init_transactions(timeout)
    })?;
    producer
        .begin_transaction()
        .map_err(|error| classify_error::plain("beginning a transaction", &error))?;
    for record in &reset.records {
        send(&producer, topics, record)?;
    }
    let flushed = producer.flush(timeout);
    if let Some(record) = context.take_undelivered() {
        return Err(classify_error::undelivered(&record));
    }
    flushed.map_err(|error| classify_error::plain("writing the start positions", &error))?;
    // It has the group's id, but does not join.
    let consumer = clients::consumer(&settings.offset_query(), KafkaContext::new("reset"))?;
    let metadata = consumer
        .group_metadata()
        .ok_or_else(|| Failure::Fatal("the consumer has no group metadata".into()))?;
    let offsets = list(&reset.offsets)?;
    retry("committing offsets", || {
        producer.send_offsets_to_transaction(&offsets, &metadata, timeout)
    })?;
    retry("committing", || producer.commit_transaction(timeout))
}

fn send(
    producer: &crate::polled_producer::PolledProducer,
    topics: &Topics,
    record: &ResetRecord,
) -> Result<(), Failure> {
    let name = topics.name(record.topic);
    let partition = record.partition.cast_signed();
    let mut outgoing = BaseRecord::<[u8], [u8]>::to(&name)
        .partition(partition)
        .payload(&record.value);
    if let Some(key) = &record.key {
        outgoing = outgoing.key(key);
    }
    producer
        .send(outgoing)
        .map_err(|(error, _)| classify_error::plain(&format!("writing to {name}"), &error))
}

fn list(offsets: &[(String, u32, i64)]) -> Result<TopicPartitionList, Failure> {
    let mut list = TopicPartitionList::with_capacity(offsets.len());
    for (topic, partition, offset) in offsets {
        list.add_partition_offset(topic, partition.cast_signed(), Offset::Offset(*offset))
            .map_err(|error| classify_error::plain("listing offsets", &error))?;
    }
    Ok(list)
}
