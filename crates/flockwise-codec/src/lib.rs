//! Decodes events, and encodes and decodes the versioned records of Flockwise's topics.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod catch_up;
pub mod change;
pub mod changelog;
pub mod decode;
mod event_sink;
pub mod format;
pub mod forward;
mod found_value;
mod json_writer;
mod keyed_elements;
pub mod lineage;
mod little_endian;
pub mod model;
pub mod normalization;
pub mod partitioner;
pub mod pipeline_record;
mod placeholder_ids;
mod projection;
mod stated_amount;
pub mod task_command;
pub mod task_summary;
pub mod time;
pub mod trainer_input;
pub mod watermarks;

pub use little_endian::Malformed;
