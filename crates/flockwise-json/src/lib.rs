//! Scans a JSON document in one pass. A tree says which values are wanted: these go to a sink, all others are skipped.
//! The pass checks the syntax of all of them, and copies nothing.
//!
//! What the scan rejects, serde_json rejects too, and the other way round. [`explain()`] returns its message.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod cursor;
mod escape;
mod explain;
mod invalid;
mod names;
mod nesting;
mod number;
mod raw_text;
mod scan;
mod split;
#[cfg(test)]
mod twin;

pub use escape::unescape;
pub use explain::explain;
pub use invalid::Invalid;
pub use names::NameTable;
pub use number::Number;
pub use raw_text::RawText;
pub use scan::{JsonScalar, JsonSink, JsonTree, scan};
pub use split::{DocumentSplitter, Piece};
