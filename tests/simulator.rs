//! Worlds drawn from seeds: see `simulator/mod.rs`.

use flockwise_tests::simulator::{replay, run, sweep};

/// Seeds played by default.
const SEEDS: u64 = 2_000;

#[test]
fn every_seed_holds() {
    sweep(SEEDS);
}

/// Plays `FLOCKWISE_SIMULATOR_SEED`, if there is one.
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

/// Brokers with old metadata left out a partition that an input had gained, after the first record of it was aborted:
/// it was read on behind that record.
#[test]
fn a_partition_gained_is_read_again_after_an_abort() {
    run(680);
}

/// The only input was recreated before anything of it was committed: the offset that was settled for its start is none
/// of the new topic.
#[test]
fn a_start_is_an_offset_of_the_topic_that_there_was_when_it_was_settled() {
    run(3_869);
}
