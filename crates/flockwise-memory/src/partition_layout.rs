//! All partitions of the broker, and their numbers.

use flockwise_runtime::topics::{Topic, TopicPartition, Topics};

use crate::record::LARGEST_RECORD_BYTES;

/// The numbered partitions of all topics. Fixed for the life of a broker.
#[derive(Debug)]
pub(crate) struct PartitionLayout {
    topics: Topics,
    /// For each topic, internal ones first: the number of its first partition, and how many it has.
    spans: Vec<(usize, u32)>,
}

impl PartitionLayout {
    pub(crate) fn new(topics: Topics, input_partitions: &[u32]) -> Self {
        assert_eq!(
            topics.inputs.len(),
            input_partitions.len(),
            "each input topic needs a number of partitions"
        );
        let internal = Topics::internal().map(|topic| topics.partitions(topic));
        let counts = internal.iter().chain(input_partitions);
        let spans = counts
            .scan(0, |first, count| {
                let span = (*first, *count);
                *first += *count as usize;
                Some(span)
            })
            .collect();
        Self { topics, spans }
    }

    /// A topic's name.
    pub(crate) fn name(&self, topic: Topic) -> String {
        self.topics.name(topic)
    }

    /// Number of partitions of all topics together.
    pub(crate) fn len(&self) -> usize {
        self.spans
            .last()
            .map_or(0, |(first, count)| first + *count as usize)
    }

    /// The number of a partition, if it exists.
    pub(crate) fn number(&self, topic_partition: TopicPartition) -> Option<usize> {
        let (first, count) = *self.spans.get(index(topic_partition.topic))?;
        (topic_partition.partition < count).then_some(first + topic_partition.partition as usize)
    }

    /// The number of a partition, or an error text if it does not exist.
    pub(crate) fn require(&self, topic_partition: TopicPartition) -> Result<usize, String> {
        self.number(topic_partition).ok_or_else(|| {
            let count = self.partitions(topic_partition.topic).unwrap_or(0);
            format!(
                "partition {} of {:?} does not exist: the topic has {count}",
                topic_partition.partition, topic_partition.topic
            )
        })
    }

    /// The number of a partition that accepts this record, or an error text if it does not.
    pub(crate) fn accept(
        &self,
        topic_partition: TopicPartition,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
    ) -> Result<usize, String> {
        let number = self.require(topic_partition)?;
        let bytes = key.map_or(0, <[u8]>::len) + value.map_or(0, <[u8]>::len);
        if bytes > LARGEST_RECORD_BYTES {
            return Err(format!(
                "a record of {bytes} bytes for {}: at most {LARGEST_RECORD_BYTES} are accepted",
                self.topics.name(topic_partition.topic)
            ));
        }
        if key.is_none() && Topics::is_compacted(topic_partition.topic) {
            return Err(format!(
                "a record without a key for {}, which is compacted by key",
                self.topics.name(topic_partition.topic)
            ));
        }
        Ok(number)
    }

    /// Number of partitions of a topic; `None` if it does not exist.
    pub(crate) fn partitions(&self, topic: Topic) -> Option<u32> {
        self.spans.get(index(topic)).map(|(_, count)| *count)
    }

    /// All partitions, in the order of their numbers.
    pub(crate) fn topic_partitions(&self) -> impl Iterator<Item = TopicPartition> {
        let inputs = (0..self.topics.inputs.len()).filter_map(|input| u16::try_from(input).ok());
        let topics = Topics::internal()
            .into_iter()
            .chain(inputs.map(Topic::Input));
        topics.zip(&self.spans).flat_map(|(topic, (_, count))| {
            (0..*count).map(move |partition| TopicPartition { topic, partition })
        })
    }
}

/// Whether the group commits positions in this topic.
pub(crate) fn is_consumed(topic: Topic) -> bool {
    matches!(topic, Topic::Input(_) | Topic::Repartition | Topic::Samples)
}

fn index(topic: Topic) -> usize {
    match topic {
        Topic::Repartition => 0,
        Topic::Samples => 1,
        Topic::Model => 2,
        Topic::Lineage => 3,
        Topic::Changelog => 4,
        Topic::SegmentChanges => 5,
        Topic::DeadLetters => 6,
        Topic::Pipeline => 7,
        Topic::Summaries => 8,
        Topic::Input(input) => 9 + usize::from(input),
    }
}
