//! The shard loop over the [`broker::Broker`] port: restore, process, commit, hand over.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod batch;
pub mod broker;
pub mod clock;
mod commit;
mod ingest;
pub mod metrics;
mod outbox;
pub mod ownership;
pub mod pipeline;
pub mod shard;
pub mod store;
pub mod topics;
mod training;
