//! Reading a partition from an offset, or its oldest committed record, to its end as of now.

use std::collections::BTreeMap;
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
use crate::clients;
use crate::events::Events;
use crate::faults;
use crate::lanes::record;
use crate::partition_queue::{PartitionQueue, SLICE};
use crate::settings::KafkaSettings;
use crate::surveyor::Surveyor;

/// How long to wait for records before looking around.
const STEP: Duration = Duration::from_millis(100);

/// How long a transaction may hold reading up before its end is no longer waited for. One that is being
/// committed ends within milliseconds.
const HELD: Duration = Duration::from_millis(300);

/// How long a leader that does not answer is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// librdkafka forgets what it knows of a topic that nobody reads, and then takes seconds to start reading.
const FRESH: Duration = Duration::from_secs(60);

/// Two clients of their own, kept from one restore to the next.
pub(crate) struct Restorer {
    consumer: Arc<BaseConsumer<Events>>,
    surveyor: Surveyor,
    bell: Bell,
    /// Partitions of topics, and when they were asked for.
    known: BTreeMap<String, (Instant, u32)>,
}

/// What is to be read.
struct Goal<'a> {
    topic: &'a str,
    source: Source,
    start: i64,
    end: i64,
}

/// How far that has got.
struct Progress {
    count: u64,
    position: i64,
    /// Where the last readable record ended, when there was one to be looked for.
    readable_end: Option<i64>,
    advanced: Instant,
}

impl Restorer {
    /// Makes the clients; they connect when first used.
    pub(crate) fn new(settings: &KafkaSettings) -> Result<Self, Failure> {
        let restorer = clients::consumer(&settings.restorer(), Events::new("restorer"))?;
        Ok(Self {
            consumer: Arc::new(restorer),
            surveyor: Surveyor::new(settings)?,
            bell: Bell::default(),
            known: BTreeMap::new(),
        })
    }

    /// Who asks about topics.
    pub(crate) fn surveyor(&self) -> &Surveyor {
        &self.surveyor
    }

    /// Calls `each` with every committed record, oldest first, and `meanwhile` now and then.
    pub(crate) fn replay(
        &mut self,
        topic: &str,
        source: Source,
        from: Option<i64>,
        each: &mut dyn FnMut(Record<'_>),
        meanwhile: &mut dyn FnMut() -> Result<(), Failure>,
    ) -> Result<Replayed, Failure> {
        let start = Instant::now();
        self.expect(topic, source.partition)?;
        let Some(goal) = self.goal(topic, source, from)? else {
            return Ok(Replayed::Gone);
        };
        if goal.start >= goal.end {
            return Ok(Replayed::Whole(goal.end));
        }
        let partition = source.partition.cast_signed();
        let mut queue = PartitionQueue::open(&self.consumer, topic, partition, &self.bell)
            .ok_or_else(|| faults::missing_topic(topic))?;
        self.assign(topic, partition, goal.start)?;
        let mut progress = Progress::at(goal.start);
        let read = self.read(&mut queue, &goal, &mut progress, each, meanwhile);
        let stopped = self.consumer.unassign();
        let replayed = read?;
        stopped.map_err(|error| faults::plain("ending a restore", &error))?;
        debug!(
            topic,
            partition,
            records = progress.count,
            ?replayed,
            elapsed_ms = start.elapsed().as_millis(),
            "restored"
        );
        Ok(replayed)
    }

    /// Asks for a topic of which nothing was heard for a while.
    fn expect(&mut self, topic: &str, partition: u32) -> Result<(), Failure> {
        let known = self.known.get(topic);
        let known = known.filter(|(asked, count)| asked.elapsed() < FRESH && partition < *count);
        if known.is_some() {
            return Ok(());
        }
        let count = clients::partitions(self.consumer.client(), topic)?;
        if count <= partition {
            let name = format!("{topic} with partition {partition}");
            return Err(faults::missing_topic(&name));
        }
        self.known.insert(topic.to_owned(), (Instant::now(), count));
        Ok(())
    }

    /// `None`: there is no such offset.
    fn goal<'a>(
        &self,
        topic: &'a str,
        source: Source,
        from: Option<i64>,
    ) -> Result<Option<Goal<'a>>, Failure> {
        let asked = [(topic.to_owned(), source.partition)];
        let end = first(&self.surveyor.ends(&asked)?);
        let start = match from {
            // Whether it is behind the oldest is seen when it is read: retention may be faster.
            Some(from) if (0..=end).contains(&from) => from,
            Some(_) => return Ok(None),
            None => first(&self.surveyor.starts(&asked)?),
        };
        Ok(Some(Goal {
            topic,
            source,
            start,
            end,
        }))
    }

    fn assign(&self, topic: &str, partition: i32, start: i64) -> Result<(), Failure> {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, partition, Offset::Offset(start))
            .and_then(|()| self.consumer.assign(&list))
            .map_err(|error| faults::plain(&format!("reading {topic} from its start"), &error))
    }

    fn read(
        &self,
        queue: &mut PartitionQueue,
        goal: &Goal<'_>,
        progress: &mut Progress,
        each: &mut dyn FnMut(Record<'_>),
        meanwhile: &mut dyn FnMut() -> Result<(), Failure>,
    ) -> Result<Replayed, Failure> {
        let mut looked = Instant::now();
        loop {
            let taken = match take(queue, goal, progress, each) {
                Ok(taken) => taken,
                Err(Broken::Gone) => return Ok(Replayed::Gone),
                Err(Broken::Failed(failure)) => return Err(failure),
            };
            if progress.position >= goal.end {
                return Ok(Replayed::Whole(goal.end));
            }
            if taken == 0 {
                if progress.is_held() {
                    return Ok(Replayed::Held(progress.position));
                }
                progress.check_patience(goal)?;
                self.bell.wait(STEP);
            }
            if looked.elapsed() > STEP {
                self.consumer.poll(Duration::ZERO);
                meanwhile()?;
                looked = Instant::now();
            }
        }
    }
}

