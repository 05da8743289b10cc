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

use comfy_table::{ContentArrangement, Table, presets};

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

/// Width where the output is no terminal.
const WIDTH: u16 = 120;

/// A table for people, empty yet.
fn table<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY);
    table.set_content_arrangement(ContentArrangement::Dynamic);
    table.set_width(WIDTH);
    table.set_header(header);
    table
}
