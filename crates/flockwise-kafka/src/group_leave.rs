//! Leaving the group, with a worker loop that answers rebalances or without one.
//!
//! librdkafka waits for an answer to what it says of rebalances, and a close waits with it. An answer for which nothing waits
//! is lost where the close has just been done, and whoever gave it waits for ever (librdkafka's issue 4884). A close revokes all that there is,
//! beside what may be in the queue already, and takes one answer for everything. So once it has begun there is one and no more.

use std::time::Duration;

use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer, RebalanceProtocol};
use rdkafka::error::KafkaResult;
use tracing::warn;

use crate::context::{KafkaContext, RebalanceKind};
use crate::partition_queue::GroupQueue;

/// Who answers a rebalance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum RebalanceAck {
    /// The worker loop.
    #[default]
    Loop,
    /// Whoever takes it from the queue, at once: there is no loop any more.
    AtOnce,
    /// As before, but the first one alone: a close has begun.
    Once,
    /// Nobody: the close has had its answer.
    Never,
}

/// How far the group has been left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum LeaveState {
    #[default]
    NotYet,
    Begun,
    Answered,
}

impl LeaveState {
    /// The client is being closed.
    pub(crate) fn begin(&mut self) {
        *self = Self::Begun;
    }

    pub(crate) fn has_begun(self) -> bool {
        self != Self::NotYet
    }

    /// Has the close had its answer? Nothing may be asked of the group any more, or told.
    pub(crate) fn is_acknowledged(self) -> bool {
        self == Self::Answered
    }

    /// Gives it, whatever the protocol, unless that has been done.
    pub(crate) fn answer(&mut self, consumer: &BaseConsumer<KafkaContext>) {
        if !self.is_acknowledged() {
            *self = Self::Answered;
            acknowledge_close(consumer);
        }
    }
}

/// Answers a rebalance without taking anything or keeping anything.
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

/// The one answer to a close that has begun, whatever the protocol.
pub(crate) fn acknowledge_close(consumer: &BaseConsumer<KafkaContext>) {
    say(consumer.unassign());
}

/// Before a close that has not begun: what the loop has left unanswered is answered, and nothing is left in the queue that has
/// its answer. What comes from here on waits for one.
pub(crate) fn acknowledge_all(group: &GroupQueue, context: &KafkaContext) {
    context.set_rebalance_ack(RebalanceAck::AtOnce);
    // One of the two is waited for, or none.
    answer(group.consumer(), RebalanceKind::Assigned);
    answer(group.consumer(), RebalanceKind::Revoked);
    while !group.is_empty() {
        group.consumer().poll(Duration::ZERO);
    }
    context.set_rebalance_ack(RebalanceAck::Once);
}

fn say(answered: KafkaResult<()>) {
    if let Err(error) = answered {
        warn!(%error, "giving up the assignment");
    }
}
