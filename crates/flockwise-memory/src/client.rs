//! One worker's client of the broker.

mod consumer;
mod producer;
mod reader;

use std::sync::Arc;

use crate::broker_state::BrokerShared;
use crate::log_merge::{LogMerge, OpenPartition};
use crate::pending_transaction::PendingTransaction;

/// One member of the group, with its transaction. Leaves the group when dropped.
#[derive(Debug)]
pub struct MemoryClient {
    shared: Arc<BrokerShared>,
    member: String,
    epoch: u64,
    /// Whether the worker has answered the last assignment with
    /// [`GroupConsumer::open`](flockwise_runtime::broker::GroupConsumer::open).
    is_open: bool,
    reads: Vec<OpenPartition>,
    merge: LogMerge,
    transaction: PendingTransaction,
}

impl MemoryClient {
    pub(crate) fn join(shared: Arc<BrokerShared>, member: &str) -> Self {
        let mut state = shared.lock();
        state.group.join(member);
        let epoch = state.producers.begin(member);
        shared.notify(&state);
        drop(state);
        Self {
            shared,
            member: member.to_owned(),
            epoch,
            is_open: false,
            reads: Vec::new(),
            merge: LogMerge::default(),
            transaction: PendingTransaction::default(),
        }
    }
}

impl Drop for MemoryClient {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        if !state.producers.is_fenced(&self.member, self.epoch) {
            state.group.remove(&self.member);
            self.shared.notify(&state);
        }
    }
}
