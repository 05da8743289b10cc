//! Runs a real Apache Kafka (KRaft, no containers) on this machine, for tests and benchmarks.
//!
//! Every node is a separate JVM. A cluster's directory is the only record of what runs: `n1/server.properties`,
//! `n1/pid`, `n1/log`, `n1/data`, ... So one process may start a node that another one stops.

mod cluster;
mod command;
mod jars;
mod node;
mod ports;
mod process;
mod properties;
mod servers;
mod tls;

pub use cluster::{Cluster, Running};
pub use command::{KafkaArgs, run};
pub use jars::{are_installed, tool};
pub use process::Signal;
pub use servers::{Detour, Servers};
pub use tls::Secured;

use std::path::{Path, PathBuf};

/// The default directory of a cluster's files.
pub fn default_directory() -> PathBuf {
    workspace().join("target/kafka")
}

fn workspace() -> &'static Path {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    crates
        .and_then(Path::parent)
        .expect("crates/xtask is two folders below the workspace")
}
