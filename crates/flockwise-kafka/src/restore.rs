//! Reading a partition from its oldest committed record to its end as of now.

use std::sync::Arc;
use std::time::{Duration, Instant};

use flockwise_runtime::batch::Record;
use flockwise_runtime::broker::{Failure, Replayed};
use flockwise_runtime::topics::Source;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};
use tracing::debug;

use crate::bell::Bell;
use crate::clients::{self, PATIENCE};
use crate::events::Events;
use crate::faults;
use crate::lanes::record;
use crate::partition_queue::{PartitionQueue, SLICE};
use crate::settings::KafkaSettings;

/// How long to wait for records before looking around.
const STEP: Duration = Duration::from_millis(100);

/// Longer than a transaction may live, until the broker has certainly ended it.
const MARGIN: Duration = Duration::from_secs(30);

/// Two clients of their own, kept from one restore to the next.
pub(crate) struct Restorer {
    consumer: Arc<BaseConsumer<Events>>,
    /// Reads uncommitted, since the end that a committed reader sees lies before open transactions.
    surveyor: BaseConsumer<Events>,
    bell: Bell,
    patience: Duration,
}

/// How far to read.
struct Goal {
    start: i64,
    end: i64,
}

impl Restorer {
    /// Makes the clients; they connect when first used.
    pub(crate) fn new(settings: &KafkaSettings) -> Result<Self, Failure> {
        let restorer = clients::consumer(&settings.restorer(), Events::new("restorer"))?;
        let surveyor = clients::consumer(&settings.surveyor(), Events::new("surveyor"))?;
        Ok(Self {
            consumer: Arc::new(restorer),
            surveyor,
            bell: Bell::default(),
            patience: Duration::from_millis(settings.transaction_timeout_ms()) + MARGIN,
        })
    }

    /// Calls `each` with every committed record, oldest first, and `meanwhile` now and then.
    pub(crate) fn replay(
        &self,
        topic: &str,
        source: Source,
        from: Option<i64>,
        each: &mut dyn FnMut(Record<'_>),
        meanwhile: &mut dyn FnMut() -> Result<(), Failure>,
    ) -> Result<Replayed, Failure> {
        let start = Instant::now();
        let mut goal = self.goal(topic, source.partition)?;
        if from.is_some_and(|from| !(goal.start..=goal.end).contains(&from)) {
            return Ok(Replayed::Gone);
        }
        goal.start = from.unwrap_or(goal.start);
        if goal.start >= goal.end {
            return Ok(Replayed::Whole(goal.end));
        }
        let partition = source.partition.cast_signed();
        let mut queue = PartitionQueue::open(&self.consumer, topic, partition, &self.bell)
            .ok_or_else(|| faults::missing_topic(topic))?;
        self.assign(topic, partition, goal.start)?;
        let read = self.read(&mut queue, topic, source, &goal, each, meanwhile);
        let stopped = self.consumer.unassign();
        let count = read?;
        stopped.map_err(|error| faults::plain("ending a restore", &error))?;
        debug!(
            topic,
            partition,
            records = count,
            elapsed_ms = start.elapsed().as_millis(),
            "restored"
        );
        Ok(Replayed::Whole(goal.end))
    }

    /// The offset behind the newest record.
    pub(crate) fn end(&self, topic: &str, partition: u32) -> Result<i64, Failure> {
        Ok(self.goal(topic, partition)?.end)
    }

    fn goal(&self, topic: &str, partition: u32) -> Result<Goal, Failure> {
        // A client that has not heard of the topic yet may take seconds to read it.
        if clients::partitions(self.consumer.client(), topic)? <= partition {
            return Err(faults::missing_topic(&format!(
                "{topic} with partition {partition}"
            )));
        }
        let (start, end) = self
            .surveyor
            .fetch_watermarks(topic, partition.cast_signed(), PATIENCE)
            .map_err(|error| faults::plain(&format!("asking for the end of {topic}"), &error))?;
        // Nothing but notes can be in its queue.
        self.surveyor.poll(Duration::ZERO);
        Ok(Goal { start, end })
    }

    fn assign(&self, topic: &str, partition: i32, start: i64) -> Result<(), Failure> {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, partition, Offset::Offset(start))
            .and_then(|()| self.consumer.assign(&list))
            .map_err(|error| faults::plain(&format!("reading {topic} from its start"), &error))
    }

    /// How many records there were.
    fn read(
        &self,
        queue: &mut PartitionQueue,
        topic: &str,
        source: Source,
        goal: &Goal,
        each: &mut dyn FnMut(Record<'_>),
        meanwhile: &mut dyn FnMut() -> Result<(), Failure>,
    ) -> Result<u64, Failure> {
        let (mut count, mut position) = (0, goal.start);
        let (mut advanced, mut looked) = (Instant::now(), Instant::now());
        loop {
            let mut error = None;
            let taken = queue.take(SLICE, |message| match message.error() {
                // Its offset is as far as could be read: the last records may have been compacted away.
                Some((RDKafkaErrorCode::PartitionEOF, _)) => {
                    position = position.max(message.offset());
                }
                Some(found) => error = Some(found),
                None if message.offset() < goal.end => {
                    each(record(source, message, false));
                    count += 1;
                }
                None => {}
            });
            if let Some((code, reason)) = error {
                return Err(broken(topic, source.partition, position, code, &reason));
            }
            // Asked only when nothing is left to take: it passes what was aborted as well.
            let reached = if taken < SLICE {
                queue.extent().position
            } else {
                None
            };
            if reached.is_some_and(|reached| reached > position) || taken > 0 {
                position = position.max(reached.unwrap_or(position));
                advanced = Instant::now();
            }
            if position >= goal.end {
                return Ok(count);
            }
            if taken == 0 {
                self.check_patience(topic, source.partition, position, goal.end, advanced)?;
                self.bell.wait(STEP);
            }
            if looked.elapsed() > STEP {
                self.consumer.poll(Duration::ZERO);
                meanwhile()?;
                looked = Instant::now();
            }
        }
    }

    fn check_patience(
        &self,
        topic: &str,
        partition: u32,
        position: i64,
        end: i64,
        advanced: Instant,
    ) -> Result<(), Failure> {
        if advanced.elapsed() < self.patience {
            return Ok(());
        }
        let seconds = self.patience.as_secs();
        Err(Failure::Fatal(format!(
            "{topic}/{partition} could not be read beyond offset {position} of {end} for {seconds} s: \
             a transaction is open there and does not end; find it with `kafka-transactions.sh \
             find-hanging` and abort it, or see whether the partition's leader is up"
        )))
    }
}

fn broken(
    topic: &str,
    partition: u32,
    position: i64,
    code: RDKafkaErrorCode,
    reason: &str,
) -> Failure {
    match faults::way_out(code) {
        Some(way_out) => Failure::Config(format!("reading {topic}: {reason}; {way_out}")),
        // What lay at the start was removed between asking and reading: a new start will find it so.
        None => Failure::Fatal(format!(
            "reading {topic}/{partition} at offset {position}: {code}: {reason}"
        )),
    }
}
