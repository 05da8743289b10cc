//! Local state on disk: LMDB behind the `Store` port.
//!
//! A [`DiskStore`] holds for each task a copy of its changelog, in an LMDB environment of its own, so
//! that a start reads the changelog's end only. One thread writes: a batch is one transaction, synced
//! to the disk, with the *seal* that says whose copy it is, as of which offset, and what a sum over
//! all its records must be. A worker that takes a task over reads the file itself.
//!
//! LMDB has no checksums, and believes its file: a wrong byte in it may become a wrong customer, a
//! crash, or worse. So a load does not go through LMDB. It walks over the pages with code of our own
//! that trusts nothing, checks every pointer, key and record, and only then hands records over, in the
//! order of their keys; and only a file that passed is ever opened by LMDB. Whatever does not pass is
//! set aside (`task-<n>.aside-<milliseconds>`, one for each task), counted and told of, and costs a
//! restore from the changelog and nothing else. The one wrong byte that may pass makes the head of the
//! last transaction look older than the one before: the copy is then that of one batch earlier,
//! with that batch's offset, which is as right.
//!
//! What fails while writing (a full disk, a read-only one) costs the copy: it is removed, and begun anew
//! when a minute has passed.

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
