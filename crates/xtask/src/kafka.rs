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

pub use cluster::{KafkaCluster, Running};
pub use command::{KafkaArgs, run};
pub use jars::{are_installed, tool};
pub use process::Signal;
pub use servers::{ProxiedListener, Servers};
pub use tls::Secured;
