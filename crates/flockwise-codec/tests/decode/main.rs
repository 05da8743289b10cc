//! Decodes scripted and random documents to an event or to the reason why they are rejected.
#![allow(clippy::unwrap_used)]

mod accepted;
mod avro;
mod builtin;
mod orders;
mod random;
mod random_avro;
mod refused;
mod script;
mod times;
