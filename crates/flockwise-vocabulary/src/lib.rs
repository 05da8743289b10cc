//! The words that several crates share: topics, task ids, start positions, policies and reserved properties.
//!
//! Below all other crates, so that no list of topics, properties or defaults exists twice. No code but what maps one word
//! to another.

pub mod kafka_properties;
pub mod lost_records;
pub mod start_position;
pub mod task_id;
pub mod topics;
