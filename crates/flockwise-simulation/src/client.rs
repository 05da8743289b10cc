//! One worker's client of the cluster.

mod consumer;
mod producer;
mod reader;

use std::collections::BTreeMap;
use std::rc::Rc;

use flockwise_runtime::topics::{Topic, TopicPartition};

use crate::cluster_state::SharedCluster;
use crate::fetch_position::FetchPosition;

/// One member of the group, with its transactional producer. The cluster does not notice when it is dropped, as when a
/// process dies.
#[derive(Debug)]
pub struct SimulatedClient {
    shared: Rc<SharedCluster>,
    member: String,
    /// Epoch of its producer, by which a newer producer of the same name fences it.
    epoch: u64,
    /// Whether the worker has answered the last assignment with
    /// [`GroupConsumer::open`](flockwise_runtime::broker::GroupConsumer::open).
    is_open: bool,
    reads: Vec<FetchPosition>,
    /// For each topic whose id the client has asked for, the generation at that time.
    generations: BTreeMap<Topic, u32>,
}

impl SimulatedClient {
    pub(crate) fn join(shared: Rc<SharedCluster>, member: &str) -> Self {
        let epoch = shared.borrow().join(member);
        Self {
            shared,
            member: member.to_owned(),
            epoch,
            is_open: false,
            reads: Vec::new(),
            generations: BTreeMap::new(),
        }
    }

    fn read(&self, topic_partition: TopicPartition) -> Option<&FetchPosition> {
        self.reads
            .iter()
            .find(|read| read.topic_partition == topic_partition)
    }
}
