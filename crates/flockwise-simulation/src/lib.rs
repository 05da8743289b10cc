//! A simulated Kafka cluster with faults, for tests. No product crate depends on it.
//!
//! The in-process broker of `demo` and `replay`, `flockwise-memory`, has none of the following, and stores its records
//! for speed. Here they are plain lists. Both have the same consumer group ([`flockwise_memory::group`]) and fence
//! producers in the same way ([`flockwise_memory::producer_epochs`]).
//!
//! A record gets its offset when it is sent, and is readable once its transaction is committed. An open transaction
//! holds back all readers of the partitions that it touches. Its end adds a control record, which takes an offset and
//! is never read. An aborted transaction leaves the offsets of all its records unused. A commit has two phases, and its
//! owner can be fenced between them. A client that dies stays in the group, and its transaction stays open, until
//! they time out. The order of deliveries is as unfair as Kafka allows.
//!
//! Nothing is removed, except by the faults: retention, compaction, truncation, expiry of committed offsets, and topics
//! that are recreated. One seed decides what each poll returns. Nothing waits, and everything runs on one thread.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod broker;
mod client;
mod cluster_state;
mod compaction;
mod conditions;
mod delivery;
mod faults;
mod fetch_position;
mod follower;
mod leader_epochs;
mod membership;
mod partition_log;
mod seeded_random;
#[cfg(test)]
mod tests;
mod transactions;

pub use broker::SimulatedBroker;
pub use client::SimulatedClient;
pub use conditions::Conditions;
pub use follower::SimulatedFollower;
