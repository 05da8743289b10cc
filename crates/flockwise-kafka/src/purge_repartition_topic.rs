//! Deletes forwarded records once their effect is committed.
//!
//! Their topic has no retention limit, since an unprocessed record must not be deleted. Processed records are
//! deleted every half minute. Nothing waits for a deletion. A failed one is tried again.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use flockwise_runtime::broker::Failure;
use flockwise_runtime::topics::{Topic, TopicPartition};
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::{Offset, TopicPartitionList};
use tracing::{debug, info, warn};

use crate::admin::admin_client;
use crate::client_context::KafkaContext;
use crate::settings::KafkaSettings;

/// The interval of deletions: short enough to keep the topic small, long enough to cost nothing.
const PURGE_INTERVAL: Duration = Duration::from_secs(30);

/// The pause after a refused deletion: somebody may grant the permission meanwhile.
const REFUSAL_BACKOFF: Duration = Duration::from_secs(3600);

type Deletion = Pin<Box<dyn Future<Output = KafkaResult<TopicPartitionList>> + Send>>;

/// Deletes the processed records of one topic.
pub(crate) struct Purger {
    topic: String,
    settings: KafkaSettings,
    client: Option<AdminClient<KafkaContext>>,
    processed: Processed,
    schedule: Schedule,
    running: Option<Deletion>,
}

impl Purger {
    /// Does not connect before there is something to delete.
    pub(crate) fn new(topic: String, settings: KafkaSettings) -> Self {
        Self {
            topic,
            settings,
            client: None,
            processed: Processed::default(),
            schedule: Schedule::new(Instant::now()),
            running: None,
        }
    }

    /// Notes committed positions. Starts a deletion if one is due.
    pub(crate) fn committed(&mut self, positions: &[(TopicPartition, i64)]) {
        self.processed.committed(positions);
        let now = Instant::now();
        if self.running.is_some() && self.schedule.may_check(now) {
            self.check(now);
        }
        if self.running.is_some() || self.processed.is_empty() || !self.schedule.is_due(now) {
            return;
        }
        match self.start() {
            Ok(deletion) => self.running = Some(deletion),
            Err(error) => warn!(%error, "error while deleting forwarded records"),
        }
        self.schedule.attempted(now);
    }

    fn start(&mut self) -> Result<Deletion, Failure> {
        let client = match self.client.take() {
            Some(client) => client,
            None => admin_client(&self.settings)?,
        };
        let mut list = TopicPartitionList::new();
        for (partition, position) in self.processed.begin() {
            let partition = partition.cast_signed();
            let added = list.add_partition_offset(&self.topic, partition, Offset::Offset(position));
            if let Err(error) = added {
                debug!(%error, "listing forwarded records to delete");
            }
        }
        let deletion = Box::pin(client.delete_records(&list, &AdminOptions::new()));
        self.client = Some(client);
        Ok(deletion)
    }

    /// Checks whether the last deletion has ended.
    fn check(&mut self, now: Instant) {
        let Some(deletion) = &mut self.running else {
            return;
        };
        let mut context = Context::from_waker(Waker::noop());
        let Poll::Ready(result) = deletion.as_mut().poll(&mut context) else {
            return;
        };
        self.running = None;
        self.note(&errors(&result), now);
    }

    fn note(&mut self, errors: &[(Option<u32>, KafkaError)], now: Instant) {
        self.processed
            .ended(errors.iter().map(|(partition, _)| *partition));
        let outcome = outcome(errors);
        let is_new = self.schedule.ended(outcome, now);
        let topic = &self.topic;
        match (outcome, errors.first()) {
            (PurgeOutcome::Refused, Some((_, error))) if is_new => warn!(
                topic,
                %error,
                "no permission to delete processed records, so the topic grows; give the principal Delete \
                 on it, or set its retention.ms. This is tried again every hour"
            ),
            (PurgeOutcome::Failed, Some((_, error))) => warn!(
                topic,
                partitions = errors.len(),
                %error,
                "processed records could not be deleted; this is tried again"
            ),
            (PurgeOutcome::Deleted, _) if is_new => {
                info!(topic, "processed records can be deleted again");
            }
            _ => {}
        }
    }
}

/// The errors of a deletion, with the partition of each; `None` stands for all of them.
fn errors(result: &KafkaResult<TopicPartitionList>) -> Vec<(Option<u32>, KafkaError)> {
    let list = match result {
        Ok(list) => list,
        Err(error) => return vec![(None, error.clone())],
    };
    let error = |element: rdkafka::topic_partition_list::TopicPartitionListElem<'_>| {
        let error = element.error().err()?;
        Some((u32::try_from(element.partition()).ok(), error))
    };
    list.elements().into_iter().filter_map(error).collect()
}

/// How a deletion ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PurgeOutcome {
    /// Everything was deleted.
    Deleted,
    /// A temporary failure: a timeout, a leader that moved, a broker that restarts.
    Failed,
    /// The principal has no permission, which only a person can change.
    Refused,
}

fn outcome(errors: &[(Option<u32>, KafkaError)]) -> PurgeOutcome {
    if errors.is_empty() {
        PurgeOutcome::Deleted
    } else if errors.iter().any(|(_, error)| is_refusal(error)) {
        PurgeOutcome::Refused
    } else {
        PurgeOutcome::Failed
    }
}

fn is_refusal(error: &KafkaError) -> bool {
    let code = match error {
        KafkaError::AdminOp(code) => Some(*code),
        other => other.rdkafka_error_code(),
    };
    matches!(
        code,
        Some(
            RDKafkaErrorCode::TopicAuthorizationFailed
                | RDKafkaErrorCode::ClusterAuthorizationFailed
        )
    )
}

