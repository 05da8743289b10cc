//! The in-process broker: topics, partitions, groups, transactions.
//!
//! The worker loop sees it as Kafka: a consumer group over the repartition and samples topics with range
//! assignment and eager rebalances, atomic transactions, fencing, and compaction. It waits only for the members of
//! its group, writes no file and opens no port.
//!
//! Two guarantees exceed Kafka's, and `replay` relies on them. First, a worker gets records in the order in which
//! they were appended, across all partitions that it reads. So a task sees its records in the same order whatever the
//! number of workers. Forwarded events take their place in that order when their transaction commits. Second, records
//! that the group has committed are freed, so a replay of any size runs in bounded memory.
//!
//! It has no faults: the tests have a crate with a simulated cluster, `flockwise-simulation`. [`group`] and
//! [`producer_epochs`] are public for it.
//!
//! Measured on one thread, with 20 million records of 206 bytes over twelve input partitions in turn and 4,096 records
//! to a poll and a commit: append and poll take 66 ns a record (15 million a second). If a changelog row of 126 bytes
//! is sent for each record, over 100,000 keys, it is 210 to 250 ns, compaction included.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod broker;
mod broker_state;
mod client;
mod compaction;
pub mod group;
mod log;
mod log_merge;
mod partition_layout;
mod pending_transaction;
pub mod producer_epochs;
mod record;
#[cfg(test)]
mod tests;

pub use broker::MemoryBroker;
pub use client::MemoryClient;
pub use record::CommittedRecord;
