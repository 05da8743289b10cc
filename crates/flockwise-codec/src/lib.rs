//! Bytes to types and back: event formats in, records out, versions and all.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod bytes;
pub mod change;
pub mod changelog;
pub mod decode;
pub mod format;
pub mod lesson;
pub mod model;
pub mod partitioner;
mod projection;
pub mod time;
mod visit;

pub use bytes::Malformed;
