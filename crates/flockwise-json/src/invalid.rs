//! The error of a scan.

/// The document is not JSON, or not one object. [`crate::explain()`] finds out what is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Invalid;
