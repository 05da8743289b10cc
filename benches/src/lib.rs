//! What the benchmarks share: the job, the events it is given, and the tables of `BENCHMARKS.md`.
//!
//! The job is that of the peers in `BENCHMARKS.md`: 16 features, 32 fixed centroids, no policy, no sweep.

pub mod events;
pub mod job;
pub mod report;
pub mod vectors;

use std::path::{Path, PathBuf};

/// A place in the workspace.
#[must_use]
pub fn workspace(place: &str) -> PathBuf {
    let benches = Path::new(env!("CARGO_MANIFEST_DIR"));
    benches.parent().unwrap_or(benches).join(place)
}
