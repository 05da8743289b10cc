//! The Kafka broker: the only crate that names rdkafka.
//!
//! [`KafkaBroker`] is what a worker thread owns: one consumer, one transactional producer, blocking
//! calls. [`KafkaFollower`] is what a standby's thread owns. [`KafkaTopicClient`] is for commands that
//! look at topics or leave an order. [`admin`] makes and checks topics before any worker starts.

pub mod admin;

mod alignment;
mod assignment;
mod broker;
mod client_metrics;
mod clients;
mod connect;
mod context;
mod corrupt_batch;
mod data_loss;
mod errors;
mod fair_share;
mod fence;
mod fetch_state;
mod follower;
mod generation;
mod group_leave;
mod group_offsets;
mod inflight_buffers;
mod offset_query;
mod open_transactions;
mod partition_queue;
mod partition_reader;
mod partition_replay;
mod pipeline_record;
mod polled_producer;
mod position_validation;
mod produce_batch;
mod producer;
mod purge;
mod replay;
mod retry;
mod settings;
mod size_limits;
mod statistics_monitor;
mod topic_client;
mod topic_id;
mod transaction;
mod truncation;
mod wakeup;

pub use broker::KafkaBroker;
pub use client_metrics::KafkaMetrics;
pub use follower::KafkaFollower;
pub use settings::KafkaSettings;
pub use topic_client::KafkaTopicClient;
