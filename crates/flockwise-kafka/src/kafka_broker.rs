//! The worker's ports over Kafka: one consumer and one producer, with blocking calls from one thread.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use flockwise_runtime::batch::{Batch, Record};
use flockwise_runtime::broker::{
    Failure, GroupConsumer, Outgoing, Replayed, Start, TopicReader, Transactions, WorkerEvent,
};
use flockwise_runtime::topics::{Topic, TopicPartition, Topics};
use flockwise_vocabulary::lost_records::LostRecords;
use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{Offset, TopicPartitionList};
use tracing::{debug, warn};

use crate::assignment::Assignment;
use crate::classify_error;
use crate::client_context::KafkaContext;
use crate::client_metrics::KafkaMetrics;
use crate::client_queue::ConsumerQueue;
use crate::clients;
use crate::compare_group_offsets::GroupOffsets;
use crate::connect_worker::{SUBSCRIBED, connect_consumer, connect_producer, join};
use crate::fair_share::FairShare;
use crate::fence_former_owner::fence;
use crate::group_generation::generation;
use crate::group_leave;
use crate::offset_query::OffsetQuery;
use crate::partition_reader::{self, FillOutcome};
use crate::partition_replay::ReplayRequest;
use crate::purge_repartition_topic::Purger;
use crate::rebalance_acknowledgement::{Rebalance, RebalanceAck, RebalanceKind};
use crate::replay::Replayer;
use crate::retry::retry_for_known_topic;
use crate::settings::KafkaSettings;
use crate::statistics_monitor::StatisticsMonitor;
use crate::transactional_producer::TransactionalProducer;
use crate::wakeup::Wakeup;

/// The group is served at least this often: a member that does not poll is expelled.
const SERVE_INTERVAL: Duration = Duration::from_secs(1);

/// How long a topic's partition count is cached.
const PARTITION_COUNT_TTL: Duration = Duration::from_secs(2);

/// How soon held partitions are checked again.
const RECHECK_INTERVAL: Duration = Duration::from_millis(20);

/// A worker's clients: a group member, a transactional producer and, from first use on, a reader of topics.
pub struct KafkaBroker {
    assignment: Assignment,
    transaction: TransactionalProducer,
    group_offsets: GroupOffsets,
    purger: Purger,
    partitions: BTreeMap<Topic, (Instant, u32)>,
    replayer: Option<Replayer>,
    share: FairShare,
    group: ConsumerQueue,
    group_has_events: Arc<AtomicBool>,
    last_served: Instant,
    wakeup: Wakeup,
    context: KafkaContext,
    settings: KafkaSettings,
    monitor: StatisticsMonitor,
    topics: Topics,
}

impl KafkaBroker {
    /// Connects a producer and a consumer, takes over the transactional id and joins the group.
    ///
    /// # Errors
    /// [`Failure::Config`] if only a person can help: refused settings, wrong credentials, missing topics
    /// or permissions. [`Failure::Fatal`] if no broker answers within the start timeout.
    pub fn connect(settings: KafkaSettings, topics: Topics) -> Result<Self, Failure> {
        settings.check()?;
        let transaction = connect_producer(&settings, &topics)?;
        let wakeup = Wakeup::default();
        let context = KafkaContext::new("consumer");
        let group_has_events = Arc::new(AtomicBool::new(true));
        let partitions = transaction.partitions(&topics)?;
        let config = settings.member(partitions);
        let consumer = connect_consumer(&config, &context, &wakeup, &group_has_events)?;
        let group = ConsumerQueue::of_group(&consumer)
            .ok_or_else(|| Failure::Fatal("the consumer has no queue".into()))?;
        join(&consumer, &topics)?;
        Ok(Self {
            assignment: Assignment::new(consumer, wakeup.clone(), topics.clone()),
            transaction,
            group_offsets: GroupOffsets::default(),
            purger: Purger::new(topics.name(Topic::Repartition), settings.clone()),
            partitions: BTreeMap::new(),
            replayer: None,
            share: FairShare::default(),
            group,
            group_has_events,
            last_served: Instant::now(),
            wakeup,
            context,
            monitor: StatisticsMonitor::new(&topics, &settings),
            settings,
            topics,
        })
    }

    /// Exports the clients' statistics about connections and inputs, labelled with this worker's number.
    #[must_use]
    pub fn metered(mut self, metrics: &KafkaMetrics, worker: usize) -> Self {
        self.monitor.export_to(metrics);
        self.context.export_to(metrics, worker);
        self.transaction.context().export_to(metrics, worker);
        self
    }

