//! Produces events at a steady rate. Each is stored at least once, whatever happens to the brokers.

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

/// Interval between sends.
const STEP: Duration = Duration::from_millis(5);
/// Timeout for the delivery of the last events.
const TIMEOUT: Duration = Duration::from_secs(60);

/// The events, their destination and their rate.
pub(crate) struct Stream<'a> {
    pub(crate) servers: &'a str,
    /// Names of the inputs, in order.
    pub(crate) topics: &'a [String],
    pub(crate) events: &'a [InputRecord],
    /// Events per second.
    pub(crate) rate: u32,
}

/// Sends all events, unless the stop signal is set before.
pub(crate) fn produce(
    stream: &Stream<'_>,
    event_log: &Arc<Mutex<EventLog>>,
    clock: Clock,
    stop: &StopSignal,
) -> Result<()> {
    let delivery_log = DeliveryLog {
        event_log: Arc::clone(event_log),
        clock,
    };
    let producer = connect(stream.servers, delivery_log)?;
    let start = clock.now();
    let mut sent = 0;
    while sent < stream.events.len() && !stop.is_set() {
        let due = (clock.now() - start).as_secs_f64() * f64::from(stream.rate);
        let due = stream.events.len().min(due as usize);
        for record in &stream.events[sent..due] {
            send(&producer, stream.topics, record, clock)?;
        }
        sent = due;
        thread::sleep(STEP);
    }
    producer
        .flush(TIMEOUT)
        .context("the brokers did not accept all events in time")
}

fn connect(servers: &str, delivery_log: DeliveryLog) -> Result<ThreadedProducer<DeliveryLog>> {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", servers)
        .set("enable.idempotence", "true")
        // Never gives up: an event that is not stored would make the comparison fail.
        .set("message.timeout.ms", "0")
        .set("queue.buffering.max.messages", "1000000");
    with_short_timeouts(&mut config).set("request.timeout.ms", "3000");
    config
        .create_with_context(delivery_log)
        .context("cannot create a producer")
}

/// Short timeouts, so that producer and observer notice a lost broker before the processes do.
pub(crate) fn with_short_timeouts(config: &mut ClientConfig) -> &mut ClientConfig {
    config
        .set("socket.timeout.ms", "3000")
        .set("reconnect.backoff.max.ms", "500")
        .set("topic.metadata.refresh.interval.ms", "1000")
}

fn send(
    producer: &ThreadedProducer<DeliveryLog>,
    topics: &[String],
    record: &InputRecord,
    clock: Clock,
) -> Result<(), KafkaError> {
    let in_flight = InFlight {
        sent: clock.now(),
        input: record.input,
        is_forwarded: Partitioner::default().partition(&record.key, PARTITIONS) != record.partition,
    };
    let topic = &topics[usize::from(record.input)];
    let mut outgoing = BaseRecord::<[u8], [u8], _>::with_opaque_to(topic, Box::new(in_flight))
        .partition(record.partition.cast_signed())
        .timestamp(record.timestamp_ms)
        .key(&record.key);
    outgoing.payload = record.value.as_deref();
    producer.send(outgoing).map_err(|(error, _)| error)
}

/// Records in the event log what the brokers have stored.
struct DeliveryLog {
    event_log: Arc<Mutex<EventLog>>,
    clock: Clock,
}

/// A record that is not acknowledged yet.
struct InFlight {
    sent: Duration,
    input: u16,
    is_forwarded: bool,
}

impl ClientContext for DeliveryLog {
    // Not logged: faults take brokers down all the time.
    fn error(&self, _: KafkaError, _: &str) {}

    fn log(&self, _: rdkafka::config::RDKafkaLogLevel, _: &str, _: &str) {}
}

impl ProducerContext for DeliveryLog {
    type DeliveryOpaque = Box<InFlight>;

    fn delivery(&self, result: &DeliveryResult<'_>, in_flight: Box<InFlight>) {
        let now = self.clock.now();
        let mut event_log = self
            .event_log
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        match result {
            Ok(message) => {
                let offset = Some(message.offset()).filter(|offset| *offset >= 0);
                let partition = (in_flight.input, message.partition().cast_unsigned());
                event_log.produced(
                    (partition, offset),
                    in_flight.is_forwarded,
                    in_flight.sent,
                    now,
                );
            }
            Err((error, _)) => event_log.fail(format!("an event could not be produced: {error}")),
        }
    }
}
