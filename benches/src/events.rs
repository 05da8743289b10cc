//! Events of the generated shop, the same on every machine.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use flockwise_codec::time::write_time;
use xtask::data::generate::{GeneratedLoad, Generator};

use crate::workspace;

/// Number of events of the job.
pub const EVENTS: u64 = 2_000_000;

/// Maximum number of customers of the job.
pub const CUSTOMERS: u32 = 100_000;

/// A load of this many events and customers, over 90 days, with a fixed seed.
#[must_use]
pub fn load(events: u64, customers: u32) -> GeneratedLoad {
    GeneratedLoad {
        events,
        customers,
        seed: 42,
        days: 90,
    }
}

/// The first `count` lines of the job.
#[must_use]
pub fn first(count: usize) -> Vec<String> {
    Generator::new(&load(EVENTS, CUSTOMERS))
        .take(count)
        .collect()
}

/// The path of a file with all lines of a load. Generates the file if it does not exist.
///
/// # Errors
/// If it cannot be written.
pub fn file(load: &GeneratedLoad) -> Result<PathBuf> {
    let name = format!("events-{}-{}.jsonl", load.events, load.customers);
    let path = workspace("target/bench").join(name);
    if path.exists() {
        return Ok(path);
    }
    eprintln!("generating {}", path.display());
    let draft = path.with_extension("draft");
    write(load, &draft).with_context(|| format!("cannot write {}", draft.display()))?;
    fs::rename(&draft, &path).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}

fn write(load: &GeneratedLoad, path: &Path) -> Result<()> {
    fs::create_dir_all(workspace("target/bench"))?;
    let mut out = BufWriter::new(File::create(path)?);
    for line in Generator::new(load) {
        writeln!(out, "{line}")?;
    }
    Ok(out.flush()?)
}

/// Calls `each` with every line of a load.
///
/// # Errors
/// If the file cannot be read, or `each` fails.
pub fn each(load: &GeneratedLoad, mut each: impl FnMut(&str) -> Result<()>) -> Result<()> {
    let path = file(load)?;
    let cannot = || format!("cannot read {}", path.display());
    let mut reader = BufReader::with_capacity(1 << 20, File::open(&path).with_context(cannot)?);
    let mut line = String::new();
    while reader.read_line(&mut line).with_context(cannot)? > 0 {
        each(line.trim_end())?;
        line.clear();
    }
    Ok(())
}

/// The customer id of a line.
///
/// # Errors
/// If it has none.
pub fn customer(line: &str) -> Result<&str> {
    let (_, rest) = line
        .split_once("\"userId\":\"")
        .context("an event without a customer")?;
    rest.split('"')
        .next()
        .context("an event without a customer")
}

/// A `Product Viewed` event. As a customer's first event it always causes a change.
#[must_use]
pub fn viewed(customer: &str, time_ms: i64) -> String {
    let time = write_time(time_ms);
    format!(
        r#"{{"type":"track","event":"Product Viewed","messageId":"m-{customer}-{time_ms}","userId":"{customer}","timestamp":"{time}","context":{{"library":{{"name":"analytics.js","version":"4.1.2"}},"locale":"en-GB"}},"properties":{{"currency":"EUR","product_id":"p15885","category":"music","price":44.43,"quantity":1}}}}"#
    )
}
