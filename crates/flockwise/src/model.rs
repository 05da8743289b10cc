//! `flockwise model`: the versions of the model, and which one is in use.

mod desk;
mod diff;
#[cfg(test)]
mod example;
mod export;
mod list;
mod orders;
mod show;
mod versions;
mod words;

use crate::args::{ModelArguments, ModelCommand};
use crate::exit::Failed;

pub(crate) fn model(arguments: &ModelArguments) -> Result<(), Failed> {
    match &arguments.command {
        ModelCommand::List(arguments) => list::list(arguments),
        ModelCommand::Show(arguments) => show::show(arguments),
        ModelCommand::Diff(arguments) => diff::diff(arguments),
        ModelCommand::Export(arguments) => export::export(arguments),
        ModelCommand::Import(arguments) => orders::import(arguments),
        ModelCommand::Approve(arguments) => orders::approve(arguments),
        ModelCommand::Rollback(arguments) => orders::rollback(arguments),
    }
}
