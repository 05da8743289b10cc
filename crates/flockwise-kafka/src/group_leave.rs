//! Leaves the group, with or without a worker loop that acknowledges rebalances.
//!
//! librdkafka waits until a rebalance is acknowledged, and so does a close. An acknowledgement that nothing waits for
//! is lost if the close has just completed, and its caller blocks forever (librdkafka's issue 4884). A close revokes
//! everything, in addition to what may be queued already, and takes one acknowledgement for all of it. So once a close
//! has begun, one acknowledgement is given and no more.

use std::time::Duration;

use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer, RebalanceProtocol};
use rdkafka::error::KafkaResult;
use tracing::warn;

use crate::context::{KafkaContext, RebalanceKind};
use crate::partition_queue::GroupQueue;

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

/// How far leaving the group has got.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum LeaveState {
    #[default]
    NotYet,
    Begun,
    Answered,
}

impl LeaveState {
    /// The close of the client begins.
    pub(crate) fn begin(&mut self) {
        *self = Self::Begun;
    }

    pub(crate) fn has_begun(self) -> bool {
        self != Self::NotYet
    }

    /// Is the close acknowledged? After that, no call about the group may be made.
    pub(crate) fn is_acknowledged(self) -> bool {
        self == Self::Answered
    }

    /// Acknowledges the close under any protocol, unless that is done already.
    pub(crate) fn answer(&mut self, consumer: &BaseConsumer<KafkaContext>) {
        if !self.is_acknowledged() {
            *self = Self::Answered;
            acknowledge_close(consumer);
        }
    }
}

/// Acknowledges a rebalance without accepting or keeping any partition.
pub(crate) fn answer(consumer: &BaseConsumer<KafkaContext>, kind: RebalanceKind) {
    let protocol = consumer.rebalance_protocol();
    let is_cooperative = matches!(protocol, RebalanceProtocol::Cooperative);
    let none = TopicPartitionList::new();
    say(match (kind, is_cooperative) {
        (RebalanceKind::Assigned, false) => consumer.assign(&none),
        (RebalanceKind::Assigned, true) => consumer.incremental_assign(&none),
        (_, false) => consumer.unassign(),
        (_, true) => consumer
            .assignment()
            .and_then(|all| consumer.incremental_unassign(&all)),
    });
}

/// Gives the one acknowledgement of a begun close, under any protocol.
pub(crate) fn acknowledge_close(consumer: &BaseConsumer<KafkaContext>) {
    say(consumer.unassign());
}

/// To be called before a close begins: acknowledges what the loop has left unacknowledged, and empties the queue. Only
/// what arrives after this waits for an acknowledgement.
pub(crate) fn acknowledge_all(group: &GroupQueue, context: &KafkaContext) {
    context.set_rebalance_ack(RebalanceAck::AtOnce);
    // librdkafka waits for one of the two, or for none.
    answer(group.consumer(), RebalanceKind::Assigned);
    answer(group.consumer(), RebalanceKind::Revoked);
    while !group.is_empty() {
        group.consumer().poll(Duration::ZERO);
    }
    context.set_rebalance_ack(RebalanceAck::Once);
}

fn say(answered: KafkaResult<()>) {
    if let Err(error) = answered {
        warn!(%error, "error while giving up the assignment");
    }
}
