//! Measurements without a broker: runs the benches of `cargo bench` and reads their result files.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use flockwise_benches::workspace;
use serde_json::Value;

use crate::bench::Settings;
use crate::{children, process_figures, replay};
use flockwise_benches::report::Table;

/// Runs all of them.
pub(crate) fn measure(settings: &Settings, program: &Path) -> Result<()> {
    replay::measure(settings, program)?;
    kernels(settings)?;
    task(settings)?;
    allocations(settings)
}

fn run(bench: &str) -> Result<f64> {
    let load = process_figures::load();
    eprintln!("cargo bench --bench {bench}, load {load}");
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let mut command = Command::new(cargo);
    command.args(["bench", "--package", "flockwise-benches", "--bench", bench]);
    children::output(command.current_dir(workspace(".")))?;
    Ok(load)
}

fn kernels(settings: &Settings) -> Result<()> {
    let load = run("kernels")?;
    let groups = ["nearest D=16 K=32", "nearest D=32 K=64"];
    let titles = groups.map(|group| format!("ns, {group}"));
    let mut table = Table::new("kernels", &["", &titles[0], &titles[1], "load"]);
    for kernel in ["naive", "Portable", "Avx2", "Avx512"] {
        let cells = groups.map(|group| interval(group, kernel, 4096.0));
        if cells.iter().all(Result::is_ok) {
            let [first, second] = cells.map(Result::unwrap_or_default);
            table.row(&[kernel.to_owned(), first, second, format!("{load:.1}")]);
        }
    }
    table.publish(settings.print)
}

fn task(settings: &Settings) -> Result<()> {
    let load = run("task")?;
    let mut table = Table::new("task", &["one thread, in memory", "ns an event", "load"]);
    for stage in ["decode", "decode, process, encode"] {
        let cell = interval("an event", stage, 100_000.0)?;
        table.row(&[stage.to_owned(), cell, format!("{load:.1}")]);
    }
    table.publish(settings.print)
}

/// Criterion's confidence interval of the mean, `low / estimate / high`, in nanoseconds per element. `of` is the
/// number of elements per iteration.
fn interval(group: &str, name: &str, of: f64) -> Result<String> {
    let folder = workspace("target/criterion").join(group).join(name);
    let path = folder.join("new/estimates.json");
    let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let estimates: Value = serde_json::from_str(&text)?;
    let mean = &estimates["mean"];
    let interval = &mean["confidence_interval"];
    let figures = [
        &interval["lower_bound"],
        &mean["point_estimate"],
        &interval["upper_bound"],
    ];
    let cells = figures.map(|figure| format!("{:.0}", figure.as_f64().unwrap_or(f64::NAN) / of));
    Ok(cells.join(" / "))
}

fn allocations(settings: &Settings) -> Result<()> {
    run("allocations")?;
    let text = fs::read_to_string(workspace("target/bench/allocations.json"))?;
    let stages: Vec<(String, f64, f64)> = serde_json::from_str(&text)?;
    let head = [
        "warm, one thread, in memory",
        "allocations an event",
        "bytes an event",
    ];
    let mut table = Table::new("allocations", &head);
    for (stage, allocations, bytes) in stages {
        table.row(&[stage, format!("{allocations:.4}"), format!("{bytes:.1}")]);
    }
    table.publish(settings.print)
}
