//! The broker's interface for producers, tests and everything else outside the pipeline.

use std::sync::Arc;
use std::time::Duration;

use flockwise_runtime::topics::{Topic, TopicPartition, Topics};

use crate::broker_state::{BrokerShared, after, until};
use crate::client::MemoryClient;
use crate::record::CommittedRecord;

/// A handle to a broker. Clones are handles to the same broker.
#[derive(Clone, Debug)]
pub struct MemoryBroker {
    shared: Arc<BrokerShared>,
}

impl MemoryBroker {
    /// A broker with these topics. `input_partitions` has the number of partitions of each input topic, in order.
    ///
    /// # Panics
    /// If the lengths of `topics.inputs` and `input_partitions` differ.
    #[must_use]
    pub fn new(topics: Topics, input_partitions: &[u32]) -> Self {
        let shared = Arc::new(BrokerShared::new(topics, input_partitions));
        Self { shared }
    }

    /// Joins the group as `member`. Fences an earlier member of the same name.
    #[must_use]
    pub fn worker(&self, member: &str) -> MemoryClient {
        MemoryClient::join(Arc::clone(&self.shared), member)
    }

    /// Appends a record, which is visible at once, and returns its offset.
    ///
    /// # Panics
    /// If the partition does not exist, if the topic is compacted and `key` is `None`, or if the record is larger
    /// than 1 GiB.
    pub fn append(
        &self,
        topic: Topic,
        partition: u32,
        timestamp_ms: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
    ) -> i64 {
        let topic_partition = TopicPartition { topic, partition };
        let number = self.shared.layout.accept(topic_partition, key, value);
        let number = number.unwrap_or_else(|reason| panic!("cannot append: {reason}"));
        let mut state = self.shared.lock();
        let offset = state.append(number, timestamp_ms, key, value);
        self.shared.notify(&state);
        offset
    }

    /// The committed records of a partition from an offset on, oldest first.
    ///
    /// # Panics
    /// If the partition does not exist.
    #[must_use]
    pub fn read(&self, topic: Topic, partition: u32, from: i64) -> Vec<CommittedRecord> {
        let number = self.require(topic, partition);
        let state = self.shared.lock();
        let records = state.logs[number].records(from);
        records
            .map(|(entry, parts)| CommittedRecord {
                offset: entry.offset,
                timestamp_ms: entry.timestamp_ms,
                key: parts.key.map(<[u8]>::to_vec),
                value: parts.value.map(<[u8]>::to_vec),
                headers: parts
                    .headers()
                    .map(|(name, content)| {
                        (String::from_utf8_lossy(name).into_owned(), content.to_vec())
                    })
                    .collect(),
            })
            .collect()
    }

    /// Frees the records of a partition below an offset. A caller that reads a topic with [`MemoryBroker::read`] must
    /// call this when it has processed them: records that the group does not read are not freed otherwise.
    ///
    /// # Panics
    /// If the partition does not exist.
    pub fn forget(&self, topic: Topic, partition: u32, below: i64) {
        let number = self.require(topic, partition);
        self.shared.lock().trim(number, below);
    }

    /// The group's committed offset in a partition; `None` if it has none.
    ///
    /// # Panics
    /// If the partition does not exist.
    #[must_use]
    pub fn committed(&self, topic: Topic, partition: u32) -> Option<i64> {
        let number = self.require(topic, partition);
        self.shared.lock().logs[number].committed
    }

    /// Number of records of the input, repartition and samples topics that the group has not committed yet.
    #[must_use]
    pub fn backlog(&self) -> u64 {
        self.shared.backlog(&self.shared.lock())
    }

    /// Whether the group has committed all records. After the last input is appended, this means that the pipeline
    /// is done.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        self.backlog() == 0
    }

    /// Waits until at most `at_most` records are uncommitted, so that a producer stays a bounded distance ahead.
    /// Returns `false` if `patience` ends first.
    #[must_use]
    pub fn wait_for_backlog(&self, at_most: u64, patience: Duration) -> bool {
        let deadline = after(patience);
        let mut state = self.shared.lock();
        while self.shared.backlog(&state) > at_most {
            let Some(left) = until(deadline) else {
                return false;
            };
            state = self.shared.wait(state, left);
        }
        true
    }

    /// Bytes of all records in memory.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.shared.lock().logs.iter().map(|log| log.bytes).sum()
    }

    /// Removes a member from the group, as a broker does when the member's session times out. Its commits fail, it
    /// loses its partitions, and it joins again.
    pub fn expel(&self, member: &str) {
        let mut state = self.shared.lock();
        state.group.expel(member);
        self.shared.notify(&state);
    }

    fn require(&self, topic: Topic, partition: u32) -> usize {
        let number = self
            .shared
            .layout
            .require(TopicPartition { topic, partition });
        number.unwrap_or_else(|reason| panic!("{reason}"))
    }
}
