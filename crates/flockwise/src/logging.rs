//! Placeholder until logging is written.
pub(crate) fn start(_: bool) {}
