//! The worker loop over the [`broker::Broker`] port: restore, process, commit, hand over.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod alignment;
mod arrival;
pub mod batch;
pub mod broker;
mod catch_up;
mod changelog_watch;
mod checkpoint;
pub mod checkpoint_owner;
pub mod clock;
mod commit;
mod commit_times;
mod dead_letter;
mod decode_ahead;
pub mod heartbeat;
mod idle_clock;
mod ingest;
mod input_alignment;
mod input_topics;
pub mod learning_thread;
pub mod memory_budget;
pub mod metrics;
pub mod model_log;
mod model_state;
mod outbox;
pub mod pipeline;
pub mod queries;
mod query_answers;
mod rebalance;
mod reference_clock;
mod restore;
mod running_task;
pub mod standby;
pub mod store;
mod summary_clock;
mod task_restorer;
mod tasks;
mod trainer_host;
mod transaction;
mod warm_up_log;
mod watermark_exchange;
mod watermarks;
pub mod worker;

pub use flockwise_vocabulary::{task_id, topics};
