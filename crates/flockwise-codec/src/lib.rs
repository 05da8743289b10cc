//! Bytes to types and back: event formats in, records out, versions and all.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod bytes;
pub mod change;
pub mod changelog;
pub mod decode;
pub mod format;
pub mod forward;
pub mod history;
pub mod lesson;
pub mod lineage;
mod literal;
pub mod model;
pub mod partitioner;
pub mod pipeline;
mod projection;
mod refusal;
mod scan;
mod sink;
pub mod time;
pub mod watermarks;

pub use bytes::Malformed;
