//! What a task does to its customers, with a fixed small model.
#![allow(clippy::unwrap_used)]

mod changes;
mod naive;
mod shop;
mod sweep;
