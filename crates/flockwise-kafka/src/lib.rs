//! The Kafka broker: the only crate that names rdkafka.
//!
//! [`KafkaBroker`] is what a shard thread owns: one consumer, one transactional producer, blocking
//! calls. [`KafkaFollower`] is what a standby's thread owns. [`KafkaVisitor`] is for commands that
//! look at topics or leave an order. [`admin`] makes and checks topics before any shard starts.

pub mod admin;

mod assignment;
mod bell;
mod broker;
mod client_metrics;
mod clients;
mod committing;
mod connecting;
mod corrupt;
mod events;
mod evicting;
mod fair_share;
mod faults;
mod fetching;
mod follower;
mod gathered;
mod generation;
mod group_offsets;
mod identity;
mod in_step;
mod lanes;
mod lent;
mod lost;
mod observed;
mod open_transactions;
mod parting;
mod partition_queue;
mod persistence;
mod pipeline_record;
mod producer;
mod purge;
mod reading;
mod restore;
mod served;
mod settings;
mod size_limits;
mod surveyor;
mod truncation;
mod verifying;
mod visitor;

pub use broker::KafkaBroker;
pub use client_metrics::KafkaMetrics;
pub use follower::KafkaFollower;
pub use settings::{Delivery, KafkaSettings, LostRecords};
pub use visitor::KafkaVisitor;
