//! The transaction protocol, in the only order that is fast: deliver, then offsets, then commit.

use std::time::{Duration, Instant};

use flockwise_runtime::broker::{Failure, Outgoing};
use flockwise_runtime::heartbeat::beat;
use flockwise_runtime::topics::{Topic, Topics};
use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::producer::Producer;
use tracing::{debug, warn};

use crate::classify_error;
use crate::client_context::{KafkaContext, Undelivered};
use crate::clients;
use crate::group_generation::generation;
use crate::pipeline_producer::PipelineProducer;
use crate::polled_producer::PolledProducer;
use crate::retry::retry;
use crate::settings::KafkaSettings;
use crate::size_limits::SizeLimits;

/// How long a dropped broker waits for the abort of its transaction.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(1);

/// A commit that takes longer is logged, since the worker stands still meanwhile.
const SLOW_COMMIT: Duration = Duration::from_secs(2);

/// How often to check for failed deliveries while waiting for the others.
const FLUSH_INTERVAL: Duration = Duration::from_millis(100);

/// A worker's producer and its transaction.
pub(crate) struct TransactionalProducer {
    producer: PipelineProducer,
    context: KafkaContext,
    /// The longest that a transaction stays open and a record undelivered.
    timeout: Duration,
    is_open: bool,
    limits: SizeLimits,
    /// Topics whose records can be made smaller: dead letters are cut, and an event too large to be forwarded
    /// becomes a dead letter.
    shrinkable: [String; 2],
}

impl TransactionalProducer {
    /// Takes over the transactional id from its former owner, and ends that owner's open transaction.
    pub(crate) fn take_over(
        producer: PipelineProducer,
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
            shrinkable: [Topic::DeadLetters, Topic::Repartition].map(|topic| topics.name(topic)),
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

    /// The most partitions that a worker's consumer may read.
    pub(crate) fn partitions(&self, topics: &Topics) -> Result<u32, Failure> {
        let client = self.producer().client();
        let mut total = topics.state_partitions + 1;
        for name in &topics.inputs {
            total += clients::partitions(client, name)?;
        }
        Ok(total)
    }

    /// Sends a record. Begins a transaction if none is open.
    pub(crate) fn send(&mut self, record: &Outgoing<'_>) -> Result<(), Failure> {
        self.begin()?;
        self.producer.send(record)
    }

    /// Commits everything sent, together with these positions.
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

    /// Discards what was sent since the last commit.
    pub(crate) fn abort(&mut self) -> Result<(), Failure> {
        self.producer.discard();
        if !self.is_open {
            return Ok(());
        }
        retry("aborting the transaction", || {
            self.producer().abort_transaction(self.timeout)
        })?;
        // The abort has purged what was not stored yet.
        self.producer().await_delivery(self.timeout);
        self.context.take_undelivered();
        self.is_open = false;
        Ok(())
    }

    /// Fails if a transaction is open: only an abort can end it, after which the worker rolls back.
    pub(crate) fn require_closed(&self) -> Result<(), Failure> {
        if self.is_open {
            let text = "this worker's own open transaction holds back what it reads";
            return Err(Failure::Abort(text.to_owned()));
        }
        Ok(())
    }

    /// Aborts an open transaction if that is possible within a second, so that readers need not wait for
    /// it to time out.
    pub(crate) fn give_up(&mut self) {
        if self.is_open {
            let aborted = self.producer().abort_transaction(LEAVE_TIMEOUT);
            debug!(?aborted, "dropped with an open transaction");
        }
        self.is_open = false;
    }

    /// The producer's context.
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

    /// Waits until every record is stored. Sending offsets before that, or leaving the wait to the commit,
    /// makes the commit twenty times slower.
    fn await_delivery(&mut self) -> Result<(), Failure> {
        let start = Instant::now();
        while !self.producer().await_delivery(FLUSH_INTERVAL) {
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

    /// The failure of a record. One that was too large is sent smaller after the abort, if that is possible.
    fn undelivered(&mut self, record: &Undelivered) -> Failure {
        let is_too_large = record.code == RDKafkaErrorCode::MessageSizeTooLarge;
        let can_shrink = is_too_large && self.shrinkable.contains(&record.topic);
        if !(can_shrink && self.limits.refused(&record.topic, record.bytes)) {
            return classify_error::undelivered(record);
        }
        let (topic, most) = (&record.topic, self.limits.max_record_bytes(&record.topic));
        warn!(
            topic,
            bytes = record.bytes,
            most,
            "a record is too large for its topic, so records above `most` bytes are cut or refused from now on; \
             raise max.message.bytes of the topic to keep them whole"
        );
        Failure::Abort(format!(
            "a record of {} bytes is too large for {topic}",
            record.bytes
        ))
    }

    /// The largest record that a topic accepts, as far as known: bytes of key, value and headers.
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
            // Read for each commit: an outdated generation must fail, and a new one must not.
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

/// Fails if the consumer is not a member of its group. A member that was expelled has an empty member id and no
/// generation until it has joined again. With `group.instance.id`, brokers take its commit for that of a second
/// member of that name and answer FENCED_INSTANCE_ID, which ends the client. So it is not sent. After the abort, the
/// group tells the worker what it has lost.
fn check_membership(generation: Option<i64>) -> Result<(), Failure> {
    let text =
        "this consumer is not a member of its group now, so its positions cannot be committed";
    match generation {
        Some(_) => Ok(()),
        None => Err(Failure::Abort(text.to_owned())),
    }
}

/// The phases of a commit, with the start of each.
#[derive(Default)]
struct Phases(Vec<(&'static str, Instant)>);

impl Phases {
    fn begin(&mut self, phase: &'static str) {
        self.0.push((phase, Instant::now()));
    }

    fn log_if_slow(&self) {
        let now = Instant::now();
        let is_slow = |(_, start): &(_, Instant)| now.duration_since(*start) > SLOW_COMMIT;
        if !self.0.first().is_some_and(is_slow) {
            return;
        }
        let ends = self.0.iter().skip(1).map(|(_, start)| *start).chain([now]);
        let phases = self.0.iter().zip(ends).map(|((phase, start), end)| {
            let took = end.duration_since(*start).as_millis();
            format!("{phase} {took} ms")
        });
        let phases: Vec<String> = phases.collect();
        warn!(phases = phases.join(", "), "slow commit");
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
