//! The shard loop over the [`broker::Broker`] port: restore, process, commit, hand over.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod aligning;
pub mod alignment;
pub mod batch;
mod bringing_back;
pub mod broker;
pub mod clock;
mod commit;
pub mod copy_owner;
mod dead_letter;
mod history;
mod idle_clock;
mod ingest;
mod inputs;
mod keeping;
mod lookahead;
pub mod memory;
pub mod metrics;
pub mod model_log;
mod model_sync;
mod open_task;
mod outbox;
mod ownership;
pub mod pipeline;
pub mod pulse;
pub mod questions;
mod reference_clock;
mod replaced;
mod restoring;
pub mod shard;
pub mod standby;
pub mod store;
mod training;
mod warming_up;
mod watermarking;
mod watermarks;
pub mod workbench;

pub use flockwise_core::topics;
