//! Figures of a process from `/proc`. Linux only.

use std::fs;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// Unit of CPU times in `/proc`, the same on every architecture.
const TICKS_A_SECOND: f64 = 100.0;

/// User and system time of a process since its start, over all threads, in seconds.
pub(crate) fn cpu_seconds(process: u32) -> Result<f64> {
    // utime and stime
    Ok(two_times(&read(process, "stat")?, 11))
}

/// The same of all child processes that have ended and were waited for.
pub(crate) fn cpu_seconds_of_ended() -> Result<f64> {
    // cutime and cstime
    Ok(two_times(&read(std::process::id(), "stat")?, 13))
}

/// Sum of two adjacent time fields, in seconds. `from` counts fields after the process name, which is in parentheses
/// and may contain anything.
fn two_times(stat: &str, from: usize) -> f64 {
    let fields = stat.rsplit(')').next().unwrap_or_default();
    let fields = fields.split_whitespace().skip(from).take(2);
    let ticks: f64 = fields.filter_map(|field| field.parse::<f64>().ok()).sum();
    ticks / TICKS_A_SECOND
}

/// Memory of a process, in MB.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Memory {
    pub(crate) resident_mb: f64,
    /// Peak of `resident_mb`.
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

/// Load average of the last minute: threads that were running or ready to run.
pub(crate) fn load() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let first = text.split_whitespace().next();
    first.and_then(|load| load.parse().ok()).unwrap_or(f64::NAN)
}

fn read(process: u32, name: &str) -> Result<String> {
    let path = format!("/proc/{process}/{name}");
    fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))
}
