//! Events of a made-up shop, the same on every machine.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::PathBuf;

use anyhow::{Context, Result};
use xtask::data::generate::{Generator, Load};

use crate::workspace;

/// Lines of the whole load.
pub const EVENTS: u64 = 2_000_000;

/// The load that everything is measured with.
fn load() -> Load {
    Load {
        events: EVENTS,
        customers: 100_000,
        seed: 42,
        days: 90,
    }
}

/// The first lines of the load, in memory.
#[must_use]
pub fn first(count: usize) -> Vec<String> {
    Generator::new(&load()).take(count).collect()
}

/// The file with the whole load, made if it is not there.
///
/// # Errors
/// Where it cannot be written.
pub fn file() -> Result<PathBuf> {
    let path = workspace("target/bench/events.jsonl");
    if path.exists() {
        return Ok(path);
    }
    eprintln!("making {}", path.display());
    let draft = path.with_extension("draft");
    let cannot = || format!("cannot write {}", draft.display());
    fs::create_dir_all(workspace("target/bench")).with_context(cannot)?;
    let mut out = BufWriter::new(File::create(&draft).with_context(cannot)?);
    for line in Generator::new(&load()) {
        writeln!(out, "{line}").with_context(cannot)?;
    }
    out.flush().with_context(cannot)?;
    fs::rename(&draft, &path).with_context(cannot)?;
    Ok(path)
}

/// Calls `each` with every line of the load.
///
/// # Errors
/// Where the file cannot be read, and those of `each`.
pub fn each(mut each: impl FnMut(&str) -> Result<()>) -> Result<()> {
    let path = file()?;
    let cannot = || format!("cannot read {}", path.display());
    let mut reader = BufReader::with_capacity(1 << 20, File::open(&path).with_context(cannot)?);
    let mut line = String::new();
    while reader.read_line(&mut line).with_context(cannot)? > 0 {
        each(line.trim_end())?;
        line.clear();
    }
    Ok(())
}

/// The customer of a line.
#[must_use]
pub fn customer(line: &str) -> Option<&str> {
    let (_, rest) = line.split_once("\"userId\":\"")?;
    rest.split('"').next()
}
