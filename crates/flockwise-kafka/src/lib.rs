//! The Kafka client: the only crate of the product that uses rdkafka.
//!
//! [`KafkaBroker`] belongs to a worker thread: one consumer and one transactional producer, with blocking
//! calls. [`KafkaFollower`] belongs to the standby thread. [`KafkaTopicClient`] is for CLI commands that
//! read topics or send a command. [`admin`] creates and checks topics before any worker starts.

pub mod admin;

mod alignment;
mod assignment;
mod broker;
mod client_errors;
mod client_metrics;
mod client_queue;
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
mod loss_handling;
mod offset_query;
mod open_transactions;
mod partition_queue;
mod partition_reader;
mod partition_replay;
mod pipeline_record;
mod polled_producer;
mod position_validation;
mod producer;
mod purge;
mod rebalance;
mod replay;
mod retry;
mod settings;
mod size_limits;
mod statistics_monitor;
mod topic_client;
mod transaction;
mod truncation;
mod wakeup;

pub use broker::KafkaBroker;
pub use client_metrics::KafkaMetrics;
pub use follower::KafkaFollower;
pub use settings::KafkaSettings;
pub use topic_client::KafkaTopicClient;
