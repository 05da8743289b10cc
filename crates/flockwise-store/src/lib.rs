//! Checkpoints on disk, behind the `Store` port.
//!
//! A [`DiskStore`] holds a checkpoint for each task, so that a start reads only the end of the changelog. A checkpoint
//! is one file, `checkpoint.log`: a log of batches, of which every block has a checksum. One thread writes. It appends
//! a batch and syncs it to the disk. A batch ends with the *manifest*: the checkpoint's identity and its changelog
//! offset. When the file has grown by half since it held only live records, these are written to a new file, which then
//! replaces the old one. A worker that takes a task over reads the file itself: the latest record of a key counts.
//!
//! The store is a cache of the changelog: an older checkpoint is as correct as a newer one. So a last batch that is
//! damaged or incomplete is ignored. A file that is damaged before its last batch is set aside
//! (`task-<n>.aside-<milliseconds>`, one for each task), counted and logged. It costs a restore from the changelog and
//! nothing else. No record is passed on before the whole file is checked.
//!
//! A failed write (the disk is full or read-only) costs the checkpoint: it is removed, and a new one is started after
//! a minute.

#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod checkpoint_format;
mod checkpoint_log;
mod checkpoint_writer;
mod disk_store;
mod folders;
mod load_checkpoint;
mod load_error;
mod log_reader;
mod log_writer;
mod manifest;
mod metrics;
mod write_queue;

pub use disk_store::{DiskStore, StoreError, StoreSettings, WorkerStore};
pub use metrics::described_metrics;
