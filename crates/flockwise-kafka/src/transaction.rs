//! The transaction protocol, in its one order that is fast: deliver, then offsets, then commit.

use std::time::{Duration, Instant};

use flockwise_runtime::broker::{Failure, Outgoing};
use flockwise_runtime::heartbeat::beat;
use flockwise_runtime::topics::{Topic, Topics};
use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::producer::Producer;
use tracing::{debug, warn};

use crate::clients;
use crate::context::{KafkaContext, Undelivered};
use crate::errors;
use crate::generation::generation;
use crate::polled_producer::PolledProducer;
use crate::producer::BatchProducer;
use crate::retry::retry;
use crate::settings::KafkaSettings;
use crate::size_limits::SizeLimits;

/// How long a broker that is dropped waits for its transaction to be aborted.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(1);

/// A commit that takes longer is worth a line, since nothing gets on meanwhile.
const SLOW: Duration = Duration::from_secs(2);

/// How often failed deliveries are looked for while waiting for the others.
const FLUSH_STEP: Duration = Duration::from_millis(100);

/// A worker's producer and its transaction.
pub(crate) struct TransactionalProducer {
    producer: BatchProducer,
    context: KafkaContext,
    /// Longer than this no transaction lives and no record waits.
    timeout: Duration,
    is_open: bool,
    limits: SizeLimits,
    /// Topics whose records can be made smaller: dead letters are cut, and an event too large to be forwarded
    /// becomes a dead letter.
    shrinking: [String; 2],
}

impl TransactionalProducer {
    /// Takes the transactional id over from whoever had it, ending what they left open.
    pub(crate) fn take_over(
        producer: BatchProducer,
        context: KafkaContext,
        settings: &KafkaSettings,
        topics: &Topics,
    ) -> Result<Self, Failure> {
        let transaction = Self {
            producer,
            context,
            timeout: Duration::from_millis(settings.transaction_timeout_ms()),
            is_open: false,
            limits: SizeLimits::new(settings.message_max_bytes()),
            shrinking: [Topic::DeadLetters, Topic::Repartition].map(|topic| topics.name(topic)),
        };
        let start = Instant::now();
        retry("taking over the transactional id", || {
            transaction
                .producer()
                .init_transactions(transaction.timeout)
        })?;
        debug!(
            elapsed_ms = start.elapsed().as_millis(),
            "transactions initialised"
        );
        Ok(transaction)
    }

    /// How many partitions a consumer may come to read.
    pub(crate) fn partitions(&self, topics: &Topics) -> Result<u32, Failure> {
        let client = self.producer().client();
        let mut total = topics.state_partitions + 1;
        for name in &topics.inputs {
            total += clients::partitions(client, name)?;
        }
        Ok(total)
    }

    /// Hands a record over, beginning a transaction if none is open.
    pub(crate) fn send(&mut self, record: &Outgoing<'_>) -> Result<(), Failure> {
        self.begin()?;
        self.producer.send(record)
    }

    /// Makes everything sent, and these positions, count.
    pub(crate) fn commit(
        &mut self,
        positions: &TopicPartitionList,
        consumer: &BaseConsumer<KafkaContext>,
    ) -> Result<(), Failure> {
        if !self.is_open && positions.count() == 0 {
            return Ok(());
        }
        let mut phases = Phases::default();
        let committed = self.commit_in(&mut phases, positions, consumer);
        phases.log_if_slow();
        committed
    }

    fn commit_in(
        &mut self,
        phases: &mut Phases,
        positions: &TopicPartitionList,
        consumer: &BaseConsumer<KafkaContext>,
    ) -> Result<(), Failure> {
        phases.begin("deliver");
        self.begin()?;
        self.producer.hand_over()?;
        self.await_delivery()?;
        self.commit_transaction(phases, positions, consumer)?;
        self.is_open = false;
        Ok(())
    }

    /// Takes back what was sent since the last commit.
    pub(crate) fn abort(&mut self) -> Result<(), Failure> {
        self.producer.forget();
        if !self.is_open {
            return Ok(());
        }
        retry("aborting the transaction", || {
            self.producer().abort_transaction(self.timeout)
        })?;
        // An abort has thrown away what was not stored yet.
        self.producer.flush(self.timeout);
        self.context.take_undelivered();
        self.is_open = false;
        Ok(())
    }

    /// An open transaction can only be ended by an abort, after which its worker has to go back.
    pub(crate) fn require_closed(&self) -> Result<(), Failure> {
        if self.is_open {
            let text = "what is read is held back by this worker's own transaction";
            return Err(Failure::Abort(text.to_owned()));
        }
        Ok(())
    }

    /// Ends an open transaction if that can be done at once, so that readers need not wait for it to
    /// time out.
    pub(crate) fn give_up(&mut self) {
        if self.is_open {
            let aborted = self.producer().abort_transaction(LEAVE_TIMEOUT);
            debug!(?aborted, "given up with a transaction open");
        }
        self.is_open = false;
    }

