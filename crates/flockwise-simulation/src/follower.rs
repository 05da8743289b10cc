//! A reader of committed records outside the group, for standbys.

use std::rc::Rc;
use std::time::Duration;

use flockwise_runtime::batch::Batch;
use flockwise_runtime::broker::{Failure, Follower};
use flockwise_runtime::topics::TopicPartition;

use crate::cluster_state::SharedCluster;
use crate::partition_log::polled;

/// Reads the committed records of some partitions as they arrive.
#[derive(Debug)]
pub struct SimulatedFollower {
    shared: Rc<SharedCluster>,
    /// Each partition that it follows, and the next offset to read.
    reads: Vec<(TopicPartition, i64)>,
}

impl SimulatedFollower {
    pub(crate) fn new(shared: Rc<SharedCluster>) -> Self {
        Self {
            shared,
            reads: Vec::new(),
        }
    }
}

impl Follower for SimulatedFollower {
    fn follow(&mut self, reads: &[(TopicPartition, Option<i64>)]) -> Result<(), Failure> {
        let before = std::mem::take(&mut self.reads);
        for &(topic_partition, from) in reads {
            self.shared.borrow().find(topic_partition)?;
            let known = before.iter().find(|(known, _)| *known == topic_partition);
            let next = known.map_or(from.unwrap_or(0), |(_, next)| *next);
            self.reads.push((topic_partition, next));
        }
        Ok(())
    }

    /// Never waits. Starts with another partition every time, so that a busy one does not starve the others.
    fn poll(&mut self, _timeout: Duration, limit: usize, batch: &mut Batch) -> Result<(), Failure> {
        batch.clear();
        let state = self.shared.borrow();
        let first = 1.min(self.reads.len());
        self.reads.rotate_left(first);
        for (topic_partition, next) in &mut self.reads {
            let left = limit - batch.len();
            for record in state
                .log(*topic_partition)
                .readable(*next)
                .iter()
                .take(left)
            {
                batch.push(polled(*topic_partition, record));
                *next = record.offset + 1;
            }
        }
        Ok(())
    }
}