    /// Serves the group if that is due. Returns a rebalance that the worker must act on.
    fn serve(&mut self) -> Result<Option<WorkerEvent>, Failure> {
        let is_due = self.last_served.elapsed() >= SERVE_INTERVAL;
        if is_due || self.group_has_events.load(Ordering::Acquire) {
            self.serve_group()?;
        }
        if self.assignment.is_ack_due() || self.assignment.leaving.is_acknowledged() {
            return Ok(None);
        }
        Ok(self.context.take_rebalance().map(|rebalance| {
            self.assignment.expect_ack(rebalance.kind);
            self.worker_event(&rebalance)
        }))
    }

    fn serve_group(&mut self) -> Result<(), Failure> {
        // Cleared before polling, so that an event that arrives meanwhile sets it again.
        self.group_has_events.store(false, Ordering::Release);
        self.last_served = Instant::now();
        loop {
            match self.group.client().poll(Duration::ZERO) {
                Some(Err(error)) => self.check_error(&error)?,
                Some(Ok(_)) => {
                    // Every partition has its own queue, so no record can arrive here.
                    return Err(Failure::Fatal(
                        "a record arrived outside its partition's queue".into(),
                    ));
                }
                None if self.group.is_empty() => break,
                None => {}
            }
        }
        self.assignment.log_again(self.last_served);
        self.monitor.update(&self.context);
        match self.context.client_errors().persistent_refusal() {
            Some(reason) => Err(classify_error::refused(
                &self.settings.bootstrap_servers,
                &reason,
            )),
            None => Ok(()),
        }
    }

    /// Handles an error of the consumer as a whole.
    fn check_error(&self, error: &KafkaError) -> Result<(), Failure> {
        match error {
            KafkaError::MessageConsumptionFatal(code) => Err(classify_error::consumer_ended(*code)),
            KafkaError::MessageConsumption(
                RDKafkaErrorCode::GroupAuthorizationFailed
                | RDKafkaErrorCode::TopicAuthorizationFailed
                | RDKafkaErrorCode::InconsistentGroupProtocol
                | RDKafkaErrorCode::InvalidSessionTimeout,
            ) => Err(classify_error::plain(
                &format!("joining group {}", self.settings.group),
                error,
            )),
            // librdkafka retries after the others, and the context has logged them.
            _ => Ok(()),
        }
    }

    fn worker_event(&self, rebalance: &Rebalance) -> WorkerEvent {
        let mut topic_partitions: Vec<TopicPartition> = rebalance
            .partitions
            .iter()
            .filter_map(|(name, partition)| self.topic_partition(name, *partition))
            .collect();
        topic_partitions.sort_unstable();
        match rebalance.kind {
            RebalanceKind::Assigned => WorkerEvent::Assigned(topic_partitions),
            RebalanceKind::Revoked => WorkerEvent::Revoked(topic_partitions),
            RebalanceKind::Lost => WorkerEvent::Lost(topic_partitions),
        }
    }

    fn topic_partition(&self, name: &str, partition: i32) -> Option<TopicPartition> {
        let topic = SUBSCRIBED
            .into_iter()
            .find(|topic| self.topics.name(*topic) == name)?;
        Some(TopicPartition {
            topic,
            partition: u32::try_from(partition).ok()?,
        })
    }

    /// Fills the batch with fetched records. Returns how soon to check held partitions again.
    fn read(&mut self, limit: usize, batch: &mut Batch) -> Result<Option<Duration>, Failure> {
        if !self.assignment.is_readable() {
            return Ok(None);
        }
        let readers = &mut self.assignment.readers;
        let max_skew_ms = self.settings.max_skew_ms;
        match partition_reader::fill(readers, &mut self.share, max_skew_ms, limit, batch)? {
            FillOutcome::Complete => Ok(None),
            FillOutcome::Held => Ok(Some(RECHECK_INTERVAL)),
            FillOutcome::Gone(topic_partition) => {
                let skipped = self
                    .assignment
                    .handle_data_loss(topic_partition, self.settings.lost_records)?;
                skipped.iter().for_each(|loss| self.monitor.skip(loss));
                Ok(Some(RECHECK_INTERVAL))
            }
        }
    }

    /// Takes the replayer out of `self`. Creates it at first use.
    fn take_replayer(&mut self) -> Result<Replayer, Failure> {
        let known = self.replayer.take();
        known.map_or_else(|| Replayer::new(&self.settings), Ok)
    }

