//! Leaving the group, for a moment or for good.
//!
//! A member with an identity says no farewell: its partitions wait for it until the session times out, and
//! a restart within that time disturbs nobody. librdkafka has no way of saying that it will not be back. But
//! one that subscribes to something else is given something else, and its partitions go to the others within
//! that very rebalance; what then times out is a member that has nothing they want.

use std::time::{Duration, Instant};

use flockwise_runtime::topics::{Topic, Topics};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaResult;
use tracing::warn;

use crate::events::{Events, RebalanceKind};

/// Longer than that nobody is waited for.
const LONGEST: Duration = Duration::from_secs(5);

/// What nobody else of the group subscribes to. It is there, and may be read.
const ELSEWHERE: Topic = Topic::Model;

/// How far a member has got with leaving.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Leaving {
    #[default]
    Not,
    /// It has subscribed to something else.
    HandingOver { since: Instant, is_done: bool },
    /// The consumer is being closed.
    Closing,
}

impl Leaving {
    /// Is it to read no more?
    pub(crate) fn is_under_way(self) -> bool {
        self != Self::Not
    }

    /// A rebalance has been handed out.
    pub(crate) fn note(&mut self, kind: RebalanceKind) {
        if let Self::HandingOver { is_done, .. } = self {
            *is_done |= kind == RebalanceKind::Assigned;
        }
    }

    /// Takes the next step; `true` once there is nothing left to serve.
    pub(crate) fn step(
        &mut self,
        consumer: &BaseConsumer<Events>,
        topics: &Topics,
        hands_over: bool,
    ) -> bool {
        match *self {
            Self::Not if hands_over => {
                if let Err(error) = consumer.subscribe(&[&topics.name(ELSEWHERE)]) {
                    warn!(%error, "handing over to others");
                }
                let since = Instant::now();
                *self = Self::HandingOver {
                    since,
                    is_done: false,
                };
                false
            }
            Self::HandingOver { since, is_done } if !is_done && since.elapsed() < LONGEST => false,
            Self::Not | Self::HandingOver { .. } => self.close(consumer.close_queue()),
            Self::Closing => consumer.closed(),
        }
    }

    fn close(&mut self, closing: KafkaResult<()>) -> bool {
        *self = Self::Closing;
        if let Err(error) = &closing {
            warn!(%error, "leaving the group");
        }
        closing.is_err()
    }
}
