//! librdkafka's callbacks. They only take notes; the worker loop acts on them.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

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
use crate::group_leave::{self, RebalanceAck};

/// A change of the partitions that this group member owns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rebalance {
    pub(crate) kind: RebalanceKind,
    /// Topic names and partitions.
    pub(crate) partitions: Vec<(String, i32)>,
}

/// What happened to the partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RebalanceKind {
    Assigned,
    Revoked,
    Lost,
}

/// A record that was not delivered.
#[derive(Clone, Debug)]
pub(crate) struct Undelivered {
    pub(crate) code: RDKafkaErrorCode,
    pub(crate) topic: String,
    pub(crate) partition: i32,
    pub(crate) bytes: usize,
}

/// A client's connection errors, the latest of each kind.
#[derive(Clone, Debug, Default)]
pub(crate) struct ClientErrors {
    /// Why a connection failed last.
    pub(crate) connection: Option<String>,
    /// All known brokers were down.
    pub(crate) all_down: bool,
    /// Credentials were refused.
    pub(crate) refused: Option<Refusal>,
    /// When each error code was last reported.
    said: BTreeMap<i32, Instant>,
}

/// A series of refusals of the credentials.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    since: Instant,
    latest: Instant,
    pub(crate) reason: String,
}

/// A repeated error is logged again only if it was absent for this long.
const QUIET: Duration = Duration::from_secs(10);

/// A refusal this long after the previous one starts a new series: librdkafka repeats an error every
/// half minute.
const UNRELATED: Duration = Duration::from_secs(90);

/// Refusals count as permanent after this long: a broker that has just started may refuse good credentials.
const PERSISTENT: Duration = Duration::from_secs(60);

impl ClientErrors {
    /// Should it be logged? librdkafka reports the same error repeatedly, each time with other details.
    fn is_news(&mut self, code: RDKafkaErrorCode, now: Instant) -> bool {
        let said = self.said.insert(code as i32, now);
        said.is_none_or(|before| now.duration_since(before) > QUIET)
    }

    fn refuse(&mut self, reason: &str, now: Instant) {
        let since = match &self.refused {
            Some(before) if now.duration_since(before.latest) < UNRELATED => before.since,
            _ => now,
        };
        self.refused = Some(Refusal {
            since,
            latest: now,
            reason: reason.to_owned(),
        });
    }

    /// Why credentials are refused, if that has lasted for [`PERSISTENT`].
    pub(crate) fn persistent_refusal(&self) -> Option<String> {
        let refusal = self.refused.as_ref()?;
        let lasted = refusal.latest.duration_since(refusal.since);
        (lasted >= PERSISTENT).then(|| refusal.reason.clone())
    }
}

/// The notes of one client's callbacks. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct KafkaContext(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    client: &'static str,
    rebalances: Mutex<VecDeque<Rebalance>>,
    undelivered: Mutex<Option<Undelivered>>,
    delivered_offset: Mutex<Option<i64>>,
    client_errors: Mutex<ClientErrors>,
    answers: Mutex<RebalanceAck>,
    statistics: Mutex<Option<Box<Statistics>>>,
    series: Mutex<Option<ClientSeries>>,
}

impl KafkaContext {
    /// For a client that is called `client` in the log.
    pub(crate) fn new(client: &'static str) -> Self {
        Self(Arc::new(Shared {
            client,
            rebalances: Mutex::default(),
            undelivered: Mutex::default(),
            delivered_offset: Mutex::default(),
            client_errors: Mutex::default(),
            answers: Mutex::default(),
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
    pub(crate) fn show_in(&self, metrics: &KafkaMetrics, worker: usize) {
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
    pub(crate) fn set_rebalance_ack(&self, answers: RebalanceAck) {
        *lock(&self.0.answers) = answers;
    }

    /// Who acknowledges the rebalance that has just arrived.
    fn rebalance_ack(&self) -> RebalanceAck {
        let mut answers = lock(&self.0.answers);
        let now = *answers;
        if now == RebalanceAck::Once {
            *answers = RebalanceAck::Never;
        }
        now
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Facilities that are logged at `debug` only: most are reported as errors too. `CONFWARN`: the user's
/// properties go to producers and consumers alike, and each complains about the other's.
const SAID_ELSEWHERE: [&str; 5] = ["CONFWARN", "ERROR", "FAIL", "FATAL", "TXNERR"];

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
        if (level as i32) <= RDKafkaLogLevel::Warning as i32 && !SAID_ELSEWHERE.contains(&facility)
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
        if client_errors.is_news(code, Instant::now()) {
            warn!(client = self.0.client, %code, reason, "kafka client error");
        }
        match code {
            RDKafkaErrorCode::AllBrokersDown => client_errors.all_down = true,
            RDKafkaErrorCode::Authentication | RDKafkaErrorCode::SaslAuthenticationFailed => {
                client_errors.refuse(reason, Instant::now());
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
            RebalanceAck::AtOnce => group_leave::answer(consumer, kind),
            RebalanceAck::Once => group_leave::acknowledge_close(consumer),
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
