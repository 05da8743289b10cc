//! The Kafka broker: the only crate that names rdkafka.
//!
//! [`KafkaBroker`] is what a shard thread owns: one consumer, one transactional producer, blocking
//! calls. [`admin`] makes and checks topics before any shard starts.

pub mod admin;

mod assignment;
mod bell;
mod broker;
mod clients;
mod committing;
mod events;
mod faults;
mod generation;
mod in_step;
mod lanes;
mod partition_queue;
mod producer;
mod purge;
mod restore;
mod settings;

pub use broker::KafkaBroker;
pub use settings::{Delivery, KafkaSettings};
