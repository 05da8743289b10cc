//! What a task does to its customers, with a fixed small model.
#![allow(clippy::unwrap_used)]

mod changes;
mod describe;
mod dirty_rows;
mod expiry;
mod life;
mod naive;
mod outliers;
mod rollback;
mod sampling;
mod shop;
mod slices;
mod sweep;