    /// The notes of the producer.
    pub(crate) fn context(&self) -> &KafkaContext {
        &self.context
    }

    fn producer(&self) -> &PolledProducer {
        self.producer.producer()
    }

    fn begin(&mut self) -> Result<(), Failure> {
        if !self.is_open {
            retry("beginning a transaction", || {
                self.producer().begin_transaction()
            })?;
            self.is_open = true;
        }
        Ok(())
    }

    /// Waits until every record is stored. Sending offsets before that makes the commit twenty times
    /// slower, and leaving it to the commit does too.
    fn await_delivery(&mut self) -> Result<(), Failure> {
        let start = Instant::now();
        while !self.producer.flush(FLUSH_STEP) {
            beat();
            if let Some(record) = self.context.take_undelivered() {
                return Err(self.undelivered(&record));
            }
            if start.elapsed() > self.timeout * 2 {
                return Err(Failure::Abort(format!(
                    "records were not stored within {} s",
                    start.elapsed().as_secs()
                )));
            }
        }
        match self.context.take_undelivered() {
            Some(record) => Err(self.undelivered(&record)),
            None => Ok(()),
        }
    }

    /// One that was too large is sent smaller after the abort, where that can be done.
    fn undelivered(&mut self, record: &Undelivered) -> Failure {
        let is_too_large = record.code == RDKafkaErrorCode::MessageSizeTooLarge;
        let can_shrink = is_too_large && self.shrinking.contains(&record.topic);
        if !(can_shrink && self.limits.refused(&record.topic, record.bytes)) {
            return errors::undelivered(record);
        }
        let (topic, most) = (&record.topic, self.limits.max_record_bytes(&record.topic));
        warn!(
            topic,
            bytes = record.bytes,
            most,
            "a record is too large for its topic, so larger ones are cut or refused from now on; raise \
             max.message.bytes of the topic to keep them whole"
        );
        Failure::Abort(format!(
            "a record of {} bytes is too large for {topic}",
            record.bytes
        ))
    }

    /// Bytes of key, value and headers that a topic takes, as far as is known.
    pub(crate) fn max_record_bytes(&self, topic: &str) -> usize {
        self.limits.max_record_bytes(topic)
    }

    fn commit_transaction(
        &self,
        phases: &mut Phases,
        positions: &TopicPartitionList,
        consumer: &BaseConsumer<KafkaContext>,
    ) -> Result<(), Failure> {
        phases.begin("offsets");
        if positions.count() > 0 {
            check_membership(generation(consumer))?;
            // Read afresh: a generation that has passed must fail, and a new one must not.
            let group = consumer
                .group_metadata()
                .ok_or_else(|| Failure::Fatal("the consumer has no group metadata".into()))?;
            retry("sending offsets to the transaction", || {
                self.producer()
                    .send_offsets_to_transaction(positions, &group, self.timeout)
            })?;
        }
        phases.begin("commit");
        retry("committing the transaction", || {
            self.producer().commit_transaction(self.timeout)
        })
    }
}

/// A member that was thrown out of its group has an empty member id and no generation until it has joined again.
/// With `group.instance.id` brokers take such a commit for a second member of that name and answer
/// FENCED_INSTANCE_ID, which ends the client. So it is not sent: after the abort the worker hears from the group
/// what it has lost.
fn check_membership(generation: Option<i64>) -> Result<(), Failure> {
    let text = "this member is not in its group now, so its positions cannot be committed";
    match generation {
        Some(_) => Ok(()),
        None => Err(Failure::Abort(text.to_owned())),
    }
}

/// What a commit does, and since when.
#[derive(Default)]
struct Phases(Vec<(&'static str, Instant)>);

impl Phases {
    fn begin(&mut self, phase: &'static str) {
        self.0.push((phase, Instant::now()));
    }

    fn log_if_slow(&self) {
        let now = Instant::now();
        let is_slow = |(_, start): &(_, Instant)| now.duration_since(*start) > SLOW;
        if !self.0.first().is_some_and(is_slow) {
            return;
        }
        let ends = self.0.iter().skip(1).map(|(_, start)| *start).chain([now]);
        let phases = self.0.iter().zip(ends).map(|((phase, start), end)| {
            let took = end.duration_since(*start).as_millis();
            format!("{phase} {took} ms")
        });
        let phases: Vec<String> = phases.collect();
        warn!(
            phases = phases.join(", "),
            "the brokers were slow to take a commit"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_of_a_member_that_is_in_no_group_are_not_sent() {
        assert!(matches!(check_membership(None), Err(Failure::Abort(_))));
        assert!(check_membership(Some(0)).is_ok());
    }
}
