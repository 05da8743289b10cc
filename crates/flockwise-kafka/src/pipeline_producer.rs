//! Produces a worker's records, without a delivery report for each.
//!
//! Only failures are reported. librdkafka itself counts the records in flight, and
//! [`PolledProducer::await_delivery`] waits for that count.

use std::time::{Duration, Instant};

use flockwise_runtime::broker::{Failure, Outgoing};
use flockwise_runtime::heartbeat::beat;
use flockwise_runtime::topics::{Topic, Topics};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::BaseRecord;

use crate::classify_error;
use crate::polled_producer::PolledProducer;
use crate::topic_batch::{Refused, TopicBatch};

/// A worker's producer.
pub(crate) struct PipelineProducer {
    /// The topics that records were sent to. Dropped before their producer.
    topics: Vec<ProducerTopic>,
    names: Topics,
    producer: PolledProducer,
    /// How long a record may wait for room in librdkafka's queue.
    queue_timeout: Duration,
}

/// A topic and its gathered records.
struct ProducerTopic {
    topic: Topic,
    name: String,
    batch: TopicBatch,
}

/// How long to wait for room in librdkafka's full queue before trying again.
const QUEUE_FULL_BACKOFF: Duration = Duration::from_millis(5);

impl PipelineProducer {
    /// A producer for the topics of the pipeline.
    pub(crate) fn new(producer: PolledProducer, topics: &Topics, queue_timeout: Duration) -> Self {
        Self {
            topics: Vec::new(),
            names: topics.clone(),
            producer,
            queue_timeout,
        }
    }

    /// The underlying client.
    pub(crate) fn producer(&self) -> &PolledProducer {
        &self.producer
    }

    /// Takes a copy of a record. Its delivery is known after [`PipelineProducer::hand_over`] and
    /// [`PolledProducer::await_delivery`].
    pub(crate) fn send(&mut self, outgoing: &Outgoing<'_>) -> Result<(), Failure> {
        let index = self.index(outgoing.topic)?;
        let mut room = QueueRoom::new(&self.producer, self.queue_timeout);
        let topic = &mut self.topics[index];
        if outgoing.headers.is_empty() {
            return match topic.batch.gather(outgoing) {
                true => topic.hand_over(&mut room),
                false => Ok(()),
            };
        }
        // Records that were sent before go first.
        topic.hand_over(&mut room)?;
        topic.send_one(outgoing, &mut room)
    }

    /// The index of a topic, which is added at its first record.
    fn index(&mut self, topic: Topic) -> Result<usize, Failure> {
        let known = self.topics.iter().position(|known| known.topic == topic);
        if let Some(index) = known {
            return Ok(index);
        }
        let name = self.names.name(topic);
        let batch = TopicBatch::new(&self.producer, &name)
            .ok_or_else(|| Failure::Fatal(format!("librdkafka refuses the topic {name}")))?;
        self.topics.push(ProducerTopic { topic, name, batch });
        Ok(self.topics.len() - 1)
    }

    /// Hands the gathered records to librdkafka.
    pub(crate) fn hand_over(&mut self) -> Result<(), Failure> {
        let mut room = QueueRoom::new(&self.producer, self.queue_timeout);
        let mut topics = self.topics.iter_mut();
        topics.try_for_each(|topic| topic.hand_over(&mut room))
    }

    /// Discards the gathered records, for an abort.
    pub(crate) fn discard(&mut self) {
        self.topics.iter_mut().for_each(|topic| topic.batch.clear());
    }
}

impl ProducerTopic {
    fn hand_over(&mut self, room: &mut QueueRoom<'_>) -> Result<(), Failure> {
        let handed_over = self.batch.hand_over(|| room.wait());
        handed_over.map_err(|refused| refusal(&self.name, refused))
    }

    /// Hands over a record with headers.
    fn send_one(&self, outgoing: &Outgoing<'_>, room: &mut QueueRoom<'_>) -> Result<(), Failure> {
        let mut record = record(&self.name, outgoing);
        loop {
            let (error, returned) = match room.producer.send(record) {
                Ok(()) => return Ok(()),
                Err(refused) => refused,
            };
            let is_full = error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull);
            if !is_full || !room.wait() {
                return Err(self.refusal_of_one(&error, outgoing));
            }
            record = returned;
        }
    }

    fn refusal_of_one(&self, error: &KafkaError, outgoing: &Outgoing<'_>) -> Failure {
        let bytes = outgoing.key.map_or(0, <[u8]>::len) + outgoing.value.map_or(0, <[u8]>::len);
        let partition = outgoing.partition;
        match error.rdkafka_error_code() {
            Some(code) => {
                let refused = Refused {
                    code,
                    partition,
                    bytes,
                };
                refusal(&self.name, refused)
            }
            None => {
                let doing = format!("sending {bytes} bytes to {}/{partition}", self.name);
                classify_error::plain(&doing, error)
            }
        }
    }
}

/// Waits for room in librdkafka's queue, for a limited time in all.
struct QueueRoom<'p> {
    producer: &'p PolledProducer,
    timeout: Duration,
    full_since: Option<Instant>,
}

impl<'p> QueueRoom<'p> {
    fn new(producer: &'p PolledProducer, timeout: Duration) -> Self {
        Self {
            producer,
            timeout,
            full_since: None,
        }
    }

    /// Waits a moment. `false` if the queue has been full for too long.
    fn wait(&mut self) -> bool {
        let since = *self.full_since.get_or_insert_with(Instant::now);
        if since.elapsed() >= self.timeout {
            return false;
        }
        beat();
        self.producer.await_delivery(QUEUE_FULL_BACKOFF);
        true
    }
}

fn record<'a>(topic: &'a str, outgoing: &Outgoing<'a>) -> BaseRecord<'a, [u8], [u8]> {
    BaseRecord {
        key: outgoing.key,
        payload: outgoing.value,
        headers: Some(owned(outgoing.headers)),
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

fn refusal(topic: &str, refused: Refused) -> Failure {
    let Refused {
        code,
        partition,
        bytes,
    } = refused;
    let doing = format!("sending {bytes} bytes to {topic}/{partition}: {code}");
    match classify_error::remedy(code) {
        Some(remedy) => Failure::Config(format!("{doing}; {remedy}")),
        None if code == RDKafkaErrorCode::Fatal => Failure::Fatal(doing),
        None => Failure::Abort(doing),
    }
}