/// Why reading ended early.
enum Broken {
    Gone,
    Failed(Failure),
}

/// Takes what is at hand.
fn take(
    queue: &mut PartitionQueue,
    goal: &Goal<'_>,
    progress: &mut Progress,
    each: &mut dyn FnMut(Record<'_>),
) -> Result<usize, Broken> {
    let mut error = None;
    let taken = queue.take(SLICE, |message| match message.error() {
        // Its offset is as far as could be read: the last records may have been compacted away.
        Some((RDKafkaErrorCode::PartitionEOF, _)) => progress.ended(message.offset()),
        Some(found) => error = Some(found),
        None if message.offset() < goal.end => {
            each(record(goal.source, message, false));
            progress.count += 1;
        }
        None => {}
    });
    if let Some((code, reason)) = error {
        return Err(progress.broken(goal, code, &reason));
    }
    // Asked only when nothing is left to take: it passes what was aborted as well.
    let reached = (taken < SLICE).then(|| queue.extent().position).flatten();
    progress.reach(reached, taken);
    Ok(taken)
}

impl Progress {
    fn at(position: i64) -> Self {
        Self {
            count: 0,
            position,
            readable_end: None,
            advanced: Instant::now(),
        }
    }

    fn ended(&mut self, offset: i64) {
        self.readable_end = Some(offset);
        if offset > self.position {
            self.position = offset;
            self.advanced = Instant::now();
        }
    }

    fn reach(&mut self, reached: Option<i64>, taken: usize) {
        let is_further = reached.is_some_and(|reached| reached > self.position);
        self.position = self.position.max(reached.unwrap_or(self.position));
        if is_further || (taken > 0 && self.readable_end != Some(self.position)) {
            self.advanced = Instant::now();
        }
    }

    /// All that is committed has been read, and what follows does not get so.
    fn is_held(&self) -> bool {
        self.readable_end == Some(self.position) && self.advanced.elapsed() >= HELD
    }

    fn broken(&self, goal: &Goal<'_>, code: RDKafkaErrorCode, reason: &str) -> Broken {
        if code == RDKafkaErrorCode::AutoOffsetReset && self.count == 0 {
            return Broken::Gone;
        }
        let (topic, partition) = (goal.topic, goal.source.partition);
        Broken::Failed(match faults::way_out(code) {
            Some(way_out) => Failure::Config(format!("reading {topic}: {reason}; {way_out}")),
            // What comes next was removed while reading: a new start will find it so.
            None => Failure::Fatal(format!(
                "reading {topic}/{partition} at offset {}: {code}: {reason}",
                self.position
            )),
        })
    }

    fn check_patience(&self, goal: &Goal<'_>) -> Result<(), Failure> {
        if self.advanced.elapsed() < PATIENCE {
            return Ok(());
        }
        let (topic, partition) = (goal.topic, goal.source.partition);
        let (position, end) = (self.position, goal.end);
        Err(Failure::Fatal(format!(
            "{topic}/{partition} could not be read beyond offset {position} of {end} for {} s; see \
             whether the partition's leader is up",
            PATIENCE.as_secs()
        )))
    }
}

fn first(offsets: &[i64]) -> i64 {
    offsets.first().copied().unwrap_or_default()
}
