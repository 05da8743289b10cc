//! A handle to a simulated cluster: for producers, and to look at what is in its topics.

use std::rc::Rc;

use flockwise_memory::CommittedRecord;
use flockwise_runtime::topics::{Topic, TopicPartition, Topics};

use crate::client::SimulatedClient;
use crate::cluster_state::{ClusterState, SharedCluster};
use crate::conditions::Conditions;
use crate::follower::SimulatedFollower;

/// A handle to a simulated cluster. Clones are handles to the same cluster.
///
/// Methods that take a partition panic if it does not exist.
#[derive(Clone, Debug)]
pub struct SimulatedBroker {
    pub(crate) shared: Rc<SharedCluster>,
}

impl SimulatedBroker {
    /// A cluster with these topics. `input_partitions` has the number of partitions of each input topic, in order.
    #[must_use]
    pub fn new(topics: Topics, input_partitions: &[u32], conditions: Conditions) -> Self {
        let state = ClusterState::new(topics, input_partitions, conditions);
        let shared = Rc::new(SharedCluster::new(state));
        Self { shared }
    }

    /// Joins the group as `member`. Fences an earlier member of the same name, and aborts its open transaction.
    #[must_use]
    pub fn worker(&self, member: &str) -> SimulatedClient {
        SimulatedClient::join(Rc::clone(&self.shared), member)
    }

    /// A reader outside the group.
    #[must_use]
    pub fn follower(&self) -> SimulatedFollower {
        SimulatedFollower::new(Rc::clone(&self.shared))
    }

    /// Appends a record, which is committed at once, and returns its offset.
    ///
    /// # Panics
    /// If the topic is compacted and `key` is `None`.
    pub fn append(
        &self,
        topic: Topic,
        partition: u32,
        timestamp_ms: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
    ) -> i64 {
        let record = CommittedRecord {
            offset: 0,
            timestamp_ms,
            key: key.map(<[u8]>::to_vec),
            value: value.map(<[u8]>::to_vec),
            headers: Vec::new(),
        };
        let topic_partition = TopicPartition { topic, partition };
        self.shared.borrow().append(topic_partition, record)
    }

    /// The committed records of a partition from an offset on, oldest first.
    #[must_use]
    pub fn read(&self, topic: Topic, partition: u32, from: i64) -> Vec<CommittedRecord> {
        let state = self.shared.borrow();
        state
            .log(TopicPartition { topic, partition })
            .readable(from)
            .to_vec()
    }

    /// The group's committed offset in a partition; `None` if it has none.
    #[must_use]
    pub fn committed(&self, topic: Topic, partition: u32) -> Option<i64> {
        let state = self.shared.borrow();
        state.log(TopicPartition { topic, partition }).committed
    }

    /// The last stable offset of a partition: the first one that a reader of committed records cannot read yet.
    #[must_use]
    pub fn stable(&self, topic: Topic, partition: u32) -> i64 {
        let state = self.shared.borrow();
        state.log(TopicPartition { topic, partition }).stable()
    }

    /// Whether an open transaction keeps readers of committed records from the end of a partition.
    #[must_use]
    pub fn is_held_back(&self, topic: Topic, partition: u32) -> bool {
        let state = self.shared.borrow();
        let log = state.log(TopicPartition { topic, partition });
        log.stable() < log.end
    }

    /// Ends overdue sessions and transactions, as every call of a client does.
    pub fn expire_overdue(&self) {
        self.shared.borrow().expire_overdue();
    }
}
