//! The trainer: the first model from a sample, later ones from mini-batches, on awkward data too.
#![allow(clippy::unwrap_used)]

mod awkward;
mod backlog;
mod first;
mod governance;
mod later;
mod names;
mod organising;
mod outliers;
mod school;
mod worth;
