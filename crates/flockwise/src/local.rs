//! `replay` and `demo`: a pipeline on the in-process broker, fed from files.

pub(crate) mod counts;
pub(crate) mod demo;
pub(crate) mod event_files;
pub(crate) mod local_pipeline;
pub(crate) mod progress;
pub(crate) mod replay;
pub(crate) mod results;
pub(crate) mod segment_stats;
pub(crate) mod segment_table;
