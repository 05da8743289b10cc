//! Checkpoints on disk: LMDB behind the `Store` port.
//!
//! A [`DiskStore`] holds a checkpoint for each task, in its own LMDB environment, so that a start reads only the end
//! of the changelog. One thread writes. A batch is one transaction, synced to the disk. It includes the *manifest*:
//! the checkpoint's identity, its changelog offset, and a digest of all its records. A worker that takes a task over
//! reads the file itself.
//!
//! LMDB has no checksums and trusts its file: a wrong byte may become a wrong customer, a crash, or worse. So a load
//! does not use LMDB. Our own code walks the pages, trusts nothing, checks every pointer, key and record, and only
//! then passes the records on, in key order. LMDB opens a file only after it has passed. A file that fails is set
//! aside (`task-<n>.aside-<milliseconds>`, one for each task), counted and logged. It costs a restore from the
//! changelog and nothing else. One wrong byte may pass: one that makes the meta page of the last transaction look
//! older than that of the transaction before. The load then returns the checkpoint of the batch before, with that
//! batch's offset, which is just as correct.
//!
//! A failed write (the disk is full or read-only) costs the checkpoint: it is removed, and a new one is started after
//! a minute.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod btree_reader;
mod disk_store;
mod environment;
mod folders;
mod load;
mod load_error;
mod manifest;
mod metrics;
mod page;
mod page_file;
mod record;
mod write_queue;
mod writer;

pub use disk_store::{DiskStore, StoreError, StoreSettings, WorkerStore};
pub use metrics::described_metrics;
