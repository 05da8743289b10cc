//! The trainer: the first version from a sample, later ones from mini-batches, also on awkward data.
#![allow(clippy::unwrap_used)]

mod awkward_data;
mod backlog;
mod governance;
mod initial_version;
mod names;
mod next_version;
mod outliers;
mod structure;
mod support;
mod worth_publishing;
