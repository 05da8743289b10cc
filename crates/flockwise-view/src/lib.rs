//! The read side of the pipeline, which the HTTP server serves.
//!
//! A [`View`] is a fold over two topics: the versions of the model and the summaries of the tasks. It does no input or
//! output, so a Kafka consumer, the in-process broker and a test feed it alike. It is of bounded size. What only the
//! owner of a customer knows, such as why the customer is in a segment, is not part of it: the workers answer that.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod model_history;
mod segments;
mod version_entry;
mod version_state;
mod view;

pub use model_history::ModelVersions;
pub use segments::{SegmentEntry, Segments, TaskCount};
pub use version_entry::{CommandEntry, VersionEntry, error_change};
pub use version_state::{Latest, VersionState};
pub use view::{View, ViewError};
