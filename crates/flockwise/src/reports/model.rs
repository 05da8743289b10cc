//! `flockwise model`: inspects the versions of the model, and commands the trainer.

mod diff;
#[cfg(test)]
mod example;
mod export;
mod format;
mod list;
mod send_command;
mod show;
mod topic;
mod versions;

use crate::args::{ModelArguments, ModelCommand};
use crate::exit::Failed;

pub(crate) fn model(arguments: &ModelArguments) -> Result<(), Failed> {
    match &arguments.command {
        ModelCommand::List(arguments) => list::list(arguments),
        ModelCommand::Show(arguments) => show::show(arguments),
        ModelCommand::Diff(arguments) => diff::diff(arguments),
        ModelCommand::Export(arguments) => export::export(arguments),
        ModelCommand::Import(arguments) => send_command::import(arguments),
        ModelCommand::Approve(arguments) => send_command::approve(arguments),
        ModelCommand::Rollback(arguments) => send_command::rollback(arguments),
    }
}
