//! A broker as the scenarios need it from outside: the same for the in-process one and for Kafka.

use std::sync::atomic::{AtomicU32, Ordering};

use flockwise_memory::Committed;
use flockwise_runtime::broker::{Broker, Failure};
use flockwise_runtime::topics::{Topic, Topics};

use crate::events::InputRecord;

/// Topics on a broker, with clients for workers and a view from outside.
pub trait TestBroker: Send + Sync + 'static {
    /// A worker's client.
    type Client: Broker;

    /// Makes the topics; `None`, with a word on stderr, where there is no such broker.
    fn set(topics: Topics, input_partitions: &[u32]) -> Option<Self>
    where
        Self: Sized;

    /// Joins the group as a member that is known again under its name.
    ///
    /// # Errors
    /// As connecting a worker's client.
    fn join(&self, member: &str) -> Result<Self::Client, Failure>;

    /// Puts records into input topics, in order.
    fn put(&self, records: &[InputRecord]);

    /// The committed records of a topic, by partition and then in order.
    fn read(&self, topic: Topic) -> Vec<Vec<Committed>>;

    /// How far the group has committed to have read a partition.
    fn committed(&self, topic: Topic, partition: u32) -> Option<i64>;

    /// Has the group committed all there is to be read?
    fn is_drained(&self) -> bool;

    /// Makes a member's open transaction void, as happens to one that was silent for too long.
    fn void(&self, member: &str);
}

/// Topics under names that no other test has, on no run.
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
