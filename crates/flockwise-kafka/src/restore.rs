//! Reading partitions from an offset, or their oldest committed record, to their ends as of now.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use flockwise_runtime::batch::Record;
use flockwise_runtime::broker::{Failure, Replayed};
use flockwise_runtime::pulse::beat;
use flockwise_runtime::topics::Source;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{Offset, TopicPartitionList};

use crate::bell::Bell;
use crate::clients;
use crate::events::Events;
use crate::faults;
use crate::reading::Reading;
use crate::settings::KafkaSettings;
use crate::surveyor::Surveyor;

/// How long to wait for records before looking around.
const STEP: Duration = Duration::from_millis(100);

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

/// What is asked for.
pub(crate) struct Read {
    pub(crate) topic: String,
    pub(crate) source: Source,
    /// `None`: from the oldest record.
    pub(crate) from: Option<i64>,
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

    /// Calls `each` with every committed record of each, oldest first, and `meanwhile` now and then. How far
    /// each got, in order.
    pub(crate) fn replay(
        &mut self,
        reads: &[Read],
        each: &mut dyn FnMut(Record<'_>),
        meanwhile: &mut dyn FnMut() -> Result<(), Failure>,
    ) -> Result<Vec<Replayed>, Failure> {
        let start = Instant::now();
        for read in reads {
            self.expect(&read.topic, read.source.partition)?;
        }
        let mut readings = self.readings(reads)?;
        if readings.iter().any(Reading::is_under_way) {
            self.assign(&readings)?;
            let read = self.read(&mut readings, each, meanwhile);
            let stopped = self.consumer.unassign();
            read?;
            stopped.map_err(|error| faults::plain("ending a restore", &error))?;
        }
        let elapsed_ms = start.elapsed().as_millis();
        readings.iter().for_each(|reading| reading.say(elapsed_ms));
        Ok(readings.iter().filter_map(|r| r.outcome).collect())
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

    /// What is to be read of each, and what there is no need to.
    fn readings<'a>(&self, reads: &'a [Read]) -> Result<Vec<Reading<'a>>, Failure> {
        let asked = |read: &Read| (read.topic.clone(), read.source.partition);
        let ends = self
            .surveyor
            .ends(&reads.iter().map(asked).collect::<Vec<_>>())?;
        let whole = reads.iter().filter(|read| read.from.is_none());
        let starts = self
            .surveyor
            .starts(&whole.map(asked).collect::<Vec<_>>())?;
        let mut starts = starts.into_iter();
        let reading = |(read, end): (&'a Read, i64)| {
            let start = read.from.or_else(|| starts.next()).unwrap_or_default();
            Reading::new(read, (start, end), &self.consumer, &self.bell)
        };
        reads.iter().zip(ends).map(reading).collect()
    }

    fn assign(&self, readings: &[Reading<'_>]) -> Result<(), Failure> {
        let mut list = TopicPartitionList::new();
        for reading in readings.iter().filter(|r| r.is_under_way()) {
            let (topic, partition, start) = reading.place();
            list.add_partition_offset(topic, partition, Offset::Offset(start))
                .map_err(|error| faults::plain("listing what to restore", &error))?;
        }
        self.consumer
            .assign(&list)
            .map_err(|error| faults::plain("starting a restore", &error))
    }

    fn read(
        &self,
        readings: &mut [Reading<'_>],
        each: &mut dyn FnMut(Record<'_>),
        meanwhile: &mut dyn FnMut() -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let mut looked = Instant::now();
        loop {
            beat();
            let (mut taken, mut is_over) = (0, true);
            for reading in readings.iter_mut().filter(|r| r.is_under_way()) {
                taken += reading.go_on(each)?;
                is_over &= !reading.is_under_way();
            }
            if is_over {
                return Ok(());
            }
            if taken == 0 {
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
