//! A whole cluster and its pipeline on one thread, drawn from one seed: shards, brokers, disks, producers,
//! what goes wrong, and in which order it all happens. The same seed is the same story on every machine.
//!
//! `FLOCKWISE_SIMULATOR_SEED=7 cargo test -p flockwise-tests --test simulator -- replay_one --nocapture` plays
//! one story again; `FLOCKWISE_SIMULATOR_SEEDS=10000` makes the test play so many.

mod client_faults;
mod client;
mod counters;
mod seeded_random;
mod disk;
mod producers;
mod committed_log;
mod customers;
mod faults;
mod produced_log;
mod fault_rates;
mod truncated_reads;
mod runner;
mod scenario;
mod setup;
mod cluster;
mod startup;
mod latest_starts;
mod task_comparison;
mod trace;
mod expected_counts;
mod variations;
mod checks;
mod standbys;
mod learning;
mod world;

pub use runner::{replay, run, sweep};
