//! Simulations of a whole cluster, drawn from seeds: see `simulator/mod.rs`.

use flockwise_tests::simulator::{replay, run, sweep};

/// Number of seeds that a normal test run simulates.
const SEEDS: u64 = 2_000;

#[test]
fn every_seed_holds() {
    sweep(SEEDS);
}

/// Simulates `FLOCKWISE_SIMULATOR_SEED`, if it is set.
#[test]
fn replay_one() {
    replay();
}

#[test]
fn a_seed_is_always_the_same_story() {
    for seed in 0..20 {
        assert_eq!(run(seed), run(seed), "seed {seed}");
    }
}

/// An input had gained a partition, and the transaction with its first record was aborted. Brokers with outdated
/// metadata then did not list the partition, and it was read on after that record.
#[test]
fn a_partition_gained_is_read_again_after_an_abort() {
    run(680);
}

/// The only input was recreated before any of its records was committed. The start offset that was fixed for the old
/// topic does not apply to the new one.
#[test]
fn a_start_is_an_offset_of_the_topic_that_there_was_when_it_was_settled() {
    run(3_869);
}
