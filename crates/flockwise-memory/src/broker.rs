//! The broker as seen from outside the pipeline.

use std::sync::Arc;
use std::time::Duration;

use flockwise_runtime::topics::{Topic, TopicPartition, Topics};

use crate::client::MemoryClient;
use crate::record::Committed;
use crate::state::{Shared, after, until};

/// A handle to a broker; clones are handles to the same one.
#[derive(Clone, Debug)]
pub struct MemoryBroker {
    pub(crate) shared: Arc<Shared>,
}

impl MemoryBroker {
    /// A broker with these topics, and of each input topic so many partitions.
    ///
    /// # Panics
    /// Where there are not as many numbers as input topics.
    #[must_use]
    pub fn new(topics: Topics, input_partitions: &[u32]) -> Self {
        let shared = Arc::new(Shared::new(topics, input_partitions));
        Self { shared }
    }

    /// Keeps every record for good, compacted topics included: for tests.
    #[must_use]
    pub fn retaining(self) -> Self {
        self.shared.lock().is_retaining = true;
        self
    }

    /// Joins the group under a name; who had it before is fenced.
    #[must_use]
    pub fn worker(&self, member: &str) -> MemoryClient {
        MemoryClient::join(Arc::clone(&self.shared), member)
    }

    /// Appends a record, visible at once, and says its offset.
    ///
    /// # Panics
    /// Where there is no such partition, where it is compacted and the key missing, and above 1 GiB.
    pub fn append(
        &self,
        topic: Topic,
        partition: u32,
        timestamp_ms: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
    ) -> i64 {
        let source = TopicPartition { topic, partition };
        let number = self.shared.layout.accept(source, key, value);
        let number = number.unwrap_or_else(|reason| panic!("cannot append: {reason}"));
        let mut state = self.shared.lock();
        let offset = state.append(number, timestamp_ms, key, value);
        self.shared.notify(&state);
        offset
    }

    /// The committed records of a partition from an offset on, oldest first.
    ///
    /// # Panics
    /// Where there is no such partition.
    #[must_use]
    pub fn read(&self, topic: Topic, partition: u32, from: i64) -> Vec<Committed> {
        let number = self.require(topic, partition);
        let state = self.shared.lock();
        let records = state.logs[number].records(from);
        records
            .map(|(entry, parts)| Committed {
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

    /// Lets go of the records of a partition below an offset, once whoever reads it with
    /// [`MemoryBroker::read`] is done with them; nobody else lets go of what the group does not read.
    ///
    /// # Panics
    /// Where there is no such partition.
    pub fn forget(&self, topic: Topic, partition: u32, below: i64) {
        let number = self.require(topic, partition);
        self.shared.lock().trim(number, below);
    }

    /// How far the group has committed to have read a partition.
    ///
    /// # Panics
    /// Where there is no such partition.
    #[must_use]
    pub fn committed(&self, topic: Topic, partition: u32) -> Option<i64> {
        let number = self.require(topic, partition);
        self.shared.lock().logs[number].committed
    }

    /// Records of the inputs, of the repartition topic and of the samples that the group has yet to
    /// commit.
    #[must_use]
    pub fn backlog(&self) -> u64 {
        self.shared.backlog(&self.shared.lock())
    }

    /// Has the group committed all there is to be read? Once the last input is appended, this says
    /// that the pipeline is done.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        self.backlog() == 0
    }

    /// Waits until at most so many records are uncommitted, so that a producer stays a bounded way
    /// ahead. `false` where the patience ended first.
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

    /// Bytes of the records held.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.shared.lock().logs.iter().map(|log| log.bytes).sum()
    }

    /// Puts a member out of the group, as a broker does that has not heard of it for too long: its
    /// commits fail, it loses what it has, and comes back.
    pub fn expel(&self, member: &str) {
        let mut state = self.shared.lock();
        state.group.expel(member);
        self.shared.notify(&state);
    }

    pub(crate) fn require(&self, topic: Topic, partition: u32) -> usize {
        let number = self
            .shared
            .layout
            .require(TopicPartition { topic, partition });
        number.unwrap_or_else(|reason| panic!("{reason}"))
    }
}
