//! Questions about topics and their ends, also of what is not committed.

use std::time::{Duration, Instant};

use flockwise_runtime::broker::Failure;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::topic_partition_list::TopicPartitionListElem;
use rdkafka::{Offset, TopicPartitionList};
use tracing::debug;

use crate::clients::{self, PATIENCE};
use crate::events::Events;
use crate::faults;
use crate::identity::topic_id;
use crate::settings::KafkaSettings;

/// The pause before a question is asked again that no leader answered.
const BACKOFF: Duration = Duration::from_millis(50);

/// A client that reads nothing, and sees uncommitted records: the end that a committed reader sees lies
/// before open transactions.
pub(crate) struct Surveyor {
    consumer: BaseConsumer<Events>,
}

impl Surveyor {
    /// Makes the client; it connects when first used.
    pub(crate) fn new(settings: &KafkaSettings) -> Result<Self, Failure> {
        let consumer = clients::consumer(&settings.surveyor(), Events::new("surveyor"))?;
        Ok(Self { consumer })
    }

    /// The offset behind the newest record of each partition: one request to every broker that leads some.
    pub(crate) fn ends(&self, partitions: &[(String, u32)]) -> Result<Vec<i64>, Failure> {
        self.ask(partitions, Offset::End)
    }

    /// The offset of the oldest record that may be there.
    pub(crate) fn starts(&self, partitions: &[(String, u32)]) -> Result<Vec<i64>, Failure> {
        self.ask(partitions, Offset::Beginning)
    }

    /// What tells a topic from others of its name: the cluster's id and its own. Brokers of before 2.8 give
    /// topics none.
    pub(crate) fn identity(&self, topic: &str) -> Result<String, Failure> {
        let client = self.consumer.client();
        let id = topic_id(client, topic)?.unwrap_or_else(|| {
            debug!(topic, "the brokers give topics no id; its name has to do");
            topic.to_owned()
        });
        let cluster = client.fetch_cluster_id(PATIENCE).unwrap_or_default();
        Ok(format!("{cluster}.{id}"))
    }

    fn ask(&self, partitions: &[(String, u32)], what: Offset) -> Result<Vec<i64>, Failure> {
        if partitions.is_empty() {
            return Ok(Vec::new());
        }
        let start = Instant::now();
        loop {
            let answer = self.ask_once(partitions, what);
            // Nothing but notes can be in its queue.
            self.consumer.poll(Duration::ZERO);
            let error = match answer {
                Ok(offsets) => return Ok(offsets),
                Err(error) => error,
            };
            // Says in plain words what is missing or forbidden.
            for (topic, partition) in partitions {
                self.expect(topic, *partition)?;
            }
            if start.elapsed() > PATIENCE {
                return Err(faults::plain("asking for ends of partitions", &error));
            }
            // A leader that has moved is known after a moment.
            std::thread::sleep(BACKOFF);
        }
    }

    fn ask_once(&self, partitions: &[(String, u32)], what: Offset) -> KafkaResult<Vec<i64>> {
        let mut asked = TopicPartitionList::with_capacity(partitions.len());
        for (topic, partition) in partitions {
            asked.add_partition_offset(topic, partition.cast_signed(), what)?;
        }
        // Written as a time, -1 and -2 stand for the end and the beginning.
        let answer = self.consumer.offsets_for_times(asked, PATIENCE)?;
        let offset = |(topic, partition): &(String, u32)| {
            let found = answer.find_partition(topic, partition.cast_signed());
            offset(found)
        };
        partitions.iter().map(offset).collect()
    }

    fn expect(&self, topic: &str, partition: u32) -> Result<(), Failure> {
        if clients::partitions(self.consumer.client(), topic)? <= partition {
            return Err(faults::missing_topic(&format!(
                "{topic} with partition {partition}"
            )));
        }
        Ok(())
    }
}

fn offset(found: Option<TopicPartitionListElem<'_>>) -> KafkaResult<i64> {
    let unknown = KafkaError::MetadataFetch(RDKafkaErrorCode::UnknownPartition);
    let found = found.ok_or(unknown.clone())?;
    found.error()?;
    match found.offset() {
        Offset::Offset(offset) => Ok(offset),
        _ => Err(unknown),
    }
}