    fn offset_query(&mut self) -> Result<&OffsetQuery, Failure> {
        let replayer = self.take_replayer()?;
        Ok(self.replayer.insert(replayer).offset_query())
    }

    fn list(&self, positions: &[(TopicPartition, i64)]) -> Result<TopicPartitionList, Failure> {
        let mut list = TopicPartitionList::new();
        for (topic_partition, position) in positions {
            let name = self.topics.name(topic_partition.topic);
            let partition = topic_partition.partition.cast_signed();
            list.add_partition_offset(&name, partition, Offset::Offset(*position))
                .map_err(|error| classify_error::plain("listing positions", &error))?;
        }
        Ok(list)
    }
}

impl GroupConsumer for KafkaBroker {
    fn poll(
        &mut self,
        timeout: Duration,
        limit: usize,
        batch: &mut Batch,
    ) -> Result<WorkerEvent, Failure> {
        batch.clear();
        let start = Instant::now();
        loop {
            if let Some(event) = self.serve()? {
                return Ok(event);
            }
            let again = self.read(limit, batch)?;
            if !batch.is_empty() {
                return Ok(WorkerEvent::Records);
            }
            let left = timeout.saturating_sub(start.elapsed());
            if left.is_zero() {
                return Ok(WorkerEvent::Idle);
            }
            self.wakeup.wait(left.min(again.unwrap_or(SERVE_INTERVAL)));
        }
    }

    fn open(&mut self, reads: &[(TopicPartition, Start)]) -> Result<(), Failure> {
        let consumer = self.group.client();
        self.group_offsets.compare(consumer, &self.topics, reads);
        self.assignment.open(reads)
    }

    fn close(&mut self, topic_partitions: &[TopicPartition]) -> Result<(), Failure> {
        self.assignment.close(topic_partitions)
    }

    fn report_progress(&mut self, topic_partition: TopicPartition, event_time_ms: i64) {
        self.assignment
            .report_progress(topic_partition, event_time_ms);
    }

    fn pause(&mut self, topic_partitions: &[TopicPartition]) {
        for reader in &mut self.assignment.readers {
            reader.is_held = topic_partitions.contains(&reader.topic_partition);
            reader.was_held |= reader.is_held;
        }
    }

    fn position(&self, topic_partition: TopicPartition) -> Option<i64> {
        self.assignment.next_offset(topic_partition)
    }

    fn leader_epoch(&self, topic_partition: TopicPartition) -> Option<i32> {
        self.assignment.leader_epoch(topic_partition)
    }

    fn log_append_ms(&self) -> Option<i64> {
        self.assignment.log_append_ms()
    }

    fn generation(&self) -> Option<i64> {
        // Once the close is acknowledged, librdkafka does not answer this.
        let is_member = !self.assignment.leaving.is_acknowledged();
        is_member.then(|| generation(self.group.client())).flatten()
    }

    fn lag(&self, topic_partition: TopicPartition) -> Option<u64> {
        let is_known = self.monitor.knows_end(topic_partition, Instant::now());
        self.assignment.lag(topic_partition).filter(|_| is_known)
    }

    fn halted(&self) -> Vec<TopicPartition> {
        self.assignment.halted()
    }

    fn skips_lost_records(&self) -> bool {
        self.settings.lost_records == LostRecords::Skip
    }

    fn leave(&mut self) -> bool {
        if !self.assignment.leaving.has_begun() {
            let served = self.serve_group();
            // Earlier rebalances are acknowledged before the close begins, see `group_leave`.
            if served.is_ok() && self.is_rebalance_pending() {
                return false;
            }
            self.assignment.leaving.begin();
            if let Err(error) = self.group.client().close_queue() {
                warn!(%error, "error while leaving the group");
                return true;
            }
        }
        self.group.client().closed()
    }
}

impl Transactions for KafkaBroker {
    fn transactional_id(&self) -> &str {
        &self.settings.transactional_id
    }

    fn fence(&mut self, name: &str) -> Result<(), Failure> {
        if name == self.transactional_id() {
            // Its own transaction holds up nobody else, and taking over its own id would fence itself.
            return self.transaction.require_closed();
        }
        fence(&self.settings, name)
    }

    fn send(&mut self, record: Outgoing<'_>) -> Result<(), Failure> {
        self.transaction.send(&record)
    }

    fn max_record_bytes(&self, topic: Topic) -> usize {
        self.transaction.max_record_bytes(&self.topics.name(topic))
    }

