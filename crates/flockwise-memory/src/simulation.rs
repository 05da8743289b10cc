//! Behaviour of a real cluster that the plain in-process broker does not have.
//!
//! A record gets its offset when it is sent, and is readable once its transaction is committed. An open transaction
//! holds back all readers of the partitions that it touches. Its end adds a control record, which takes an offset and
//! is never read. An aborted transaction leaves the offsets of all its records unused. A commit has two phases, and its
//! owner can be fenced between them. A client that dies stays in the group, and its transaction stays open, until
//! they time out. The order of deliveries is as unfair as Kafka allows.

mod faults;
mod open_transaction;
mod phases;
mod seeded_random;
mod transactions;

use std::collections::BTreeMap;
use std::time::Duration;

use flockwise_runtime::clock::{Clock, Moment};
use flockwise_runtime::topics::Topic;

use open_transaction::SimulatedTransaction;
pub(crate) use seeded_random::SeededRandom;

/// How a simulated cluster behaves.
#[derive(Clone, Debug)]
pub struct Conditions {
    /// The clock for timeouts of sessions and transactions.
    pub clock: Clock,
    /// Seed of the random choice of the records that a poll returns.
    pub seed: u64,
    /// A member that has not polled for longer than this is expelled from the group.
    pub session: Duration,
    /// A transaction that is open for longer than this is aborted, and its owner is fenced.
    pub transaction: Duration,
    /// How long compaction keeps a tombstone after it first sees it.
    pub tombstones: Duration,
    /// Static membership: a member that comes back in time gets its partitions again, without a rebalance.
    pub is_static: bool,
    /// Percentage of polls that return nothing although there are records, 0 to 100.
    pub idle_percent: u32,
    /// The most records that one poll returns.
    pub most_records: usize,
}

/// The state of a simulated cluster beyond that of the plain one.
#[derive(Debug)]
pub(crate) struct Simulation {
    pub(crate) conditions: Conditions,
    pub(crate) random: SeededRandom,
    /// Open transactions by their owner's name.
    open: BTreeMap<String, SimulatedTransaction>,
    /// When each member last polled.
    heard: BTreeMap<String, Moment>,
    /// Number of visible partitions of a topic, if some are hidden.
    shown: BTreeMap<Topic, u32>,
    /// How many more polls each member waits for news of the group. Drawn at random.
    delays: BTreeMap<String, u32>,
}

impl Simulation {
    pub(crate) fn new(conditions: Conditions) -> Self {
        Self {
            random: SeededRandom::new(conditions.seed),
            open: BTreeMap::new(),
            heard: BTreeMap::new(),
            shown: BTreeMap::new(),
            delays: BTreeMap::new(),
            conditions,
        }
    }

    /// Draws whether this poll returns nothing.
    pub(crate) fn is_slow(&mut self) -> bool {
        self.random.below(100) < self.conditions.idle_percent
    }

    /// Draws whether a member must still wait for news of the group.
    pub(crate) fn delays_news(&mut self, member: &str) -> bool {
        let delay = self.delays.entry(member.to_owned()).or_default();
        *delay = match *delay {
            0 if self.random.below(100) < self.conditions.idle_percent => 1 + self.random.below(4),
            left => left.saturating_sub(1),
        };
        *delay > 0
    }

    /// Hides all but the first `partitions` of a topic.
    pub(crate) fn show_partitions(&mut self, topic: Topic, partitions: u32) {
        self.shown.insert(topic, partitions);
    }

    /// Number of visible partitions of a topic that has `partitions`.
    pub(crate) fn seen(&self, topic: Topic, partitions: u32) -> u32 {
        self.shown
            .get(&topic)
            .map_or(partitions, |shown| partitions.min(*shown))
    }
}
