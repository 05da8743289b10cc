//! `flockwise model export`: a version as a file that imports again.

use std::fs;

use flockwise_codec::model::encode_model;

use crate::args::ExportArguments;
use crate::exit::{Failed, say};
use crate::model::topic::Setup;

pub(crate) fn export(arguments: &ExportArguments) -> Result<(), Failed> {
    let mut desk = Setup::of(&arguments.config)?.connect()?;
    let versions = desk.versions()?;
    let version = versions.numbered_or_live(arguments.number)?;
    let mut bytes = encode_model(&version.published.model);
    let Some(path) = &arguments.out else {
        say!("{}", String::from_utf8_lossy(&bytes));
        return Ok(());
    };
    bytes.push(b'\n');
    fs::write(path, bytes)
        .map_err(|error| Failed::running(format!("{} cannot be written: {error}", path.display())))
}
