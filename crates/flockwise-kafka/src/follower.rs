//! [`Follower`] over Kafka: a consumer that joins no group and reads committed records as they arrive.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use flockwise_runtime::batch::Batch;
use flockwise_runtime::broker::{Failure, Follower};
use flockwise_runtime::topics::{TopicPartition, Topics};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};
use tracing::warn;

use crate::classify_error;
use crate::client_context::KafkaContext;
use crate::clients;
use crate::corrupt_batch::{SliceErrors, is_corrupt};
use crate::partition_queue::{PartitionQueue, SLICE_RECORDS};
use crate::partition_reader::record;
use crate::settings::KafkaSettings;
use crate::wakeup::Wakeup;

/// How often the client's events are served.
const SERVE_INTERVAL: Duration = Duration::from_secs(1);

/// Reads partitions for standbys. Its fetches wait on the broker, which gathers data for half a second, so
/// that following many quiet partitions costs next to nothing.
pub struct KafkaFollower {
    consumer: Arc<BaseConsumer<KafkaContext>>,
    context: KafkaContext,
    wakeup: Wakeup,
    servers: String,
    topics: Topics,
    followed: Vec<Followed>,
    /// Index of the partition that is read first.
    first: usize,
    last_served: Instant,
}

/// A followed partition.
struct Followed {
    topic: String,
    topic_partition: TopicPartition,
    from: Option<i64>,
    queue: PartitionQueue,
}

impl KafkaFollower {
    /// Connects a consumer that follows nothing yet.
    ///
    /// # Errors
    /// [`Failure::Config`] if only a person can help: refused settings, wrong credentials.
    /// [`Failure::Fatal`] if no broker answers within the start timeout.
    pub fn connect(settings: &KafkaSettings, topics: Topics) -> Result<Self, Failure> {
        settings.check()?;
        let context = KafkaContext::new("follower");
        let consumer = clients::consumer(&settings.follower(), context.clone())?;
        let asked = &settings.group;
        clients::reach(consumer.client(), &context, settings, asked, || {
            consumer.poll(Duration::ZERO);
        })?;
        Ok(Self {
            consumer: Arc::new(consumer),
            context,
            wakeup: Wakeup::default(),
            servers: settings.bootstrap_servers.clone(),
            topics,
            followed: Vec::new(),
            first: 0,
            last_served: Instant::now(),
        })
    }

    fn unfollow(&mut self, reads: &[(TopicPartition, Option<i64>)]) -> Result<(), Failure> {
        let is_wanted = |topic_partition: &TopicPartition| {
            reads.iter().any(|(wanted, _)| wanted == topic_partition)
        };
        let gone = self
            .followed
            .iter()
            .filter(|f| !is_wanted(&f.topic_partition));
        let list = list(gone)?;
        if list.count() > 0 {
            self.consumer
                .incremental_unassign(&list)
                .map_err(|error| classify_error::plain("unfollowing partitions", &error))?;
        }
        self.followed
            .retain(|followed| is_wanted(&followed.topic_partition));
        Ok(())
    }

    fn follow_new(&mut self, reads: &[(TopicPartition, Option<i64>)]) -> Result<(), Failure> {
        let mut counts = BTreeMap::new();
        let mut new = Vec::new();
        for (topic_partition, from) in reads {
            if self
                .followed
                .iter()
                .any(|known| known.topic_partition == *topic_partition)
            {
                continue;
            }
            let topic = self.topics.name(topic_partition.topic);
            // Without metadata, the first fetch waits for seconds.
            let count = match counts.get(&topic) {
                Some(count) => *count,
                None => clients::partitions(self.consumer.client(), &topic)?,
            };
            counts.insert(topic.clone(), count);
            if topic_partition.partition >= count {
                let name = format!("{topic} with partition {}", topic_partition.partition);
                return Err(classify_error::missing_topic(&name));
            }
            new.push(self.open_queue(*topic_partition, *from, topic)?);
        }
        let list = list(new.iter())?;
        if list.count() > 0 {
            self.consumer
                .incremental_assign(&list)
                .map_err(|error| classify_error::plain("following partitions", &error))?;
        }
        self.followed.extend(new);
        Ok(())
    }

