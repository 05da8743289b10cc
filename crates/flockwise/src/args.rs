//! The command line, as parsed by clap.

mod model;
mod seconds;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

pub(crate) use model::{
    CommandArguments, DecideArguments, DiffArguments, ExportArguments, ImportArguments,
    ListArguments, ModelArguments, ModelCommand, ShowArguments,
};
use seconds::seconds;

/// Real-time customer segments from a stream of clicks and purchases.
#[derive(Debug, Parser)]
#[command(name = "flockwise", version, propagate_version = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
    /// Write logs as JSON, one object per line.
    #[arg(long, global = true)]
    pub(crate) log_json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Play a year of a real shop's orders through the pipeline, without Kafka.
    #[command(after_help = "Example:\n  flockwise demo --once")]
    Demo(DemoArguments),
    /// Run the pipeline over files of events, without Kafka.
    #[command(
        after_help = "Example:\n  flockwise replay orders.jsonl.zst --config web-shop.toml --out result"
    )]
    Replay(ReplayArguments),
    /// Run the pipeline on Kafka.
    #[command(after_help = "Example:\n  flockwise run --config flockwise.toml")]
    Run(RunArguments),
    /// Validate a configuration. With --connect, check the Kafka cluster too.
    #[command(after_help = "Example:\n  flockwise check --config flockwise.toml --connect")]
    Check(CheckArguments),
    /// Compare Flockwise's own topics with what they need. With --apply, create missing topics and correct settings.
    #[command(after_help = "Example:\n  flockwise topics --config flockwise.toml --apply")]
    Topics(TopicsArguments),
    /// Delete the state of a stopped pipeline. The next run reads the inputs again from a given position.
    #[command(after_help = "Example:\n  flockwise reset --config flockwise.toml --to earliest")]
    Reset(ResetArguments),
    /// Erase a customer from a pipeline's state, while instances run.
    #[command(
        long_about = ERASE,
        after_help = "Example:\n  flockwise erase 17850 --config flockwise.toml"
    )]
    Erase(EraseArguments),
    /// Inspect the versions of the model, and decide which one is in use.
    #[command(after_help = "Example:\n  flockwise model list --config flockwise.toml")]
    Model(ModelArguments),
    /// Ask a running instance why a customer is in a segment, and what would move the customer.
    #[command(after_help = "Example:\n  flockwise customer 17850 --ask http://127.0.0.1:8080")]
    Customer(CustomerArguments),
}

/// What `erase` covers and what it does not.
const ERASE: &str = "\
Erase a customer from a pipeline's state, while instances run.

Sends a command to the task that owns the customer, and waits until it is applied. In one transaction the task removes \
the customer's features, segment and dedup memory, writes a tombstone to the changelog, and, if the customer had a \
segment, publishes a last change with the cause `erasure` and without a new segment. Checkpoints and standbys follow \
within seconds. Bytes of the former state remain on disk until the brokers compact the changelog and the checkpoint \
is rewritten, which happens as it grows.

Not erased: the customer's events on the input topics; dead letters; segment changes published before; the samples of the \
trainer, which hold a hash of the id and a feature vector; checkpoints that were set aside in the state directory \
(`*.aside-*`), and those of instances that no longer own the task; files that `replay` wrote. Retention deletes what is \
on topics.

An event of the customer that is read afterwards begins a new customer. So stop such events first; `flockwise reset` \
reads again what is still on the inputs.";

#[derive(Debug, Args)]
pub(crate) struct EraseArguments {
    /// Id of the customer, exactly as in the events.
    #[arg(value_name = "CUSTOMER", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub(crate) customer_id: String,
    /// Configuration file.
    #[arg(long)]
    pub(crate) config: PathBuf,
    /// How long to wait for the task to apply the command. 0: only send it.
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = seconds)]
    pub(crate) wait: Duration,
    /// Print the outcome as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct DemoArguments {
    /// Exit after the last order, instead of serving /metrics and customer queries until Ctrl-C.
    #[arg(long)]
    pub(crate) once: bool,
    /// Days of the shop's year to play per second, once there are segments.
    #[arg(long, default_value = "7", value_name = "DAYS", value_parser = days_a_second)]
    pub(crate) speed: f64,
    /// Address of the HTTP server, for /metrics and customer queries.
    #[arg(long, default_value = "127.0.0.1:8080", value_name = "ADDRESS")]
    pub(crate) listen: std::net::SocketAddr,
}

