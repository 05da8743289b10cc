//! What the system says of a process. Linux alone.

use std::fs;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// In which Linux counts CPU time for user programs, on every architecture.
const TICKS_A_SECOND: f64 = 100.0;

/// User and system time of a process since it began, all its threads, in seconds.
pub(crate) fn cpu_seconds(process: u32) -> Result<f64> {
    // utime and stime
    Ok(two_times(&read(process, "stat")?, 11))
}

/// The same of all our processes that have ended and been waited for.
pub(crate) fn cpu_seconds_of_ended() -> Result<f64> {
    // cutime and cstime
    Ok(two_times(&read(std::process::id(), "stat")?, 13))
}

/// Seconds in two fields, counted behind the name in parentheses, which may hold anything.
fn two_times(stat: &str, from: usize) -> f64 {
    let fields = stat.rsplit(')').next().unwrap_or_default();
    let fields = fields.split_whitespace().skip(from).take(2);
    let ticks: f64 = fields.filter_map(|field| field.parse::<f64>().ok()).sum();
    ticks / TICKS_A_SECOND
}

/// Memory that a process holds, in MB.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Memory {
    pub(crate) resident_mb: f64,
    /// The most that it ever held at once.
    pub(crate) peak_mb: f64,
}

impl Memory {
    pub(crate) fn of(process: u32) -> Result<Self> {
        let status = read(process, "status")?;
        Ok(Self {
            resident_mb: mb(&status, "VmRSS:")?,
            peak_mb: mb(&status, "VmHWM:")?,
        })
    }
}

fn mb(status: &str, name: &str) -> Result<f64> {
    let kib = status.lines().find_map(|line| line.strip_prefix(name));
    let kib = kib.and_then(|rest| rest.split_whitespace().next()?.parse::<f64>().ok());
    Ok(kib.with_context(|| format!("no {name}"))? * 1024.0 / 1e6)
}

/// How many were running or waiting to, on average over a minute.
pub(crate) fn load() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let first = text.split_whitespace().next();
    first.and_then(|load| load.parse().ok()).unwrap_or(f64::NAN)
}

fn read(process: u32, name: &str) -> Result<String> {
    let path = format!("/proc/{process}/{name}");
    fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))
}
