//! The Kafka client: the only crate of the product that uses rdkafka.
//!
//! [`KafkaBroker`] belongs to a worker thread: one consumer and one transactional producer, with blocking
//! calls. [`KafkaFollower`] belongs to the standby thread. [`KafkaTopicClient`] is for CLI commands that
//! read topics or send a command. [`admin`] creates and checks topics before any worker starts.

pub mod admin;

mod assignment;
mod classify_error;
mod client_context;
mod client_metrics;
mod client_queue;
mod clients;
mod compare_group_offsets;
mod connect_worker;
mod connection_errors;
mod corrupt_batch;
mod data_loss;
mod fair_share;
mod fence_former_owner;
mod fetch_state;
mod follower;
mod group_generation;
mod group_leave;
mod halt_or_skip_loss;
mod kafka_broker;
mod next_partition;
mod offset_query;
mod open_transactions;
mod partition_queue;
mod partition_reader;
mod partition_replay;
mod pipeline_producer;
mod polled_producer;
mod position_validation;
mod purge_repartition_topic;
mod rebalance_acknowledgement;
mod replace_pipeline_record;
mod replay;
mod retry;
mod settings;
mod size_limits;
mod statistics_monitor;
mod topic_batch;
mod topic_client;
mod transactional_producer;
mod truncation;
mod wakeup;

pub use client_metrics::KafkaMetrics;
pub use follower::KafkaFollower;
pub use kafka_broker::KafkaBroker;
pub use settings::KafkaSettings;
pub use topic_client::KafkaTopicClient;
