//! `cargo xtask kafka ...`: results go to stdout, everything else to stderr.

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::{Args, Subcommand};

use super::cluster::KafkaCluster;
use super::jars;
use super::process::Signal;
use crate::workspace;

/// The arguments of `cargo xtask kafka`.
#[derive(Debug, Args)]
pub struct KafkaArgs {
    /// Directory of the cluster's files [default: target/kafka]
    #[arg(long, global = true)]
    dir: Option<PathBuf>,
    #[command(subcommand)]
    command: KafkaCommand,
}

#[derive(Debug, Subcommand)]
enum KafkaCommand {
    /// Start the cluster unless it already runs, and print its bootstrap servers
    Up(UpArgs),
    /// Stop every node and delete its files
    Down {
        /// Keep the data for the next `up`
        #[arg(long)]
        keep: bool,
    },
    /// Print the state of each node; exits with 1 if one does not run
    Status,
    /// Stop one node, counted from 1, and keep its data
    StopNode {
        node: u16,
        /// term: clean shutdown; kill: sudden death; stop: freeze; cont: resume
        #[arg(long, value_enum, default_value_t = Signal::Term)]
        signal: Signal,
    },
    /// Start a stopped node, or resume a frozen one
    StartNode { node: u16 },
    /// Run one of Kafka's own tools: topics, groups, configs, acls, ...
    #[command(
        after_help = "Example: cargo xtask kafka tool topics --bootstrap-server 127.0.0.1:19092 --list"
    )]
    Tool {
        name: String,
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
}

#[derive(Debug, Args)]
struct UpArgs {
    /// Number of brokers; each is also a controller
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=9))]
    nodes: u16,
    /// Add a SASL_SSL listener with SCRAM-SHA-512, user `app`, password `app-secret`
    #[arg(long)]
    tls: bool,
    /// Port of the first node; controllers use port + 100, SASL_SSL port + 200; 0 chooses free ports
    #[arg(long, default_value_t = 19092, value_parser = clap::value_parser!(u16).range(0..=65_000))]
    port: u16,
    /// Heap size of each node's JVM
    #[arg(long, default_value = "256m")]
    heap: String,
    /// A broker setting that overrides the defaults for tests
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = key_value)]
    settings: Vec<(String, String)>,
}

fn key_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or_else(|| {
        format!("found {text:?}, expected KEY=VALUE such as log.retention.ms=1000")
    })?;
    Ok((key.trim().to_owned(), value.trim().to_owned()))
}

/// Runs a `cargo xtask kafka` command.
pub fn run(args: KafkaArgs) -> Result<()> {
    let directory = args.dir.unwrap_or_else(|| workspace().join("target/kafka"));
    let cluster = KafkaCluster::at(directory);
    match args.command {
        KafkaCommand::Up(up) => start(&up.apply(cluster)),
        KafkaCommand::Down { keep: true } => cluster.stop(),
        KafkaCommand::Down { keep: false } => cluster.down(),
        KafkaCommand::Status => status(&cluster),
        KafkaCommand::StopNode { node, signal } => cluster.stop_node(node, signal),
        KafkaCommand::StartNode { node } => cluster.start_node(node),
        KafkaCommand::Tool { name, args } => jars::tool(&name, &args),
    }
}

impl UpArgs {
    fn apply(self, cluster: KafkaCluster) -> KafkaCluster {
        let cluster = cluster
            .nodes(self.nodes)
            .first_port(self.port)
            .heap(&self.heap)
            .tls(self.tls);
        self.settings
            .iter()
            .fold(cluster, |cluster, (key, value)| cluster.set(key, value))
    }
}

fn start(cluster: &KafkaCluster) -> Result<()> {
    let servers = cluster.up()?;
    if let Some(secured) = &servers.secured {
        eprintln!("SASL_SSL, also in {}:", secured.client_file().display());
        for (key, value) in secured.properties() {
            eprintln!("  {key}={value}");
        }
    }
    println!("{}", servers.plain);
    Ok(())
}

fn status(cluster: &KafkaCluster) -> Result<()> {
    let nodes = cluster.status();
    for (name, pid) in &nodes {
        let state = pid.map_or("stopped".to_owned(), |pid| format!("running, pid {pid}"));
        println!("{name}  {state}");
    }
    if nodes.is_empty() {
        bail!(
            "no cluster in {}; start one with `cargo xtask kafka up`",
            cluster.directory().display()
        );
    }
    if nodes.iter().any(|(_, pid)| pid.is_none()) {
        bail!("some nodes do not run; start one with `cargo xtask kafka start-node N`");
    }
    println!("bootstrap.servers={}", cluster.servers()?.plain);
    Ok(())
}
