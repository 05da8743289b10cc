//! `replay` and `demo`: a pipeline on the in-process broker, fed from files.

pub(crate) mod dead_letters;
pub(crate) mod demo;
pub(crate) mod event_files;
pub(crate) mod local_pipeline;
pub(crate) mod no_events;
pub(crate) mod replay;
pub(crate) mod result_files;
pub(crate) mod segment_stats;
pub(crate) mod segment_table;
pub(crate) mod summary_counts;
pub(crate) mod terminal_progress;
mod unused_features;
