//! What a task does with its customers, with a small fixed model.
#![allow(clippy::unwrap_used)]

mod changes;
mod commands;
mod describe;
mod dirty_rows;
mod expiry;
mod life;
mod naive;
mod outliers;
mod rollback;
mod sampling;
mod shop;
mod sweep;
mod sweep_in_slices;
