//! What librdkafka calls back with, only noted: the worker loop acts on it.

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

/// A change of what this member of the group owns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rebalance {
    pub(crate) kind: RebalanceKind,
    /// Topic names and partitions.
    pub(crate) partitions: Vec<(String, i32)>,
}

/// Which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RebalanceKind {
    Assigned,
    Revoked,
    Lost,
}

/// A record that did not arrive.
#[derive(Clone, Debug)]
pub(crate) struct Undelivered {
    pub(crate) code: RDKafkaErrorCode,
    pub(crate) topic: String,
    pub(crate) partition: i32,
    pub(crate) bytes: usize,
}

/// What a client said about its connections, the latest of each kind.
#[derive(Clone, Debug, Default)]
pub(crate) struct ClientErrors {
    /// Why a connection failed.
    pub(crate) connection: Option<String>,
    /// Every broker that is known was down.
    pub(crate) all_down: bool,
    /// Credentials were refused.
    pub(crate) refused: Option<Refusal>,
    /// When each error was last said.
    said: BTreeMap<i32, Instant>,
}

/// Credentials that a broker did not take.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    since: Instant,
    latest: Instant,
    pub(crate) reason: String,
}

/// An error that goes on is worth a line after a pause, not every second.
const QUIET: Duration = Duration::from_secs(10);

/// A refusal this long after the one before has nothing to do with it: librdkafka repeats an error
/// every half minute.
const UNRELATED: Duration = Duration::from_secs(90);

/// A broker that has just started may refuse anybody for a moment.
const PERSISTENT: Duration = Duration::from_secs(60);

impl ClientErrors {
    /// The same error is said again and again, with some other detail.
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

    /// Why credentials have been refused again and again.
    pub(crate) fn persistent_refusal(&self) -> Option<String> {
        let refusal = self.refused.as_ref()?;
        let lasted = refusal.latest.duration_since(refusal.since);
        (lasted >= PERSISTENT).then(|| refusal.reason.clone())
    }
}

/// The notes of one client. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct KafkaContext(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    client: &'static str,
    rebalances: Mutex<VecDeque<Rebalance>>,
    undelivered: Mutex<Option<Undelivered>>,
    client_errors: Mutex<ClientErrors>,
    answers: Mutex<RebalanceAck>,
    statistics: Mutex<Option<Box<Statistics>>>,
    series: Mutex<Option<ClientSeries>>,
}

impl KafkaContext {
    /// Notes for a client, called `client` in the log.
    pub(crate) fn new(client: &'static str) -> Self {
        Self(Arc::new(Shared {
            client,
            rebalances: Mutex::default(),
            undelivered: Mutex::default(),
            client_errors: Mutex::default(),
            answers: Mutex::default(),
            statistics: Mutex::default(),
            series: Mutex::default(),
        }))
    }

    /// The oldest rebalance that has not been acted on.
    pub(crate) fn take_rebalance(&self) -> Option<Rebalance> {
        lock(&self.0.rebalances).pop_front()
    }

    /// Has a rebalance been noted that has not been acted on?
    pub(crate) fn has_rebalance(&self) -> bool {
        !lock(&self.0.rebalances).is_empty()
    }

    /// The first record that failed since this was last asked.
    pub(crate) fn take_undelivered(&self) -> Option<Undelivered> {
        lock(&self.0.undelivered).take()
    }

    /// The latest statistics, unless they were taken before.
    pub(crate) fn take_statistics(&self) -> Option<Box<Statistics>> {
        lock(&self.0.statistics).take()
    }

    /// Shows statistics as they come: of a producer also while its worker waits for brokers.
    pub(crate) fn show_in(&self, metrics: &KafkaMetrics, worker: usize) {
        let series = ClientSeries::new(metrics, worker, self.0.client);
        *lock(&self.0.series) = Some(series);
    }

    /// What connections have suffered from.
    pub(crate) fn client_errors(&self) -> ClientErrors {
        lock(&self.0.client_errors).clone()
    }

    /// Something went well, so what was noted is of the past.
    pub(crate) fn clear_errors(&self) {
        *lock(&self.0.client_errors) = ClientErrors::default();
    }

    /// Says who answers rebalances from here on.
    pub(crate) fn set_rebalance_ack(&self, answers: RebalanceAck) {
        *lock(&self.0.answers) = answers;
    }

    /// Who answers the rebalance that has just come.
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

/// Log lines that come as errors too; and of the user's properties, which go to producers and
/// consumers alike, each complains about the other's.
const SAID_ELSEWHERE: [&str; 5] = ["CONFWARN", "ERROR", "FAIL", "FATAL", "TXNERR"];

impl ClientContext for KafkaContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        let client = self.0.client;
        if facility == "FAIL" {
            // A listener that hangs up at once is told of here alone.
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
        let Err((error, message)) = result else {
            return;
        };
        let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail);
        let mut first = lock(&self.0.undelivered);
        // What an abort purges is no news, and what follows the first failure only follows it.
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
