//! `flockwise model export`: writes a version as JSON, for `model import`.

use std::fs;

use flockwise_codec::model::encode_model;

use crate::args::ExportArguments;
use crate::exit::{Failed, outln};
use crate::reports::model::topic::Setup;

pub(crate) fn export(arguments: &ExportArguments) -> Result<(), Failed> {
    let mut client = Setup::of(&arguments.config)?.connect()?;
    let versions = client.versions()?;
    let version = versions.numbered_or_live(arguments.number)?;
    let mut bytes = encode_model(&version.published.model);
    let Some(path) = &arguments.out else {
        outln!("{}", String::from_utf8_lossy(&bytes));
        return Ok(());
    };
    bytes.push(b'\n');
    fs::write(path, bytes)
        .map_err(|error| Failed::runtime(format!("cannot write {}: {error}", path.display())))
}
