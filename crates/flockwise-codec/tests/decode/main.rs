//! Bytes in, an event or the reason why not out: scripts and random documents.
#![allow(clippy::unwrap_used)]

mod accepted;
mod random;
mod refused;
mod script;
