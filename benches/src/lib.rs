//! Shared code of the benchmarks: the job, its events, and the tables of `BENCHMARKS.md`.
//!
//! Flockwise and its peers run the same job: 16 features, 32 fixed centroids, no decision policy, no sweep.

pub mod events;
pub mod job;
pub mod report;
pub mod vectors;

use std::path::{Path, PathBuf};

/// A path in the workspace.
#[must_use]
pub fn workspace(place: &str) -> PathBuf {
    let benches = Path::new(env!("CARGO_MANIFEST_DIR"));
    benches.parent().unwrap_or(benches).join(place)
}
