//! Leaves the group, with or without a worker loop that acknowledges rebalances.
//!
//! librdkafka waits until a rebalance is acknowledged, and so does a close. An acknowledgement that nothing waits for
//! is lost if the close has just completed, and its caller blocks forever (librdkafka's issue 4884). A close revokes
//! everything, in addition to what may be queued already, and takes one acknowledgement for all of it. So once a close
//! has begun, one acknowledgement is given and no more.

use std::time::Duration;

use rdkafka::consumer::BaseConsumer;

use crate::client_context::KafkaContext;
use crate::client_queue::ConsumerQueue;
use crate::rebalance_acknowledgement::{RebalanceAck, RebalanceKind, acknowledge_close, decline};

/// How far leaving the group has got.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum LeaveState {
    #[default]
    NotYet,
    Begun,
    Acknowledged,
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
        self == Self::Acknowledged
    }

    /// Acknowledges the close under any protocol, unless that is done already.
    pub(crate) fn acknowledge(&mut self, consumer: &BaseConsumer<KafkaContext>) {
        if !self.is_acknowledged() {
            *self = Self::Acknowledged;
            acknowledge_close(consumer);
        }
    }
}

/// To be called before a close begins: acknowledges what the loop has left unacknowledged, and empties the queue. Only
/// what arrives after this waits for an acknowledgement.
pub(crate) fn acknowledge_all(group: &ConsumerQueue, context: &KafkaContext) {
    context.set_rebalance_ack(RebalanceAck::AtOnce);
    // librdkafka waits for one of the two, or for none.
    decline(group.client(), RebalanceKind::Assigned);
    decline(group.client(), RebalanceKind::Revoked);
    while !group.is_empty() {
        group.client().poll(Duration::ZERO);
    }
    context.set_rebalance_ack(RebalanceAck::Once);
}
