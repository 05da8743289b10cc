//! Metrics of the process, with the names that Prometheus' own client libraries use. They are read from /proc, so
//! they exist only on Linux.

use std::fs;

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{Counter, IntGauge, Result};

/// The kernel's unit of CPU time in /proc, on every architecture that Rust runs on.
const TICKS_PER_S: f64 = 100.0;

/// Indices of fields in /proc/self/stat, counted after the process name, which may contain any character.
const UTIME: usize = 11;
const STIME: usize = 12;
const STARTTIME: usize = 19;

/// The process's metrics, read from /proc when they are collected.
pub(crate) struct ProcessMetrics {
    cpu: Counter,
    resident: IntGauge,
    virtual_memory: IntGauge,
    open_fds: IntGauge,
    max_fds: IntGauge,
    threads: IntGauge,
    start_time: IntGauge,
}

impl ProcessMetrics {
    pub(crate) fn new() -> Result<Self> {
        let gauge = |name: &str, help: &str| IntGauge::new(format!("process_{name}"), help);
        Ok(Self {
            cpu: Counter::new(
                "process_cpu_seconds_total",
                "User and system CPU time spent, seconds.",
            )?,
            resident: gauge("resident_memory_bytes", "Resident memory.")?,
            virtual_memory: gauge("virtual_memory_bytes", "Virtual memory.")?,
            open_fds: gauge("open_fds", "Open file descriptors.")?,
            max_fds: gauge("max_fds", "Maximum number of open file descriptors.")?,
            threads: gauge("threads", "Threads of the operating system.")?,
            start_time: gauge(
                "start_time_seconds",
                "When the process started, seconds since the epoch.",
            )?,
        })
    }

    fn look(&self) -> Vec<MetricFamily> {
        let Some(seen) = ProcessStat::now() else {
            return Vec::new();
        };
        // Two concurrent collections must not make the counter decrease.
        self.cpu.inc_by((seen.cpu_s - self.cpu.get()).max(0.0));
        let gauges = [
            (&self.resident, seen.resident_bytes),
            (&self.virtual_memory, seen.virtual_bytes),
            (&self.open_fds, seen.open_fds),
            (&self.max_fds, seen.max_fds),
            (&self.threads, seen.threads),
            (&self.start_time, seen.started_s),
        ];
        let mut families = self.cpu.collect();
        for (gauge, value) in gauges {
            gauge.set(value);
            families.extend(gauge.collect());
        }
        families
    }
}

impl Collector for ProcessMetrics {
    fn desc(&self) -> Vec<&Desc> {
        let gauges = [
            &self.resident,
            &self.virtual_memory,
            &self.open_fds,
            &self.max_fds,
            &self.threads,
            &self.start_time,
        ];
        let gauges = gauges.into_iter().flat_map(Collector::desc);
        self.cpu.desc().into_iter().chain(gauges).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.look()
    }
}

/// The values that /proc has for this process.
struct ProcessStat {
    cpu_s: f64,
    resident_bytes: i64,
    virtual_bytes: i64,
    threads: i64,
    open_fds: i64,
    max_fds: i64,
    started_s: i64,
}

impl ProcessStat {
    fn now() -> Option<Self> {
        let read = |path| fs::read_to_string(path).ok();
        let open_fds = fs::read_dir("/proc/self/fd").ok()?.count();
        Self::parse(
            &read("/proc/self/stat")?,
            &read("/proc/self/status")?,
            &read("/proc/self/limits")?,
            &read("/proc/stat")?,
            open_fds,
        )
    }

    fn parse(
        stat: &str,
        status: &str,
        limits: &str,
        machine: &str,
        open_fds: usize,
    ) -> Option<Self> {
        let (_, fields) = stat.rsplit_once(')')?;
        let fields: Vec<&str> = fields.split_whitespace().collect();
        let seconds = |field: usize| Some(fields.get(field)?.parse::<f64>().ok()? / TICKS_PER_S);
        let booted_s: i64 = after(machine, "btime")?;
        let kibibytes = |name| after(status, name).map(|kibibytes: i64| kibibytes * 1024);
        Some(Self {
            cpu_s: seconds(UTIME)? + seconds(STIME)?,
            resident_bytes: kibibytes("VmRSS:")?,
            virtual_bytes: kibibytes("VmSize:")?,
            threads: after(status, "Threads:")?,
            // Listing the folder takes one descriptor itself.
            open_fds: i64::try_from(open_fds).ok()?.saturating_sub(1),
            // Without a limit, the file has the word `unlimited`.
            max_fds: after(limits, "Max open files").unwrap_or(i64::MAX),
            started_s: booted_s + seconds(STARTTIME)? as i64,
        })
    }
}

/// The number after a word at the start of a line; `None` if there is no such line.
fn after(text: &str, word: &str) -> Option<i64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(word))?;
    rest.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_proc_are_read_as_they_are() {
        let stat = "42 (a) b) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20 0 9 0 2500 8 9\n";
        let status = "Name:\ta) b\nVmSize:\t   2048 kB\nVmRSS:\t    1024 kB\nThreads:\t9\n";
        let limits = "Limit                     Soft Limit           Hard Limit           Units\n\
                      Max open files            1024                 4096                 files\n";
        let seen = ProcessStat::parse(stat, status, limits, "cpu 1 2\nbtime 1000\n", 8).unwrap();
        assert_eq!(seen.cpu_s, 2.0);
        assert_eq!(
            (seen.resident_bytes, seen.virtual_bytes),
            (1 << 20, 2 << 20)
        );
        assert_eq!((seen.threads, seen.open_fds, seen.max_fds), (9, 7, 1024));
        assert_eq!(seen.started_s, 1025);
        let unlimited = limits.replace("1024 ", "unlimited ");
        let seen = ProcessStat::parse(stat, status, &unlimited, "btime 1000", 8).unwrap();
        assert_eq!(seen.max_fds, i64::MAX);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_is_seen() {
        let metrics = ProcessMetrics::new().unwrap();
        let families = metrics.collect();
        assert_eq!(families.len(), metrics.desc().len());
        assert!(metrics.resident.get() > 1 << 20, "resident memory");
        assert!(metrics.open_fds.get() >= 1, "descriptors");
    }
}
