//! How a simulated cluster behaves.

use std::time::Duration;

use flockwise_runtime::clock::Clock;

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
    /// Clients continue after lost records instead of halting the partition.
    pub skips_lost_records: bool,
    /// Percentage of polls that return nothing although there are records, 0 to 100.
    pub idle_percent: u32,
    /// The most records that one poll returns.
    pub most_records: usize,
}