/// When to delete next.
#[derive(Debug)]
struct Schedule {
    due: Instant,
    check_at: Instant,
    last: PurgeOutcome,
}

impl Schedule {
    fn new(now: Instant) -> Self {
        Self {
            due: now + PURGE_INTERVAL,
            check_at: now,
            last: PurgeOutcome::Deleted,
        }
    }

    fn is_due(&self, now: Instant) -> bool {
        now >= self.due
    }

    fn may_check(&self, now: Instant) -> bool {
        now >= self.check_at
    }

    fn attempted(&mut self, now: Instant) {
        self.due = now + PURGE_INTERVAL;
        self.check_at = now + PURGE_INTERVAL;
    }

    /// Notes how a deletion ended. Returns whether that differs from the deletion before.
    fn ended(&mut self, outcome: PurgeOutcome, now: Instant) -> bool {
        if outcome == PurgeOutcome::Refused {
            self.due = now + REFUSAL_BACKOFF;
        }
        std::mem::replace(&mut self.last, outcome) != outcome
    }
}

/// The first unprocessed offset of each partition.
#[derive(Debug, Default)]
struct Processed {
    /// Records before these offsets are to be deleted.
    waiting: BTreeMap<u32, i64>,
    /// Records before these offsets are being deleted.
    running: BTreeMap<u32, i64>,
}

impl Processed {
    fn committed(&mut self, positions: &[(TopicPartition, i64)]) {
        for (topic_partition, position) in positions {
            if topic_partition.topic == Topic::Repartition {
                self.waiting.insert(topic_partition.partition, *position);
            }
        }
    }

    fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Begins a deletion. Returns the offset of each partition before which to delete.
    fn begin(&mut self) -> impl Iterator<Item = (u32, i64)> {
        self.running = std::mem::take(&mut self.waiting);
        self.running.iter().map(|(key, value)| (*key, *value))
    }

    /// Ends the deletion, which failed for these partitions; `None` stands for all. They wait again.
    fn ended(&mut self, failed: impl Iterator<Item = Option<u32>>) {
        let running = std::mem::take(&mut self.running);
        for failed in failed {
            for (partition, position) in &running {
                if failed.is_none_or(|failed| failed == *partition) {
                    // A newer position, if there is one, is further on.
                    self.waiting.entry(*partition).or_insert(*position);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(code: RDKafkaErrorCode) -> Vec<(Option<u32>, KafkaError)> {
        vec![(Some(3), KafkaError::AdminOp(code))]
    }

    #[test]
    fn only_a_missing_permission_refuses() {
        let passing = [
            RDKafkaErrorCode::OperationTimedOut,
            RDKafkaErrorCode::RequestTimedOut,
            RDKafkaErrorCode::NotLeaderForPartition,
            RDKafkaErrorCode::BrokerTransportFailure,
            RDKafkaErrorCode::OffsetOutOfRange,
            RDKafkaErrorCode::UnknownTopicOrPartition,
        ];
        for code in passing {
            assert_eq!(outcome(&failed(code)), PurgeOutcome::Failed, "{code}");
        }
        let refused = RDKafkaErrorCode::TopicAuthorizationFailed;
        assert_eq!(outcome(&failed(refused)), PurgeOutcome::Refused);
        assert_eq!(outcome(&[]), PurgeOutcome::Deleted);
    }

    #[test]
    fn what_failed_is_tried_at_the_next_tick_and_what_is_refused_after_an_hour() {
        let start = Instant::now();
        let mut schedule = Schedule::new(start);
        assert!(!schedule.is_due(start));
        let now = start + PURGE_INTERVAL;
        assert!(schedule.is_due(now));
        schedule.attempted(now);
        assert!(schedule.ended(PurgeOutcome::Failed, now));
        assert!(!schedule.is_due(now) && schedule.is_due(now + PURGE_INTERVAL));

        assert!(schedule.ended(PurgeOutcome::Refused, now), "to be logged");
        assert!(!schedule.is_due(now + PURGE_INTERVAL));
        let later = now + REFUSAL_BACKOFF;
        assert!(schedule.is_due(later));
        schedule.attempted(later);
        assert!(
            !schedule.ended(PurgeOutcome::Refused, later),
            "logged before"
        );
        let granted = later + REFUSAL_BACKOFF;
        schedule.attempted(granted);
        assert!(schedule.ended(PurgeOutcome::Deleted, granted));
        assert!(schedule.is_due(granted + PURGE_INTERVAL));
    }

    #[test]
    fn what_was_not_deleted_waits_for_the_next_time() {
        let topic_partition = |partition| TopicPartition {
            topic: Topic::Repartition,
            partition,
        };
        let mut processed = Processed::default();
        processed.committed(&[
            (topic_partition(1), 10),
            (topic_partition(2), 20),
            (topic_partition(3), 30),
        ]);
        assert_eq!(processed.begin().count(), 3);
        assert!(processed.is_empty());
        processed.committed(&[(topic_partition(2), 25)]);
        processed.ended([Some(2), Some(3)].into_iter());
        assert_eq!(processed.begin().collect::<Vec<_>>(), [(2, 25), (3, 30)]);
        processed.ended([None].into_iter());
        assert_eq!(processed.begin().collect::<Vec<_>>(), [(2, 25), (3, 30)]);
        processed.ended(std::iter::empty());
        assert!(processed.is_empty());
    }
}