    fn commit(&mut self, positions: &[(TopicPartition, i64)]) -> Result<(), Failure> {
        let list = self.list(positions)?;
        if self.assignment.leaving.is_acknowledged() {
            return Err(Failure::Fatal("the group has been left".into()));
        }
        let consumer = self.group.client();
        self.transaction.commit(&list, consumer)?;
        self.assignment.committed(positions);
        self.purger.committed(positions);
        if let Err(error) = consumer.store_offsets(&list) {
            // Only librdkafka's own lag statistics need them.
            debug!(%error, "could not store offsets");
        }
        Ok(())
    }

    fn abort(&mut self) -> Result<(), Failure> {
        self.transaction.abort()
    }
}

impl TopicReader for KafkaBroker {
    fn replay(
        &mut self,
        topic_partition: TopicPartition,
        from: Option<i64>,
        each: &mut dyn FnMut(Record<'_>),
    ) -> Result<Replayed, Failure> {
        let replayed = self.replay_all(&[(topic_partition, from)], each)?;
        replayed.first().copied().ok_or_else(|| {
            Failure::Fatal(format!(
                "reading {topic_partition:?} from {from:?} gave no result"
            ))
        })
    }

    fn replay_all(
        &mut self,
        reads: &[(TopicPartition, Option<i64>)],
        each: &mut dyn FnMut(Record<'_>),
    ) -> Result<Vec<Replayed>, Failure> {
        let mut replayer = self.take_replayer()?;
        let read = |(topic_partition, from): &(TopicPartition, Option<i64>)| ReplayRequest {
            topic: self.topics.name(topic_partition.topic),
            topic_partition: *topic_partition,
            from: *from,
        };
        let reads: Vec<ReplayRequest> = reads.iter().map(read).collect();
        // The group is served meanwhile, so that a long restore does not cost the membership.
        let result = replayer.replay(&reads, each, &mut || self.serve_group());
        self.replayer = Some(replayer);
        result
    }

    fn read_uncommitted(
        &mut self,
        topic_partition: TopicPartition,
        from: i64,
        each: &mut dyn FnMut(Record<'_>),
    ) -> Result<(), Failure> {
        let topic = self.topics.name(topic_partition.topic);
        self.offset_query()?
            .read_uncommitted(&topic, topic_partition, from, each)
    }

    fn end_offsets(&mut self, topic_partitions: &[TopicPartition]) -> Result<Vec<i64>, Failure> {
        let partitions: Vec<(String, u32)> = topic_partitions
            .iter()
            .map(|topic_partition| {
                (
                    self.topics.name(topic_partition.topic),
                    topic_partition.partition,
                )
            })
            .collect();
        self.offset_query()?.end_offsets(&partitions)
    }

    fn topic_id(&mut self, topic: Topic) -> Result<String, Failure> {
        let name = self.topics.name(topic);
        let offset_query = self.offset_query()?;
        retry_for_known_topic(|| offset_query.topic_id(&name))
    }

    fn partitions(&mut self, topic: Topic) -> Result<u32, Failure> {
        if let Some((asked, count)) = self.partitions.get(&topic)
            && asked.elapsed() < PARTITION_COUNT_TTL
        {
            return Ok(*count);
        }
        let client = self.group.client().client();
        let name = self.topics.name(topic);
        let count = retry_for_known_topic(|| clients::partitions(client, &name))?;
        self.partitions.insert(topic, (Instant::now(), count));
        Ok(count)
    }
}

impl KafkaBroker {
    /// Is a rebalance not acknowledged yet?
    fn is_rebalance_pending(&self) -> bool {
        self.assignment.is_ack_due() || self.context.has_rebalance()
    }

    /// Gives the acknowledgement that a begun close may wait for, or leaves it to the rebalance callback.
    fn leave_group(&mut self) {
        if !self.group.client().closed() {
            if let Some(rebalance) = self.context.take_rebalance() {
                self.assignment.expect_ack(rebalance.kind);
            }
            self.assignment.leave_group();
        }
        self.context
            .set_rebalance_ack(if self.assignment.leaving.is_acknowledged() {
                RebalanceAck::Never
            } else {
                RebalanceAck::Once
            });
    }
}

impl Drop for KafkaBroker {
    fn drop(&mut self) {
        self.transaction.give_up();
        // Dropping the client closes it and waits for acknowledgements, which the worker loop no longer gives.
        if self.assignment.leaving.has_begun() {
            self.leave_group();
        } else {
            group_leave::acknowledge_all(&self.group, &self.context);
        }
    }
}