#[derive(Debug, Args)]
pub(crate) struct ReplayArguments {
    /// Files of events, or - for stdin: JSON objects, one on each line, over several lines, or in an array; also
    /// compressed with gzip or zstd, whatever the name. Events in any order are sorted by time. With several inputs,
    /// the name of a file must start with the topic of its input.
    #[arg(required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// Configuration file.
    #[arg(long)]
    pub(crate) config: PathBuf,
    /// Start with the model in this file, without a warm-up.
    #[arg(long)]
    pub(crate) model: Option<PathBuf>,
    /// Write segment-changes.jsonl, lineage.jsonl, customers.jsonl, model.json, dead-letters.jsonl and summary.json to
    /// this directory.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Ignore events after this time (RFC 3339), and report every customer as of this time.
    #[arg(long, value_name = "TIME")]
    pub(crate) at: Option<String>,
    /// Number of workers. The result is the same for any number.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) shards: Option<u16>,
    /// Print the summary as JSON instead of a table.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RunArguments {
    /// Configuration file.
    #[arg(long)]
    pub(crate) config: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct CheckArguments {
    /// Configuration file.
    #[arg(long)]
    pub(crate) config: PathBuf,
    /// Also check the cluster (group, permissions, topics and their durability, message sizes, clock) and the state
    /// directory. Everything that makes `run` refuse to start is a problem, the rest are warnings.
    #[arg(long)]
    pub(crate) connect: bool,
    /// Print only the minimum permissions of the pipeline, as kafka-acls.sh commands.
    #[arg(long, conflicts_with_all = ["connect", "json"])]
    pub(crate) acls: bool,
    /// Principal that the --acls commands grant permissions to.
    #[arg(
        long,
        default_value = "User:flockwise",
        value_name = "PRINCIPAL",
        requires = "acls"
    )]
    pub(crate) principal: String,
    /// Print the result as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct TopicsArguments {
    /// Configuration file.
    #[arg(long)]
    pub(crate) config: PathBuf,
    /// Create missing topics, and correct the settings of existing ones.
    #[arg(long)]
    pub(crate) apply: bool,
    /// Print the topics as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ResetArguments {
    /// Configuration file.
    #[arg(long)]
    pub(crate) config: PathBuf,
    /// Where to read the inputs from: `earliest`, a time (RFC 3339, compared with the records' timestamps), or an
    /// offset for each partition (orders/0=1200,orders/1=1187).
    #[arg(long, value_name = "TARGET")]
    pub(crate) to: String,
    /// Keep the model and the samples that it was learnt from.
    #[arg(long)]
    pub(crate) keep_model: bool,
    /// Carry out the reset. Without this option, only print what it would do.
    #[arg(long)]
    pub(crate) yes: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CustomerArguments {
    /// Id of the customer, exactly as in the events.
    #[arg(value_name = "ID", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub(crate) customer_id: String,
    /// HTTP address of an instance. If given several times, instances are asked in turn until one has the
    /// customer. Default: the address in --config, else http://127.0.0.1:8080.
    #[arg(long, value_name = "URL", conflicts_with = "config")]
    pub(crate) ask: Vec<String>,
    /// Configuration file. Its `[http] listen` is the address of the instance on this machine.
    #[arg(long)]
    pub(crate) config: Option<PathBuf>,
    /// Print the answer as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

fn days_a_second(text: &str) -> Result<f64, String> {
    let days = text.parse().ok().filter(|days| (0.01..=1e6).contains(days));
    days.ok_or_else(|| "expected a number of days from 0.01 to 1000000".to_owned())
}
