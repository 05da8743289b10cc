//! Events, features, decisions, tasks and the trainer: pure and deterministic.
//!
//! Time and seeds are arguments: nothing here reads a clock, draws random numbers of its own, starts a thread or
//! does IO. The path of an event: [`event`] → [`task`] → [`aggregate`] → [`segmentation`] → [`decide`] → [`change`].

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod aggregate;
pub mod change;
pub mod customer_view;
pub mod decide;
pub mod dedup;
pub mod drift;
pub mod event;
pub mod explain;
pub mod feature;
pub mod feature_inputs;
mod fingerprint;
pub mod lineage;
mod logarithm;
pub mod model;
pub mod numeric_text;
pub mod order_rules;
pub mod orders;
pub mod plan;
/// JSON pointers in which `*` stands for all elements of an array.
pub mod pointer;
pub mod policy;
pub mod publication;
pub mod rows;
pub mod segment_sizes;
pub mod segmentation;
pub mod sweep_schedule;
pub mod task;
pub mod trainer;
