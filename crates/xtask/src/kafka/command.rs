//! `cargo xtask kafka ...`: answers on stdout, everything else on stderr.

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::{Args, Subcommand};

use super::{Cluster, Signal, default_directory, jars};

/// The arguments of `cargo xtask kafka`.
#[derive(Debug, Args)]
pub struct KafkaArgs {
    /// Where the cluster keeps its files [default: target/kafka]
    #[arg(long, global = true)]
    dir: Option<PathBuf>,
    #[command(subcommand)]
    command: KafkaCommand,
}

#[derive(Debug, Subcommand)]
enum KafkaCommand {
    /// Start the cluster unless it runs already; print its bootstrap servers
    Up(UpArgs),
    /// Stop every node and delete its files
    Down {
        /// Keep the data, so that the next `up` goes on with it
        #[arg(long)]
        keep: bool,
    },
    /// Say what runs; exit with 1 if any node of it does not
    Status,
    /// Stop one node, counted from 1; its data stays
    StopNode {
        node: u16,
        /// kill: no goodbye; stop: freeze it, as a long pause would
        #[arg(long, value_enum, default_value_t = Signal::Term)]
        signal: Signal,
    },
    /// Start one node again, or thaw it
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
    /// How many brokers; each is a controller too
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=9))]
    nodes: u16,
    /// Add a SASL_SSL listener with SCRAM-SHA-512, user `app`, password `app-secret`
    #[arg(long)]
    tls: bool,
    /// Port of the first node; controllers are 100 above, SASL_SSL 200 above; 0 picks free ones
    #[arg(long, default_value_t = 19092, value_parser = clap::value_parser!(u16).range(0..=65_000))]
    port: u16,
    /// Memory of each node's JVM
    #[arg(long, default_value = "256m")]
    heap: String,
    /// A broker setting, over the defaults for tests
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = key_value)]
    settings: Vec<(String, String)>,
}

fn key_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or_else(|| {
        format!("found {text:?}, expected KEY=VALUE such as log.retention.ms=1000")
    })?;
    Ok((key.trim().to_owned(), value.trim().to_owned()))
}

/// Carries out one `cargo xtask kafka` command.
pub fn run(args: KafkaArgs) -> Result<()> {
    let cluster = Cluster::at(args.dir.unwrap_or_else(default_directory));
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
    fn apply(self, cluster: Cluster) -> Cluster {
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

fn start(cluster: &Cluster) -> Result<()> {
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

fn status(cluster: &Cluster) -> Result<()> {
    let nodes = cluster.status();
    for (name, pid) in &nodes {
        let state = pid.map_or("stopped".to_owned(), |pid| format!("runs, pid {pid}"));
        println!("{name}  {state}");
    }
    if nodes.is_empty() {
        bail!(
            "no cluster in {}: start one with `cargo xtask kafka up`",
            cluster.directory().display()
        );
    }
    if nodes.iter().any(|(_, pid)| pid.is_none()) {
        bail!("not every node runs: `cargo xtask kafka start-node N` starts one");
    }
    println!("bootstrap.servers={}", cluster.servers()?.plain);
    Ok(())
}
