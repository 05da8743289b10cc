//! A whole cluster and its pipeline on one thread, drawn from one seed: workers, brokers, disks, producers,
//! what goes wrong, and in which order it all happens. The same seed is the same story on every machine.
//!
//! `FLOCKWISE_SIMULATOR_SEED=7 cargo test -p flockwise-tests --test simulator -- replay_one --nocapture` plays
//! one story again; `FLOCKWISE_SIMULATOR_SEEDS=10000` makes the test play so many.

mod checks;
mod client;
mod client_faults;
mod cluster;
mod committed_log;
mod counters;
mod customers;
mod disk;
mod expected_counts;
mod fault_rates;
mod faults;
mod latest_starts;
mod learning;
mod produced_log;
mod producers;
mod runner;
mod scenario;
mod seeded_random;
mod setup;
mod standbys;
mod startup;
mod task_comparison;
mod trace;
mod truncated_reads;
mod variations;
mod world;

pub use runner::{replay, run, sweep};
