//! The `flockwise` command.

mod admin;
mod args;
mod build_pipeline;
mod exit;
mod kafka_settings;
mod local;
mod logging;
mod reports;
mod schema_files;
mod service;

use std::process::ExitCode;

use clap::Parser;
use tracing_subscriber::filter::LevelFilter;

use crate::args::{Arguments, Command};

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // Only the service logs its progress: other commands print results.
    let level = match arguments.command {
        Command::Run(_) => LevelFilter::INFO,
        _ => LevelFilter::WARN,
    };
    logging::start(level, arguments.log_json);
    let done = match &arguments.command {
        Command::Demo(arguments) => local::demo::demo(arguments),
        Command::Replay(arguments) => local::replay::replay(arguments),
        Command::Run(arguments) => service::run::run(arguments),
        Command::Check(arguments) => admin::check::check(arguments),
        Command::Topics(arguments) => admin::topics::topics(arguments),
        Command::Reset(arguments) => admin::reset::reset(arguments),
        Command::Erase(arguments) => admin::erase::erase(arguments),
        Command::Model(arguments) => reports::model::model(arguments),
        Command::Customer(arguments) => reports::customer::customer(arguments),
    };
    done.map_or_else(|failed| failed.report(), |()| ExitCode::SUCCESS)
}
