//! A reader from outside that sees committed records alone, and when it sees them.
//!
//! A task's bookmark is in the transaction of everything that it speaks for, so when it can be read,
//! its changes can. Nobody has to ask for it, and so nothing is rounded up to the next question.

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
use crate::producer::eager;
use crate::stop_signal::StopSignal;

const STEP: Duration = Duration::from_millis(50);

/// Keeps the journal of what is committed, until halted.
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
        // Errors are of brokers that are down, and pass.
        let Some(Ok(message)) = consumer.poll(STEP) else {
            continue;
        };
        let now = clock.now();
        let mut event_log = event_log.lock().unwrap_or_else(PoisonError::into_inner);
        let noted = if message.topic() == changelog {
            note_bookmark(&message, topics, &mut event_log, now)
        } else {
            note_passed_on(&message, topics, plan, &mut event_log, now)
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
    let consumer: BaseConsumer<QuietContext> = eager(&mut config)
        .create_with_context(QuietContext)
        .context("cannot make a consumer")?;
    let mut list = TopicPartitionList::new();
    for topic in [Topic::Changelog, Topic::Repartition] {
        for partition in 0..topics.state_partitions.cast_signed() {
            list.add_partition_offset(&topics.name(topic), partition, Offset::Beginning)?;
        }
    }
    consumer.assign(&list)?;
    Ok(consumer)
}

fn note_bookmark(
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
    let read = read.map(|(lane, progress)| (*lane, progress.next_offset));
    let task = message.partition().cast_unsigned();
    event_log.progressed(task, read, position.repartition_offset, now);
    Ok(())
}

fn note_passed_on(
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
    let input = input.with_context(|| format!("{} is no input", origin.topic))? as u16;
    let place = ((input, origin.partition), origin.offset);
    let task = message.partition().cast_unsigned();
    event_log.passed_on(task, message.offset(), place, now);
    Ok(())
}

/// Brokers go down here all the time.
struct QuietContext;

impl ClientContext for QuietContext {
    fn error(&self, _: KafkaError, _: &str) {}

    fn log(&self, _: rdkafka::config::RDKafkaLogLevel, _: &str, _: &str) {}
}

impl ConsumerContext for QuietContext {}
