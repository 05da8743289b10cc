//! The interface through which the scenarios use a broker: the in-process one or Kafka.

use std::sync::atomic::{AtomicU32, Ordering};

use flockwise_memory::CommittedRecord;
use flockwise_runtime::broker::{Broker, Failure};
use flockwise_runtime::topics::{Topic, Topics};

use crate::events::InputRecord;

/// A broker with one test's topics. Makes clients for workers, and reads and writes the topics without a worker.
pub trait TestBroker: Send + Sync + 'static {
    /// The client of a worker.
    type Client: Broker;

    /// Creates the topics; `None`, with a message on stderr, if there is no such broker.
    fn create(topics: Topics, input_partitions: &[u32]) -> Option<Self>
    where
        Self: Sized;

    /// Joins the group. A member that joins again under the same name keeps its identity.
    ///
    /// # Errors
    /// If the client cannot connect.
    fn join(&self, member: &str) -> Result<Self::Client, Failure>;

    /// Appends records to input topics, in order.
    fn put(&self, records: &[InputRecord]);

    /// The committed records of a topic: one list per partition, in offset order.
    fn read(&self, topic: Topic) -> Vec<Vec<CommittedRecord>>;

    /// The offset that the group has committed for a partition; `None` if it has committed none.
    fn committed(&self, topic: Topic, partition: u32) -> Option<i64>;

    /// True if the group has committed every record of the topics that it reads.
    fn is_drained(&self) -> bool;

    /// Fences a member's open transaction, as the broker does after a transaction timeout.
    fn fence_member(&self, member: &str);
}

/// Topics under names that are unique among tests and runs.
#[must_use]
pub fn topics(state_partitions: u32, inputs: usize) -> Topics {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let app = format!("test-{}-{number}", std::process::id());
    Topics {
        inputs: (0..inputs)
            .map(|input| format!("{app}-in{input}"))
            .collect(),
        app,
        state_partitions,
    }
}
