//! The command line as typed.

mod model;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

pub(crate) use model::{
    CommandArguments, DecideArguments, DiffArguments, ExportArguments, ImportArguments,
    ListArguments, ModelArguments, ModelCommand, ShowArguments,
};

/// Real-time customer segments from a stream of clicks and purchases.
#[derive(Debug, Parser)]
#[command(name = "flockwise", version, about, propagate_version = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
    /// Logs as JSON, one object a line.
    #[arg(long, global = true)]
    pub(crate) log_json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Play a year of a real shop's orders through the pipeline, nothing to install.
    #[command(after_help = "Example:\n  flockwise demo --once")]
    Demo(DemoArguments),
    /// Run the pipeline over files of events, without a broker or a server.
    #[command(
        after_help = "Example:\n  flockwise replay orders.jsonl.zst --config web-shop.toml --out result"
    )]
    Replay(ReplayArguments),
    /// Run the pipeline on Kafka.
    #[command(after_help = "Example:\n  flockwise run --config flockwise.toml")]
    Run(RunArguments),
    /// Say whether a configuration is valid, and with --connect whether the cluster is as it should be.
    #[command(after_help = "Example:\n  flockwise check --config flockwise.toml --connect")]
    Check(CheckArguments),
    /// Show Flockwise's own topics as they are and as they should be, and make those that are missing.
    #[command(after_help = "Example:\n  flockwise topics --config flockwise.toml --apply")]
    Topics(TopicsArguments),
    /// Forget a stopped pipeline's customers, and say where its inputs are read from again.
    #[command(after_help = "Example:\n  flockwise reset --config flockwise.toml --to earliest")]
    Reset(ResetArguments),
    /// Look at the versions of the model, and decide which one is in use.
    #[command(after_help = "Example:\n  flockwise model list --config flockwise.toml")]
    Model(ModelArguments),
    /// Say which segment a customer is in, why, and what would take them to another; asks a running instance.
    #[command(after_help = "Example:\n  flockwise customer 17850 --ask http://127.0.0.1:8080")]
    Customer(CustomerArguments),
}

#[derive(Debug, Args)]
pub(crate) struct DemoArguments {
    /// End with the orders instead of staying up for /metrics and questions.
    #[arg(long)]
    pub(crate) once: bool,
    /// Days of the shop's year that pass in a second, once there are segments.
    #[arg(long, default_value = "7", value_name = "DAYS", value_parser = days_a_second)]
    pub(crate) speed: f64,
    /// Where /metrics listens.
    #[arg(long, default_value = "127.0.0.1:8080", value_name = "ADDRESS")]
    pub(crate) listen: std::net::SocketAddr,
}

#[derive(Debug, Args)]
pub(crate) struct ReplayArguments {
    /// Files of events, one JSON object a line; .gz and .zst too. With several inputs a file belongs to
    /// the input whose topic its name starts with.
    #[arg(required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// The configuration.
    #[arg(long)]
    pub(crate) config: PathBuf,
    /// Start from this model instead of a warm-up.
    #[arg(long)]
    pub(crate) model: Option<PathBuf>,
    /// Write segment-changes.jsonl, lineage.jsonl, customers.jsonl, model.json, dead-letters.jsonl and summary.json here.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Leave events after this instant (RFC 3339) out and show everybody as of then.
    #[arg(long, value_name = "TIME")]
    pub(crate) at: Option<String>,
    /// Workers; the result is the same for any number.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) shards: Option<u16>,
    /// The summary as JSON instead of a table.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RunArguments {
    /// The configuration.
    #[arg(long)]
    pub(crate) config: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct CheckArguments {
    /// The configuration.
    #[arg(long)]
    pub(crate) config: PathBuf,
    /// Ask the cluster too: group, permissions, topics and how durable they are, message sizes, clock; and look at
    /// the state directory. Refuses what `run` would refuse.
    #[arg(long)]
    pub(crate) connect: bool,
    /// Print the fewest permissions that the pipeline needs, as lines for kafka-acls.sh, and nothing else.
    #[arg(long, conflicts_with_all = ["connect", "json"])]
    pub(crate) acls: bool,
    /// Whom --acls gives them to.
    #[arg(
        long,
        default_value = "User:flockwise",
        value_name = "PRINCIPAL",
        requires = "acls"
    )]
    pub(crate) principal: String,
    /// The findings as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct TopicsArguments {
    /// The configuration.
    #[arg(long)]
    pub(crate) config: PathBuf,
    /// Make the topics that are missing, and mend settings of the others.
    #[arg(long)]
    pub(crate) apply: bool,
    /// The topics as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ResetArguments {
    /// The configuration.
    #[arg(long)]
    pub(crate) config: PathBuf,
    /// Where the inputs are read from: `earliest`, a time (RFC 3339, by the records' timestamps), or an offset for
    /// each partition (orders/0=1200,orders/1=1187).
    #[arg(long, value_name = "TARGET")]
    pub(crate) to: String,
    /// Keep the model and what it was learnt from.
    #[arg(long)]
    pub(crate) keep_model: bool,
    /// Do it; without this it is only said what would be done.
    #[arg(long)]
    pub(crate) yes: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CustomerArguments {
    /// The customer's id, as in the events.
    #[arg(value_name = "ID", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub(crate) customer_id: String,
    /// Where an instance listens for HTTP; may be given again, and each is asked until one knows. Left out: as in
    /// the configuration, else http://127.0.0.1:8080.
    #[arg(long, value_name = "URL", conflicts_with = "config")]
    pub(crate) ask: Vec<String>,
    /// A configuration, whose `[http] listen` says where this machine's instance listens.
    #[arg(long)]
    pub(crate) config: Option<PathBuf>,
    /// The answer as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

fn days_a_second(text: &str) -> Result<f64, String> {
    let days = text.parse().ok().filter(|days| (0.01..=1e6).contains(days));
    days.ok_or_else(|| "expected a number of days from 0.01 to 1000000".to_owned())
}
