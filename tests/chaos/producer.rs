//! Events at a steady rate, each stored once whatever the brokers go through.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use flockwise_codec::partitioner::Partitioner;
use flockwise_tests::events::InputRecord;
use flockwise_tests::kafka_pipeline::PARTITIONS;
use rdkafka::ClientConfig;
use rdkafka::client::ClientContext;
use rdkafka::error::KafkaError;
use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer};

use crate::clock::Clock;
use crate::event_log::EventLog;
use crate::stop_signal::StopSignal;

/// How often what is due is sent.
const STEP: Duration = Duration::from_millis(5);
/// What the brokers have not taken yet when all is sent.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where events go, and how fast.
pub(crate) struct Stream<'a> {
    pub(crate) servers: &'a str,
    /// Of the inputs, in their order.
    pub(crate) topics: &'a [String],
    pub(crate) events: &'a [InputRecord],
    /// A second.
    pub(crate) rate: u32,
}

/// Sends them all, unless halted before.
pub(crate) fn produce(
    stream: &Stream<'_>,
    event_log: &Arc<Mutex<EventLog>>,
    clock: Clock,
    stop: &StopSignal,
) -> Result<()> {
    let notes = Notes {
        event_log: Arc::clone(event_log),
        clock,
    };
    let producer = connect(stream.servers, notes)?;
    let start = clock.now();
    let mut sent = 0;
    while sent < stream.events.len() && !stop.is_set() {
        let due = (clock.now() - start).as_secs_f64() * f64::from(stream.rate);
        let due = stream.events.len().min(due as usize);
        for put in &stream.events[sent..due] {
            send(&producer, stream.topics, put, clock)?;
        }
        sent = due;
        thread::sleep(STEP);
    }
    producer
        .flush(PATIENCE)
        .context("the brokers do not take what was sent")
}

fn connect(servers: &str, notes: Notes) -> Result<ThreadedProducer<Notes>> {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", servers)
        .set("enable.idempotence", "true")
        // It never gives up: what is not stored would be missing from what is compared.
        .set("message.timeout.ms", "0")
        .set("queue.buffering.max.messages", "1000000");
    eager(&mut config).set("request.timeout.ms", "3000");
    config
        .create_with_context(notes)
        .context("cannot make a producer")
}

/// An observer is to notice sooner than those it observes that a broker is gone.
pub(crate) fn eager(config: &mut ClientConfig) -> &mut ClientConfig {
    config
        .set("socket.timeout.ms", "3000")
        .set("reconnect.backoff.max.ms", "500")
        .set("topic.metadata.refresh.interval.ms", "1000")
}

fn send(
    producer: &ThreadedProducer<Notes>,
    topics: &[String],
    put: &InputRecord,
    clock: Clock,
) -> Result<(), KafkaError> {
    let flight = InFlight {
        sent: clock.now(),
        input: put.input,
        is_passed_on: Partitioner::default().partition(&put.key, PARTITIONS) != put.partition,
    };
    let topic = &topics[usize::from(put.input)];
    let mut record = BaseRecord::<[u8], [u8], _>::with_opaque_to(topic, Box::new(flight))
        .partition(put.partition.cast_signed())
        .timestamp(put.timestamp_ms)
        .key(&put.key);
    record.payload = put.value.as_deref();
    producer.send(record).map_err(|(error, _)| error)
}

/// Keeps the journal of what the brokers have taken.
struct Notes {
    event_log: Arc<Mutex<EventLog>>,
    clock: Clock,
}

/// A record on its way.
struct InFlight {
    sent: Duration,
    input: u16,
    is_passed_on: bool,
}

impl ClientContext for Notes {
    // Brokers go down here all the time.
    fn error(&self, _: KafkaError, _: &str) {}

    fn log(&self, _: rdkafka::config::RDKafkaLogLevel, _: &str, _: &str) {}
}

impl ProducerContext for Notes {
    type DeliveryOpaque = Box<InFlight>;

    fn delivery(&self, result: &DeliveryResult<'_>, flight: Box<InFlight>) {
        let now = self.clock.now();
        let mut event_log = self
            .event_log
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        match result {
            Ok(message) => {
                let offset = Some(message.offset()).filter(|offset| *offset >= 0);
                let lane = (flight.input, message.partition().cast_unsigned());
                event_log.produced((lane, offset), flight.is_passed_on, flight.sent, now);
            }
            Err((error, _)) => event_log.fail(format!("an event could not be produced: {error}")),
        }
    }
}
