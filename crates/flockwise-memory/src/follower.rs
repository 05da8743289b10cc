//! A reader of committed records outside the group, for standbys.

use std::sync::Arc;
use std::time::Duration;

use flockwise_runtime::batch::Batch;
use flockwise_runtime::broker::{Failure, Follower};
use flockwise_runtime::topics::TopicPartition;

use crate::client::{OpenPartition, record};
use crate::state::{BrokerShared, BrokerState, after, until};

/// Reads the committed records of some partitions as they arrive.
#[derive(Debug)]
pub struct MemoryFollower {
    shared: Arc<BrokerShared>,
    reads: Vec<OpenPartition>,
}

impl MemoryFollower {
    pub(crate) fn new(shared: Arc<BrokerShared>) -> Self {
        Self {
            shared,
            reads: Vec::new(),
        }
    }

    /// Starts with another partition every time, so that a busy one does not starve the others.
    fn fill(&mut self, state: &BrokerState, limit: usize, batch: &mut Batch) {
        let first = 1.min(self.reads.len());
        self.reads.rotate_left(first);
        for read in &mut self.reads {
            let left = limit - batch.len();
            for (entry, parts) in state.logs[read.number].records(read.next).take(left) {
                batch.push(record(read.source, entry, parts));
                read.next = entry.offset + 1;
            }
        }
    }
}

impl Follower for MemoryFollower {
    fn follow(&mut self, reads: &[(TopicPartition, Option<i64>)]) -> Result<(), Failure> {
        let before = std::mem::take(&mut self.reads);
        for &(source, from) in reads {
            let number = self
                .shared
                .layout
                .require(source)
                .map_err(Failure::Config)?;
            let known = before.iter().find(|read| read.source == source);
            let next = known.map_or(from.unwrap_or(0), |read| read.next);
            self.reads.push(OpenPartition {
                source,
                number,
                next,
                is_paused: false,
                generation: 0,
                leader_epoch: None,
                is_halted: false,
                is_rewound: false,
            });
        }
        Ok(())
    }

    fn poll(&mut self, patience: Duration, limit: usize, batch: &mut Batch) -> Result<(), Failure> {
        batch.clear();
        let shared = Arc::clone(&self.shared);
        let mut state = shared.lock();
        let deadline = after(patience);
        loop {
            self.fill(&state, limit, batch);
            let left = until(deadline).filter(|_| batch.is_empty() && state.simulation.is_none());
            let Some(left) = left else { return Ok(()) };
            state = shared.wait(state, left);
        }
    }
}
