//! The trainer: the first model from a sample, later ones from mini-batches, on awkward data too.
#![allow(clippy::unwrap_used)]

mod awkward;
mod backlog;
mod governance;
mod initial_version;
mod names;
mod next_version;
mod outliers;
mod structure;
mod support;
mod worth;
