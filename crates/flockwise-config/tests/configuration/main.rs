//! What configurations mean, and in which words they are refused.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod accepted;
mod refused;
mod shipped;
mod sources;
