//! Replays partitions from an offset, or their oldest committed record, to their current ends.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use flockwise_runtime::batch::Record;
use flockwise_runtime::broker::{Failure, Replayed};
use flockwise_runtime::heartbeat::beat;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{Offset, TopicPartitionList};

use crate::classify_error;
use crate::client_context::KafkaContext;
use crate::clients;
use crate::offset_query::OffsetQuery;
use crate::partition_replay::{PartitionReplay, ReplayRequest};
use crate::settings::KafkaSettings;
use crate::wakeup::Wakeup;

/// How long to wait for records before serving other events.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// How long metadata of a topic stay valid: librdkafka forgets unread topics, and then takes seconds to start reading.
const METADATA_TTL: Duration = Duration::from_secs(60);

/// Two clients besides the group member, kept from one restore to the next.
pub(crate) struct Replayer {
    consumer: Arc<BaseConsumer<KafkaContext>>,
    offset_query: OffsetQuery,
    wakeup: Wakeup,
    /// Partition counts by topic, and when they were requested.
    known: BTreeMap<String, (Instant, u32)>,
}

impl Replayer {
    /// Creates the clients. They connect at first use.
    pub(crate) fn new(settings: &KafkaSettings) -> Result<Self, Failure> {
        let replayer = clients::consumer(&settings.replayer(), KafkaContext::new("replayer"))?;
        Ok(Self {
            consumer: Arc::new(replayer),
            offset_query: OffsetQuery::new(settings)?,
            wakeup: Wakeup::default(),
            known: BTreeMap::new(),
        })
    }

    /// The client for queries about topics.
    pub(crate) fn offset_query(&self) -> &OffsetQuery {
        &self.offset_query
    }

    /// Calls `each` with every committed record of these partitions, each oldest first, and `meanwhile` about
    /// every [`POLL_INTERVAL`]. Returns how far each partition got, in order.
    pub(crate) fn replay(
        &mut self,
        reads: &[ReplayRequest],
        each: &mut dyn FnMut(Record<'_>),
        meanwhile: &mut dyn FnMut() -> Result<(), Failure>,
    ) -> Result<Vec<Replayed>, Failure> {
        let start = Instant::now();
        for read in reads {
            self.check_partition(&read.topic, read.topic_partition.partition)?;
        }
        let mut replays = self.replays(reads)?;
        if replays.iter().any(PartitionReplay::is_running) {
            self.assign(&replays)?;
            let read = self.read(&mut replays, each, meanwhile);
            let stopped = self.consumer.unassign();
            read?;
            stopped.map_err(|error| classify_error::plain("ending a restore", &error))?;
        }
        let elapsed_ms = start.elapsed().as_millis();
        replays.iter().for_each(|replay| replay.log(elapsed_ms));
        Ok(replays.iter().filter_map(|r| r.outcome).collect())
    }

    /// Requests the topic's metadata unless they are fresh, and checks that the partition exists.
    fn check_partition(&mut self, topic: &str, partition: u32) -> Result<(), Failure> {
        let known = self.known.get(topic);
        let known =
            known.filter(|(asked, count)| asked.elapsed() < METADATA_TTL && partition < *count);
        if known.is_some() {
            return Ok(());
        }
        let count = clients::partitions(self.consumer.client(), topic)?;
        if count <= partition {
            let name = format!("{topic} with partition {partition}");
            return Err(classify_error::missing_topic(&name));
        }
        self.known.insert(topic.to_owned(), (Instant::now(), count));
        Ok(())
    }

    /// Prepares a replay of each partition. Some have an outcome without reading.
    fn replays<'a>(&self, reads: &'a [ReplayRequest]) -> Result<Vec<PartitionReplay<'a>>, Failure> {
        let asked = |read: &ReplayRequest| (read.topic.clone(), read.topic_partition.partition);
        let ends = self
            .offset_query
            .end_offsets(&reads.iter().map(asked).collect::<Vec<_>>())?;
        let whole = reads.iter().filter(|read| read.from.is_none());
        let starts = self
            .offset_query
            .starts(&whole.map(asked).collect::<Vec<_>>())?;
        let mut starts = starts.into_iter();
        let replay = |(read, end): (&'a ReplayRequest, i64)| {
            let start = read.from.or_else(|| starts.next()).unwrap_or_default();
            PartitionReplay::new(read, (start, end), &self.consumer, &self.wakeup)
        };
        reads.iter().zip(ends).map(replay).collect()
    }

    fn assign(&self, replays: &[PartitionReplay<'_>]) -> Result<(), Failure> {
        let mut list = TopicPartitionList::new();
        for replay in replays.iter().filter(|r| r.is_running()) {
            let (topic, partition, start) = replay.start();
            list.add_partition_offset(topic, partition, Offset::Offset(start))
                .map_err(|error| classify_error::plain("listing what to restore", &error))?;
        }
        self.consumer
            .assign(&list)
            .map_err(|error| classify_error::plain("starting a restore", &error))
    }

    fn read(
        &self,
        replays: &mut [PartitionReplay<'_>],
        each: &mut dyn FnMut(Record<'_>),
        meanwhile: &mut dyn FnMut() -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let mut last_polled = Instant::now();
        loop {
            beat();
            let (mut taken, mut is_over) = (0, true);
            for replay in replays.iter_mut().filter(|r| r.is_running()) {
                taken += replay.advance(each)?;
                is_over &= !replay.is_running();
            }
            if is_over {
                return Ok(());
            }
            if taken == 0 {
                self.wakeup.wait(POLL_INTERVAL);
            }
            if last_polled.elapsed() > POLL_INTERVAL {
                self.consumer.poll(Duration::ZERO);
                meanwhile()?;
                last_polled = Instant::now();
            }
        }
    }
}
