//! Logs a summary of the metrics every 30 s, for users without Prometheus.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use prometheus::Registry;
use prometheus::proto::{Metric, MetricFamily};

use crate::exit::Failed;

const INTERVAL: Duration = Duration::from_secs(30);

/// Logs until it is dropped.
pub(crate) struct StatusLog {
    _ends_when_dropped: SyncSender<()>,
}

impl StatusLog {
    pub(crate) fn start(registry: &Registry) -> Result<Self, Failed> {
        let (sender, ended) = sync_channel(0);
        let registry = registry.clone();
        thread::Builder::new()
            .name("flockwise-status".to_owned())
            .spawn(move || log_status(&registry, &ended))
            .map_err(Failed::runtime)?;
        Ok(Self {
            _ends_when_dropped: sender,
        })
    }
}

fn log_status(registry: &Registry, ended: &Receiver<()>) {
    let mut before = Totals::default();
    while ended.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
        let now = Totals::of(&registry.gather());
        tracing::info!(
            events_per_second = (now.events - before.events) / INTERVAL.as_secs(),
            changes = now.changes - before.changes,
            dead_letters = now.dead_letters - before.dead_letters,
            behind_events = now.behind,
            customers = now.customers,
            segments = now.segments,
            model_version = now.model_version,
            "summary of the last {} s",
            INTERVAL.as_secs()
        );
        before = now;
    }
}

/// Metric values, summed over workers and labels; segments and model version are maxima.
#[derive(Debug, Default, PartialEq)]
struct Totals {
    events: u64,
    changes: u64,
    dead_letters: u64,
    behind: u64,
    customers: u64,
    segments: u64,
    model_version: u64,
}

impl Totals {
    fn of(families: &[MetricFamily]) -> Self {
        let values = |name: &str| {
            let family = families.iter().find(|family| family.name() == name);
            let metrics = family.map(MetricFamily::get_metric).unwrap_or_default();
            metrics.iter().map(value).collect::<Vec<u64>>()
        };
        let sum = |name| values(name).iter().sum();
        let largest = |name| values(name).into_iter().max().unwrap_or(0);
        Self {
            events: sum("flockwise_events_total"),
            changes: sum("flockwise_changes_total"),
            dead_letters: sum("flockwise_dead_letters_total"),
            behind: sum("flockwise_input_lag_events"),
            customers: sum("flockwise_customers"),
            segments: largest("flockwise_segments"),
            model_version: largest("flockwise_model_version"),
        }
    }
}

/// The value of a counter or a gauge. The one that the metric is not is zero.
fn value(metric: &Metric) -> u64 {
    let (counter, gauge) = (
        metric.get_counter().get_value(),
        metric.get_gauge().get_value(),
    );
    (counter + gauge) as u64
}

#[cfg(test)]
mod tests {
    use flockwise_core::decide::Cause;
    use flockwise_runtime::metrics::{Counts, Metrics, WorkerMeter};

    use super::*;

    #[test]
    fn shards_and_causes_are_summed_and_there_is_one_model() {
        let registry = Registry::new();
        let metrics = Metrics::register(&registry).unwrap();
        for worker in 0..2 {
            let mut meter = WorkerMeter::new(worker, ["orders"].into_iter());
            let mut counts = Counts {
                events: 10,
                ..Counts::default()
            };
            counts.changes[Cause::Time as usize] = 1;
            counts.changes[Cause::Behaviour as usize] = 2;
            meter.customers = 5;
            meter.segments = 3;
            meter.model_version = 7 + worker as u64;
            meter.commit(&mut counts, Some(0));
            meter.export(&metrics);
        }
        metrics.lags.report("clicks", 0, 0, Some(4));
        metrics.lags.report("clicks", 1, 0, Some(5));
        let expected = Totals {
            events: 20,
            changes: 6,
            dead_letters: 0,
            behind: 9,
            customers: 10,
            segments: 3,
            model_version: 8,
        };
        assert_eq!(Totals::of(&registry.gather()), expected);
    }
}