    fn open_queue(
        &self,
        topic_partition: TopicPartition,
        from: Option<i64>,
        topic: String,
    ) -> Result<Followed, Failure> {
        let partition = topic_partition.partition.cast_signed();
        let queue = PartitionQueue::open(&self.consumer, &topic, partition, &self.wakeup)
            .ok_or_else(|| classify_error::missing_topic(&topic))?;
        Ok(Followed {
            topic,
            topic_partition,
            from,
            queue,
        })
    }

    fn serve(&mut self) -> Result<(), Failure> {
        self.last_served = Instant::now();
        self.consumer.poll(Duration::ZERO);
        match self.context.client_errors().persistent_refusal() {
            Some(reason) => Err(classify_error::refused(&self.servers, &reason)),
            None => Ok(()),
        }
    }

    /// Reads slices of all ready partitions in turn while there is room. Each call begins with another
    /// partition.
    fn read(&mut self, limit: usize, batch: &mut Batch) -> Result<(), Failure> {
        self.first = (self.first + 1) % self.followed.len().max(1);
        let mut read = true;
        while read {
            read = false;
            let (last, first) = self.followed.split_at_mut(self.first);
            for followed in first.iter_mut().chain(last) {
                let room = limit - batch.len();
                if room == 0 {
                    return Ok(());
                }
                read |= followed.queue.is_ready() && followed.read(room, batch)? > 0;
            }
        }
        Ok(())
    }
}

impl Follower for KafkaFollower {
    fn follow(&mut self, reads: &[(TopicPartition, Option<i64>)]) -> Result<(), Failure> {
        self.unfollow(reads)?;
        self.follow_new(reads)
    }

    fn poll(&mut self, timeout: Duration, limit: usize, batch: &mut Batch) -> Result<(), Failure> {
        batch.clear();
        let start = Instant::now();
        loop {
            if self.last_served.elapsed() >= SERVE_INTERVAL {
                self.serve()?;
            }
            self.read(limit, batch)?;
            let left = timeout.saturating_sub(start.elapsed());
            if !batch.is_empty() || left.is_zero() {
                return Ok(());
            }
            self.wakeup.wait(left.min(SERVE_INTERVAL));
        }
    }
}

impl Followed {
    /// Moves at most `most` records into the batch. Returns how many messages were taken.
    fn read(&mut self, most: usize, batch: &mut Batch) -> Result<usize, Failure> {
        let mut errors = SliceErrors::default();
        let topic_partition = self.topic_partition;
        let taken = self
            .queue
            .take(most.min(SLICE_RECORDS), |message| match message.error() {
                None => batch.push(record(topic_partition, message)),
                Some((code, reason)) => errors.add(code, reason),
            });
        match errors.worst {
            Some((code, reason)) => self.check_error(code, &reason).map(|()| taken),
            None => Ok(taken),
        }
    }

    fn check_error(&self, code: RDKafkaErrorCode, reason: &str) -> Result<(), Failure> {
        let (topic, partition) = (&self.topic, self.topic_partition.partition);
        if code == RDKafkaErrorCode::AutoOffsetReset {
            return Err(Failure::Fatal(format!(
                "following {topic}/{partition}: the next record is gone ({reason}); the standbys are \
                 rebuilt from the start"
            )));
        }
        if is_corrupt(code) {
            return Err(Failure::Fatal(format!(
                "following {topic}/{partition}: a batch cannot be read ({reason}); the standbys are \
                 rebuilt from the start"
            )));
        }
        if let Some(remedy) = classify_error::remedy(code) {
            let text = format!("following {topic}/{partition}: {reason}; {remedy}");
            return Err(Failure::Config(text));
        }
        warn!(%topic, partition, %code, reason, "error while following a partition");
        Ok(())
    }
}

fn list<'a>(followed: impl Iterator<Item = &'a Followed>) -> Result<TopicPartitionList, Failure> {
    let mut list = TopicPartitionList::new();
    for followed in followed {
        let offset = followed.from.map_or(Offset::Beginning, Offset::Offset);
        let partition = followed.topic_partition.partition.cast_signed();
        list.add_partition_offset(&followed.topic, partition, offset)
            .map_err(|error| classify_error::plain("listing partitions", &error))?;
    }
    Ok(list)
}
