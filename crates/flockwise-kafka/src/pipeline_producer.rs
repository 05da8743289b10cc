//! Produces a worker's records, without a delivery report for each.
//!
//! Only failures are reported. librdkafka itself counts the records in flight, and
//! [`PolledProducer::await_delivery`] waits for that count.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use flockwise_runtime::broker::{Failure, Outgoing};
use flockwise_runtime::heartbeat::beat;
use flockwise_runtime::topics::{Topic, Topics};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::BaseRecord;

use crate::classify_error;
use crate::polled_producer::PolledProducer;

/// A worker's producer for all topics of the pipeline.
pub(crate) struct PipelineProducer {
    producer: PolledProducer,
    /// Names, which would otherwise be built for every record.
    topics: BTreeMap<Topic, String>,
    /// How long a record may wait for room in librdkafka's queue.
    queue_timeout: Duration,
}

/// How long to wait for room in librdkafka's full queue before trying again.
const QUEUE_FULL_BACKOFF: Duration = Duration::from_millis(5);

impl PipelineProducer {
    /// A producer for every topic of the pipeline.
    pub(crate) fn new(producer: PolledProducer, topics: &Topics, queue_timeout: Duration) -> Self {
        let inputs = (0..topics.inputs.len()).filter_map(|input| u16::try_from(input).ok());
        let all = Topics::internal()
            .into_iter()
            .chain(inputs.map(Topic::Input));
        Self {
            producer,
            topics: all.map(|topic| (topic, topics.name(topic))).collect(),
            queue_timeout,
        }
    }

    /// The underlying client.
    pub(crate) fn producer(&self) -> &PolledProducer {
        &self.producer
    }

    /// Puts a copy of the record into librdkafka's queue, and waits for room there. Its delivery is known after
    /// [`PolledProducer::await_delivery`].
    pub(crate) fn send(&self, outgoing: &Outgoing<'_>) -> Result<(), Failure> {
        let topic = self
            .topics
            .get(&outgoing.topic)
            .ok_or_else(|| Failure::Fatal(format!("no topic for {:?}", outgoing.topic)))?;
        let mut record = record(topic, outgoing);
        let mut full_since = None;
        loop {
            let (error, returned) = match self.producer.send(record) {
                Ok(()) => return Ok(()),
                Err(refused) => refused,
            };
            let is_full = error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull);
            let since = *full_since.get_or_insert_with(Instant::now);
            if !is_full || since.elapsed() >= self.queue_timeout {
                return Err(refusal(&error, topic, outgoing));
            }
            beat();
            self.producer.await_delivery(QUEUE_FULL_BACKOFF);
            record = returned;
        }
    }
}

fn record<'a>(topic: &'a str, outgoing: &Outgoing<'a>) -> BaseRecord<'a, [u8], [u8]> {
    let headers = outgoing.headers;
    BaseRecord {
        key: outgoing.key,
        payload: outgoing.value,
        headers: (!headers.is_empty()).then(|| owned(headers)),
        ..BaseRecord::to(topic).partition(outgoing.partition.cast_signed())
    }
}

fn owned(headers: &[(&str, &[u8])]) -> OwnedHeaders {
    let empty = OwnedHeaders::new_with_capacity(headers.len());
    headers.iter().fold(empty, |owned, (key, value)| {
        owned.insert(Header {
            key,
            value: Some(*value),
        })
    })
}

fn refusal(error: &KafkaError, topic: &str, outgoing: &Outgoing<'_>) -> Failure {
    let bytes = outgoing.key.map_or(0, <[u8]>::len) + outgoing.value.map_or(0, <[u8]>::len);
    let partition = outgoing.partition;
    let Some(code) = error.rdkafka_error_code() else {
        return classify_error::plain(
            &format!("sending {bytes} bytes to {topic}/{partition}"),
            error,
        );
    };
    let doing = format!("sending {bytes} bytes to {topic}/{partition}: {code}");
    match classify_error::remedy(code) {
        Some(remedy) => Failure::Config(format!("{doing}; {remedy}")),
        None if code == RDKafkaErrorCode::Fatal => Failure::Fatal(doing),
        None => Failure::Abort(doing),
    }
}
