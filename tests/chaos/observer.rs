//! A consumer that observes when records become committed.
//!
//! A task position is in the same transaction as the effects of the events that it covers, so they become visible
//! together. The observer consumes positions as they are committed and does not poll, so times are not rounded up to
//! a polling interval.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use flockwise_codec::changelog::{TASK_POSITION, decode_task_position};
use flockwise_codec::forward::decode_forward;
use flockwise_codec::watermarks::holds_watermarks;
use flockwise_core::event::Event;
use flockwise_core::plan::Plan;
use flockwise_runtime::topics::{Topic, Topics};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::{ClientConfig, ClientContext, Offset, TopicPartitionList};

use crate::clock::Clock;
use crate::event_log::EventLog;
use crate::producer::with_short_timeouts;
use crate::stop_signal::StopSignal;

const STEP: Duration = Duration::from_millis(50);

/// Records in the event log what is committed, until the stop signal is set.
pub(crate) fn observe(
    servers: &str,
    topics: &Topics,
    plan: &Plan,
    event_log: &Mutex<EventLog>,
    clock: Clock,
    stop: &StopSignal,
) -> Result<()> {
    let consumer = connect(servers, topics)?;
    let changelog = topics.name(Topic::Changelog);
    while !stop.is_set() {
        // Errors are temporary: a broker is down.
        let Some(Ok(message)) = consumer.poll(STEP) else {
            continue;
        };
        let now = clock.now();
        let mut event_log = event_log.lock().unwrap_or_else(PoisonError::into_inner);
        let noted = if message.topic() == changelog {
            note_task_position(&message, topics, &mut event_log, now)
        } else {
            note_forwarded(&message, topics, plan, &mut event_log, now)
        };
        if let Err(error) = noted {
            event_log.fail(format!("{error:#}"));
        }
    }
    Ok(())
}

fn connect(servers: &str, topics: &Topics) -> Result<BaseConsumer<QuietContext>> {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", servers)
        .set("group.id", "observer")
        .set("enable.auto.commit", "false")
        .set("isolation.level", "read_committed")
        .set("auto.offset.reset", "earliest")
        .set("fetch.wait.max.ms", "100");
    let consumer: BaseConsumer<QuietContext> = with_short_timeouts(&mut config)
        .create_with_context(QuietContext)
        .context("cannot create a consumer")?;
    let mut list = TopicPartitionList::new();
    for topic in [Topic::Changelog, Topic::Repartition] {
        for partition in 0..topics.state_partitions.cast_signed() {
            list.add_partition_offset(&topics.name(topic), partition, Offset::Beginning)?;
        }
    }
    consumer.assign(&list)?;
    Ok(consumer)
}

fn note_task_position(
    message: &BorrowedMessage<'_>,
    topics: &Topics,
    event_log: &mut EventLog,
    now: Duration,
) -> Result<()> {
    let (Some([TASK_POSITION]), Some(value)) = (message.key(), message.payload()) else {
        return Ok(());
    };
    let (position, _) = decode_task_position(value, &topics.inputs)?;
    let read = position.inputs.iter();
    let read = read.map(|(partition, progress)| (*partition, progress.next_offset));
    let task = message.partition().cast_unsigned();
    event_log.progressed(task, read, position.repartition_offset, now);
    Ok(())
}

fn note_forwarded(
    message: &BorrowedMessage<'_>,
    topics: &Topics,
    plan: &Plan,
    event_log: &mut EventLog,
    now: Duration,
) -> Result<()> {
    let value = message.payload().unwrap_or_default();
    if holds_watermarks(value) {
        return Ok(());
    }
    let origin = decode_forward(plan, value, &mut Event::default())?;
    let input = topics.inputs.iter().position(|name| name == origin.topic);
    let input = input.with_context(|| format!("{} is not an input", origin.topic))? as u16;
    let id = ((input, origin.partition), origin.offset);
    let task = message.partition().cast_unsigned();
    event_log.forwarded(task, message.offset(), id, now);
    Ok(())
}

/// Logs no client errors, since faults take brokers down all the time.
struct QuietContext;

impl ClientContext for QuietContext {
    fn error(&self, _: KafkaError, _: &str) {}

    fn log(&self, _: rdkafka::config::RDKafkaLogLevel, _: &str, _: &str) {}
}

impl ConsumerContext for QuietContext {}
