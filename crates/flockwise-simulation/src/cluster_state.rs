//! The state of a simulated cluster: partitions, group, producers and open transactions.

use std::cell::{RefCell, RefMut};
use std::collections::BTreeMap;

use flockwise_memory::CommittedRecord;
use flockwise_memory::group::Group;
use flockwise_memory::producer_epochs::ProducerEpochs;
use flockwise_runtime::broker::Failure;
use flockwise_runtime::clock::Moment;
use flockwise_runtime::topics::{Topic, TopicPartition, Topics};

use crate::compaction::Compactions;
use crate::conditions::Conditions;
use crate::partition_log::PartitionLog;
use crate::seeded_random::SeededRandom;

/// The state that the broker's handle, its clients and its followers share.
#[derive(Debug)]
pub(crate) struct SharedCluster(RefCell<ClusterState>);

/// Everything that the brokers of a cluster know.
#[derive(Debug)]
pub(crate) struct ClusterState {
    pub(crate) topics: Topics,
    pub(crate) logs: BTreeMap<TopicPartition, PartitionLog>,
    /// Of the compacted partitions.
    pub(crate) compactions: BTreeMap<TopicPartition, Compactions>,
    pub(crate) group: Group,
    pub(crate) conditions: Conditions,
    pub(crate) random: SeededRandom,
    /// Open transactions by their owner's name.
    pub(crate) open: BTreeMap<String, SimulatedTransaction>,
    pub(crate) producers: ProducerEpochs,
    /// When each member last polled.
    pub(crate) heard: BTreeMap<String, Moment>,
    /// How many more polls each member waits for news of the group. Drawn at random.
    pub(crate) delays: BTreeMap<String, u32>,
    /// Number of visible partitions of a topic, if some are hidden.
    pub(crate) shown: BTreeMap<Topic, u32>,
}

/// A transaction that has not ended.
#[derive(Debug)]
pub(crate) struct SimulatedTransaction {
    pub(crate) began: Moment,
    /// Partition and offset of each of its records.
    pub(crate) records: Vec<(TopicPartition, i64)>,
    /// Partition and position that the commit will set.
    pub(crate) positions: Vec<(TopicPartition, i64)>,
}

impl SharedCluster {
    pub(crate) fn new(state: ClusterState) -> Self {
        Self(RefCell::new(state))
    }

    pub(crate) fn borrow(&self) -> RefMut<'_, ClusterState> {
        self.0.borrow_mut()
    }

    /// Ends overdue sessions and transactions first, as every call of a client does that reaches a broker.
    pub(crate) fn call(&self) -> RefMut<'_, ClusterState> {
        let mut state = self.borrow();
        state.expire_overdue();
        state
    }
}

impl ClusterState {
    pub(crate) fn new(topics: Topics, input_partitions: &[u32], conditions: Conditions) -> Self {
        let internal = Topics::internal().map(|topic| (topic, topics.partitions(topic)));
        let inputs = (0..)
            .map(Topic::Input)
            .zip(input_partitions.iter().copied());
        let topic_partitions = internal.into_iter().chain(inputs);
        let topic_partitions: Vec<TopicPartition> = topic_partitions
            .flat_map(|(topic, count)| {
                (0..count).map(move |partition| TopicPartition { topic, partition })
            })
            .collect();
        let compacted = topic_partitions
            .iter()
            .filter(|topic_partition| Topics::is_compacted(topic_partition.topic));
        let subscribed = [Topic::Repartition, Topic::Samples];
        Self {
            compactions: compacted
                .map(|topic_partition| (*topic_partition, Compactions::default()))
                .collect(),
            logs: topic_partitions
                .iter()
                .map(|topic_partition| (*topic_partition, PartitionLog::new(0)))
                .collect(),
            group: Group::new(
                subscribed
                    .map(|topic| (topic, topics.partitions(topic)))
                    .to_vec(),
            ),
            random: SeededRandom::new(conditions.seed),
            open: BTreeMap::new(),
            producers: ProducerEpochs::default(),
            heard: BTreeMap::new(),
            delays: BTreeMap::new(),
            shown: BTreeMap::new(),
            topics,
            conditions,
        }
    }

    /// The partition, if it exists.
    pub(crate) fn find(&self, topic_partition: TopicPartition) -> Result<&PartitionLog, Failure> {
        let log = self.logs.get(&topic_partition);
        log.ok_or_else(|| Failure::Config(format!("{topic_partition:?} does not exist")))
    }

    /// A partition that exists.
    ///
    /// # Panics
    /// If it does not.
    pub(crate) fn log(&self, topic_partition: TopicPartition) -> &PartitionLog {
        &self.logs[&topic_partition]
    }

    /// A partition that exists.
    ///
    /// # Panics
    /// If it does not.
    pub(crate) fn log_mut(&mut self, topic_partition: TopicPartition) -> &mut PartitionLog {
        self.logs.get_mut(&topic_partition).expect("a partition")
    }

    /// Appends a record to a partition that exists, and returns its offset.
    ///
    /// # Panics
    /// If the topic is compacted and the record has no key.
    pub(crate) fn append(
        &mut self,
        topic_partition: TopicPartition,
        record: CommittedRecord,
    ) -> i64 {
        let is_keyed = record.key.is_some() || !Topics::is_compacted(topic_partition.topic);
        assert!(
            is_keyed,
            "a record without a key for {topic_partition:?}, which is compacted by key"
        );
        self.log_mut(topic_partition).append(record)
    }

    /// Number of visible partitions of a topic; `None` if it does not exist.
    pub(crate) fn partitions(&self, topic: Topic) -> Option<u32> {
        let partitions = self
            .logs
            .keys()
            .filter(|topic_partition| topic_partition.topic == topic);
        let count = partitions.count() as u32;
        let shown = self
            .shown
            .get(&topic)
            .map_or(count, |shown| count.min(*shown));
        (count > 0).then_some(shown)
    }

    /// Ends overdue sessions and transactions.
    pub(crate) fn expire_overdue(&mut self) {
        self.abort_overdue();
        self.expel_the_silent();
    }
}
