//! Development tasks of the Flockwise workspace, also usable from its tests and benchmarks.

pub mod bench;
pub mod chaos;
pub mod data;
pub mod fuzz;
pub mod kafka;
pub mod mutants;
pub mod python;
pub mod quality;
pub mod simulate;

use std::path::Path;

fn workspace() -> &'static Path {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    crates
        .and_then(Path::parent)
        .expect("crates/xtask is two folders below the workspace")
}
