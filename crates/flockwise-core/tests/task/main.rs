//! What a task does to its customers, with a fixed small model.
#![allow(clippy::unwrap_used)]

mod changes;
mod letting_go;
mod life;
mod naive;
mod outliers;
mod sampling;
mod shop;
mod slices;
mod sweep;
mod telling;
mod undo;
mod unkept;
