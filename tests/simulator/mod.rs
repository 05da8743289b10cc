//! Simulates a whole cluster and its pipeline on one thread: workers, brokers, disks and producers. One seed decides
//! the settings, the faults and the order of all steps, and gives the same run on every machine.
//!
//! `FLOCKWISE_SIMULATOR_SEED=7 cargo test -p flockwise-tests --test simulator -- replay_one --nocapture` replays one
//! seed; `FLOCKWISE_SIMULATOR_SEEDS=10000` makes the test simulate 10,000 seeds.

mod check_against_reference;
mod check_expected_counts;
mod check_metrics;
mod client;
mod client_faults;
mod cluster;
mod committed_log;
mod customers;
mod disk;
mod drain;
mod erasures;
mod fault_rates;
mod faults;
mod latest_starts;
mod produced_log;
mod producers;
mod rolling_configurations;
mod runner;
mod scenario;
mod seeded_random;
mod simulation;
mod slow_learning;
mod standbys;
mod startup;
mod task_comparison;
mod trace;
mod truncated_reads;
mod variations;

pub use runner::{replay, run, sweep};
