//! Rebalances of the group, and how they are acknowledged without a worker loop.

use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, RebalanceProtocol};
use rdkafka::error::KafkaResult;
use tracing::warn;

/// A change of the partitions that this group member owns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rebalance {
    pub(crate) kind: RebalanceKind,
    /// Topic names and partitions.
    pub(crate) partitions: Vec<(String, i32)>,
}

/// What happened to the partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RebalanceKind {
    Assigned,
    Revoked,
    Lost,
}

/// Who acknowledges a rebalance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum RebalanceAck {
    /// The worker loop.
    #[default]
    Loop,
    /// The rebalance callback, immediately: there is no worker loop any more.
    AtOnce,
    /// The rebalance callback, but only for the first one: a close has begun.
    Once,
    /// Nobody: the close is acknowledged.
    Never,
}

/// Acknowledges a rebalance without accepting or keeping any partition.
pub(crate) fn decline<C: ConsumerContext>(consumer: &BaseConsumer<C>, kind: RebalanceKind) {
    let protocol = consumer.rebalance_protocol();
    let is_cooperative = matches!(protocol, RebalanceProtocol::Cooperative);
    let none = TopicPartitionList::new();
    log_error(match (kind, is_cooperative) {
        (RebalanceKind::Assigned, false) => consumer.assign(&none),
        (RebalanceKind::Assigned, true) => consumer.incremental_assign(&none),
        (_, false) => consumer.unassign(),
        (_, true) => consumer
            .assignment()
            .and_then(|all| consumer.incremental_unassign(&all)),
    });
}

/// Gives the one acknowledgement of a begun close, under any protocol.
pub(crate) fn acknowledge_close<C: ConsumerContext>(consumer: &BaseConsumer<C>) {
    log_error(consumer.unassign());
}

fn log_error(acknowledged: KafkaResult<()>) {
    if let Err(error) = acknowledged {
        warn!(%error, "error while giving up the assignment");
    }
}
