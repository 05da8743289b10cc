//! The `flockwise` command.

mod args;
mod check;
mod demo;
mod exit;
mod feed;
mod figures;
mod logging;
mod pipeline;
mod progress;
mod replay;
mod report;
mod results;
mod run;
mod session;
mod tally;

use std::process::ExitCode;

use clap::Parser;

use crate::args::{Arguments, Command};

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    logging::start(arguments.log_json);
    let done = match &arguments.command {
        Command::Demo(arguments) => demo::demo(arguments),
        Command::Replay(arguments) => replay::replay(arguments),
        Command::Run(arguments) => run::run(arguments),
        Command::Check(arguments) => check::check(arguments),
    };
    done.map_or_else(|failed| failed.report(), |()| ExitCode::SUCCESS)
}
