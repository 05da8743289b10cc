//! Decodes scripted and random documents to an event or to the reason why they are rejected.
#![allow(clippy::unwrap_used)]

mod accepted;
mod random;
mod refused;
mod script;
