//! A whole cluster and its pipeline on one thread, drawn from one seed: shards, brokers, disks, producers,
//! what goes wrong, and in which order it all happens. The same seed is the same story on every machine.
//!
//! `FLOCKWISE_SIMULATOR_SEED=7 cargo test -p flockwise-tests --test simulator -- replay_one --nocapture` plays
//! one story again; `FLOCKWISE_SIMULATOR_SEEDS=10000` makes the test play so many.

mod befalling;
mod client;
mod counters;
mod dice;
mod disk;
mod feed;
mod ledger;
mod lives;
mod mischief;
mod produced;
mod rates;
mod reading;
mod runner;
mod scenario;
mod setup;
mod staff;
mod starting;
mod starts;
mod state;
mod story;
mod tally;
mod twists;
mod verdict;
mod warm;
mod workbench;
mod world;

pub use runner::{replay, run, sweep};
