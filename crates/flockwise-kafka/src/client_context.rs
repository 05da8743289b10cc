//! librdkafka's callbacks. They only take notes; the worker loop acts on them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::ProducerContext;
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{Statistics, TopicPartitionList};
use tracing::{debug, warn};

use crate::client_metrics::{ClientSeries, KafkaMetrics};
use crate::connection_errors::ClientErrors;
use crate::rebalance_acknowledgement::{
    Rebalance, RebalanceAck, RebalanceKind, acknowledge_close, decline,
};

/// A record that was not delivered.
#[derive(Clone, Debug)]
pub(crate) struct Undelivered {
    pub(crate) code: RDKafkaErrorCode,
    pub(crate) topic: String,
    pub(crate) partition: i32,
    pub(crate) bytes: usize,
}

/// The notes of one client's callbacks. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct KafkaContext(Arc<CallbackNotes>);

#[derive(Debug)]
struct CallbackNotes {
    client: &'static str,
    rebalances: Mutex<VecDeque<Rebalance>>,
    undelivered: Mutex<Option<Undelivered>>,
    delivered_offset: Mutex<Option<i64>>,
    client_errors: Mutex<ClientErrors>,
    rebalance_ack: Mutex<RebalanceAck>,
    statistics: Mutex<Option<Box<Statistics>>>,
    series: Mutex<Option<ClientSeries>>,
}

impl KafkaContext {
    /// For a client that is called `client` in the log.
    pub(crate) fn new(client: &'static str) -> Self {
        Self(Arc::new(CallbackNotes {
            client,
            rebalances: Mutex::default(),
            undelivered: Mutex::default(),
            delivered_offset: Mutex::default(),
            client_errors: Mutex::default(),
            rebalance_ack: Mutex::default(),
            statistics: Mutex::default(),
            series: Mutex::default(),
        }))
    }

    /// Takes the oldest rebalance that was not taken yet.
    pub(crate) fn take_rebalance(&self) -> Option<Rebalance> {
        lock(&self.0.rebalances).pop_front()
    }

    /// Is there a rebalance that was not taken yet?
    pub(crate) fn has_rebalance(&self) -> bool {
        !lock(&self.0.rebalances).is_empty()
    }

    /// Takes the first undelivered record since the last call.
    pub(crate) fn take_undelivered(&self) -> Option<Undelivered> {
        lock(&self.0.undelivered).take()
    }

    /// Takes the offset of the last delivered record; `None` unless the client reports successful deliveries.
    pub(crate) fn take_delivered_offset(&self) -> Option<i64> {
        lock(&self.0.delivered_offset).take()
    }

    /// Takes the latest statistics; `None` if they were taken before.
    pub(crate) fn take_statistics(&self) -> Option<Box<Statistics>> {
        lock(&self.0.statistics).take()
    }

    /// Exports statistics as they arrive; a producer's also while its worker waits for brokers.
    pub(crate) fn export_to(&self, metrics: &KafkaMetrics, worker: usize) {
        let series = ClientSeries::new(metrics, worker, self.0.client);
        *lock(&self.0.series) = Some(series);
    }

    /// The connection errors since the last [`KafkaContext::clear_errors`].
    pub(crate) fn client_errors(&self) -> ClientErrors {
        lock(&self.0.client_errors).clone()
    }

    /// Forgets the connection errors, after a success.
    pub(crate) fn clear_errors(&self) {
        *lock(&self.0.client_errors) = ClientErrors::default();
    }

    /// Sets who acknowledges rebalances from now on.
    pub(crate) fn set_rebalance_ack(&self, rebalance_ack: RebalanceAck) {
        *lock(&self.0.rebalance_ack) = rebalance_ack;
    }

    /// Who acknowledges the rebalance that has just arrived.
    fn rebalance_ack(&self) -> RebalanceAck {
        let mut rebalance_ack = lock(&self.0.rebalance_ack);
        let now = *rebalance_ack;
        if now == RebalanceAck::Once {
            *rebalance_ack = RebalanceAck::Never;
        }
        now
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Facilities that are logged at `debug` only: most are reported as errors too. `CONFWARN`: the user's
/// properties go to producers and consumers alike, and each complains about the other's.
const LOGGED_ELSEWHERE: [&str; 5] = ["CONFWARN", "ERROR", "FAIL", "FATAL", "TXNERR"];

impl ClientContext for KafkaContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        let client = self.0.client;
        if facility == "FAIL" {
            // A listener that closes the connection immediately is reported only here.
            let reason = message
                .split_once("]: ")
                .map_or(message, |(_, reason)| reason);
            lock(&self.0.client_errors).connection = Some(reason.to_owned());
        }
        if (level as i32) <= RDKafkaLogLevel::Warning as i32
            && !LOGGED_ELSEWHERE.contains(&facility)
        {
            warn!(client, facility, "librdkafka: {message}");
        } else {
            debug!(client, facility, "librdkafka: {message}");
        }
    }

    fn stats(&self, statistics: Statistics) {
        if let Some(series) = &mut *lock(&self.0.series) {
            series.show(&statistics);
        }
        *lock(&self.0.statistics) = Some(Box::new(statistics));
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let Some(code) = error.rdkafka_error_code() else {
            return;
        };
        if code == RDKafkaErrorCode::PartitionEOF {
            return;
        }
        let mut client_errors = lock(&self.0.client_errors);
        let now = Instant::now();
        if let Some(suppressed) = client_errors.count(code, now) {
            warn!(client = self.0.client, %code, reason, suppressed, "kafka client error");
        }
        match code {
            RDKafkaErrorCode::AllBrokersDown => client_errors.all_down = true,
            RDKafkaErrorCode::Authentication | RDKafkaErrorCode::SaslAuthenticationFailed => {
                client_errors.refuse(reason, now);
            }
            RDKafkaErrorCode::BrokerTransportFailure
            | RDKafkaErrorCode::Resolve
            | RDKafkaErrorCode::SSL => client_errors.connection = Some(reason.to_owned()),
            _ => {}
        }
    }
}

impl ConsumerContext for KafkaContext {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        what: RDKafkaRespErr,
        partitions: &mut TopicPartitionList,
    ) {
        let kind = if what == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            RebalanceKind::Assigned
        } else if consumer.assignment_lost() {
            RebalanceKind::Lost
        } else {
            RebalanceKind::Revoked
        };
        match self.rebalance_ack() {
            RebalanceAck::Loop => self.note(kind, partitions),
            RebalanceAck::AtOnce => decline(consumer, kind),
            RebalanceAck::Once => acknowledge_close(consumer),
            RebalanceAck::Never => {}
        }
    }
}

impl KafkaContext {
    fn note(&self, kind: RebalanceKind, partitions: &TopicPartitionList) {
        let partitions = partitions
            .elements()
            .iter()
            .map(|element| (element.topic().to_owned(), element.partition()))
            .collect();
        debug!(?kind, ?partitions, "rebalance");
        lock(&self.0.rebalances).push_back(Rebalance { kind, partitions });
    }
}

impl ProducerContext for KafkaContext {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, _: ()) {
        let (error, message) = match result {
            Ok(message) => {
                *lock(&self.0.delivered_offset) = Some(message.offset());
                return;
            }
            Err(failed) => failed,
        };
        let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail);
        let mut first = lock(&self.0.undelivered);
        // Purged by an abort is expected, and later failures only follow from the first one.
        if first.is_none() && code != RDKafkaErrorCode::PurgeQueue {
            *first = Some(Undelivered {
                code,
                topic: message.topic().to_owned(),
                partition: message.partition(),
                bytes: message.payload_len() + message.key_len(),
            });
        }
    }
}
