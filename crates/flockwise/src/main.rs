//! The `flockwise` command.

mod acls;
mod args;
mod check;
mod cluster;
mod connection;
mod counts;
mod customer;
mod demo;
mod describe;
mod event_files;
mod exit;
mod exposition;
mod finding;
mod instance;
mod local_pipeline;
mod logging;
mod model;
mod pipeline;
mod pipeline_record;
mod preflight;
mod private;
mod progress;
mod replay;
mod report;
mod reset;
mod results;
mod run;
mod segment_stats;
mod signals;
mod standby_thread;
mod state_directory;
mod status_log;
mod topics;
mod watchdog;
mod workers;

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
        Command::Demo(arguments) => demo::demo(arguments),
        Command::Replay(arguments) => replay::replay(arguments),
        Command::Run(arguments) => run::run(arguments),
        Command::Check(arguments) => check::check(arguments),
        Command::Topics(arguments) => topics::topics(arguments),
        Command::Reset(arguments) => reset::reset(arguments),
        Command::Model(arguments) => model::model(arguments),
        Command::Customer(arguments) => customer::customer(arguments),
    };
    done.map_or_else(|failed| failed.report(), |()| ExitCode::SUCCESS)
}
