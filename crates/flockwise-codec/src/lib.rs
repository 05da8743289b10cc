//! Decodes events, and encodes and decodes the versioned records of Flockwise's topics.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod bytes;
pub mod catch_up;
pub mod change;
pub mod changelog;
pub mod decode;
pub mod format;
pub mod forward;
mod json_writer;
pub mod lineage;
pub mod model;
pub mod partitioner;
pub mod pipeline;
mod projection;
mod sink;
pub mod summary;
pub mod task_command;
pub mod time;
pub mod trainer_input;
pub mod watermarks;

pub use bytes::Malformed;
