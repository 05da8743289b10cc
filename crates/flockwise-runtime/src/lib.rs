//! The worker loop over the [`broker::Broker`] port: restore, process, commit, hand over.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod answer_queries;
mod arrival;
pub mod batch;
pub mod broker;
mod catch_up;
mod checkpoint;
pub mod checkpoint_owner;
pub mod clock;
mod commit;
mod dead_letter;
mod decode_ahead;
pub mod event_time_alignment;
pub mod heartbeat;
mod idle_clock;
mod ingest;
mod input_topics;
mod latest_commit;
pub mod learning_thread;
pub mod memory_budget;
pub mod metrics;
pub mod model_log;
mod model_state;
mod outbox;
pub mod pipeline;
pub mod queries;
mod rebalance;
mod recreated_changelog;
mod reference_clock;
mod restore_source;
mod restore_tasks;
mod rollback;
mod running_task;
pub mod schema_source;
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
