//! Tests of valid configurations, and of the error texts for invalid ones.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod accepted;
mod refused;
mod shipped;
mod sources;
