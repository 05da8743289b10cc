//! What a real cluster does to its clients, and the plain in-process broker does not.
//!
//! Records have their offsets from when they are sent, and are read once their transaction is committed:
//! an open one holds back whoever reads a partition that it touches. Its end leaves a control record, which takes an
//! offset and is never read, and an aborted one leaves the offsets of all its records. A commit has two
//! phases, between which its owner can be left behind. A client that ends without a word stays in the
//! group, and its transaction open, until the clock says otherwise. Deliveries are as unfair as they may be.

mod faults;
mod phases;
mod seeded_random;
mod transactions;

use std::collections::BTreeMap;
use std::time::Duration;

use flockwise_runtime::clock::{Clock, Moment};
use flockwise_runtime::topics::Topic;

pub(crate) use seeded_random::SeededRandom;
use transactions::OpenTransaction;

/// How a simulated cluster behaves.
#[derive(Clone, Debug)]
pub struct Conditions {
    /// Whose time sessions and transactions go by.
    pub clock: Clock,
    /// Draws what a poll brings.
    pub seed: u64,
    /// A member that has not polled for so long is put out of the group.
    pub session: Duration,
    /// A transaction that is open for longer is aborted, and its owner fenced.
    pub transaction: Duration,
    /// Compaction leaves a tombstone that it finds for so long.
    pub tombstones: Duration,
    /// A member that comes back in time takes its own place, and the others do not hear of it.
    pub is_static: bool,
    /// Of a hundred polls, so many bring nothing although there is something.
    pub idle_percent: u32,
    /// Records that one poll brings, at most.
    pub most_records: usize,
}

/// The state of a simulated cluster beyond that of the plain one.
#[derive(Debug)]
pub(crate) struct Simulation {
    pub(crate) conditions: Conditions,
    pub(crate) random: SeededRandom,
    /// Open transactions by their owner's name.
    open: BTreeMap<String, OpenTransaction>,
    /// When each member was last heard of.
    heard: BTreeMap<String, Moment>,
    /// Partitions that a topic shows, where that is not all of them.
    shown: BTreeMap<Topic, u32>,
    /// When a member learns what the group has decided is drawn for each news.
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

    /// Does a poll bring nothing this time?
    pub(crate) fn is_slow(&mut self) -> bool {
        self.random.below(100) < self.conditions.idle_percent
    }

    /// Has a member still to wait for the group's news?
    pub(crate) fn delays_news(&mut self, member: &str) -> bool {
        let delay = self.delays.entry(member.to_owned()).or_default();
        *delay = match *delay {
            0 if self.random.below(100) < self.conditions.idle_percent => 1 + self.random.below(4),
            left => left.saturating_sub(1),
        };
        *delay > 0
    }

    /// Shows only the first partitions of a topic.
    pub(crate) fn show(&mut self, topic: Topic, partitions: u32) {
        self.shown.insert(topic, partitions);
    }

    /// Partitions of a topic that are seen, of those that there are.
    pub(crate) fn seen(&self, topic: Topic, partitions: u32) -> u32 {
        self.shown
            .get(&topic)
            .map_or(partitions, |shown| partitions.min(*shown))
    }
}
