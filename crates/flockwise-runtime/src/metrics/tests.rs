use std::time::Duration;

use flockwise_codec::decode::Reason;
use flockwise_core::decide::{Cause, Suppression};
use prometheus::proto::MetricType;
use prometheus::{Registry, TextEncoder};

use super::*;
use crate::clock::Clock;
use crate::transaction::Transaction;

fn text(registry: &Registry) -> String {
    let families = registry.gather();
    TextEncoder::new().encode_to_string(&families).unwrap()
}

/// Metrics that were filled by two exports.
fn filled() -> (Registry, Metrics) {
    let registry = Registry::new();
    let metrics = Metrics::register_by(&registry, &Clock::simulated(100_000)).unwrap();
    let mut meter = WorkerMeter::new(1, ["orders"].into_iter());
    let mut counts = Counts {
        events: 5,
        ..Counts::default()
    };
    counts.changes[Cause::Time as usize] = 2;
    counts.suppressed_changes[Suppression::Dwell as usize] = 3;
    counts.sweep_outliers = 4;
    meter.customers = 40;
    meter.commit(&mut counts, Some(0));
    meter.export(&metrics);
    counts.events += 7;
    meter.customers = 41;
    meter.tasks_restoring = 2;
    counts.dead_letters[Reason::TooLate as usize] = 1;
    let inputs = counts.inputs.of(0);
    (inputs.events, inputs.used, inputs.text) = (3, 2, 1);
    meter.aborts[Abort::Lost as usize] = 1;
    let commits = [1_000, 1_001, 4_000, 30_000_000];
    meter.commit = commits.map(Duration::from_micros).to_vec();
    meter.commit(&mut counts, Some(0));
    meter.export(&metrics);
    metrics.lags.report("clicks", 3, 98_500, Some(9));
    metrics.progress.polled(1);
    (registry, metrics)
}

#[test]
fn every_export_adds_what_came_since_the_last() {
    let text = text(&filled().0);
    let expected = [
        "flockwise_events_total 12",
        "flockwise_changes_total{cause=\"behaviour\"} 0",
        "flockwise_changes_total{cause=\"time\"} 2",
        "flockwise_suppressed_changes_total{reason=\"dwell\"} 3",
        "flockwise_dead_letters_total{reason=\"too_late\"} 1",
        "flockwise_sweep_outliers_total 4",
        "flockwise_feature_events_total{feature=\"orders\"} 3",
        "flockwise_feature_values_total{feature=\"orders\",kind=\"text\"} 1",
        "flockwise_feature_values_total{feature=\"orders\",kind=\"used\"} 2",
        "flockwise_customers{worker=\"1\"} 41",
        "flockwise_tasks{state=\"restoring\",worker=\"1\"} 2",
        "flockwise_input_lag_seconds{partition=\"3\",topic=\"clicks\"} 1.5",
        "flockwise_input_lag_events{partition=\"3\",topic=\"clicks\"} 9",
        "flockwise_commit_latency_seconds_bucket{le=\"0.001\"} 1",
        "flockwise_commit_latency_seconds_bucket{le=\"10\"} 3",
        "flockwise_commit_latency_seconds_bucket{le=\"+Inf\"} 4",
        "flockwise_commit_latency_seconds_sum 30.006001",
        "flockwise_end_to_end_latency_seconds_sum 0",
    ];
    for line in expected {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
}

#[test]
fn names_helps_and_types_are_as_prometheus_wants_them() {
    let families = filled().0.gather();
    assert_eq!(families.len(), 46);
    for family in &families {
        let (name, help) = (family.name(), family.help());
        assert!(name.starts_with("flockwise_"), "{name}");
        let is_plain = |c: char| c.is_ascii_lowercase() || c == '_';
        assert!(name.chars().all(is_plain), "{name}");
        let is_counter = family.get_field_type() == MetricType::COUNTER;
        assert_eq!(name.ends_with("_total"), is_counter, "{name}");
        let is_histogram = family.get_field_type() == MetricType::HISTOGRAM;
        assert!(!is_histogram || name.ends_with("_seconds"), "{name}");
        assert!(help.ends_with('.') && help.len() > 10, "{name}: {help}");
    }
    for line in text(&filled().0)
        .lines()
        .filter(|line| !line.starts_with("# "))
    {
        let (series, value) = line.rsplit_once(' ').unwrap();
        assert!(value.parse::<f64>().is_ok(), "{line}");
        assert_eq!(series.contains('{'), series.ends_with("\"}"), "{line}");
    }
}

#[test]
fn an_input_that_is_handed_over_is_no_longer_shown() {
    let (registry, metrics) = filled();
    metrics.lags.forget("clicks", 3);
    metrics.lags.forget("clicks", 4);
    assert!(!text(&registry).contains("clicks"));
    metrics.lags.report("clicks", 3, 0, None);
    assert!(text(&registry).contains("clicks"));
}

#[test]
fn quantiles_are_known_and_names_registered_once() {
    let (registry, metrics) = filled();
    let median = metrics.commit_latency.quantile(0.5);
    assert_eq!(median, Duration::from_micros(1_001));
    assert!(Metrics::register(&registry).is_err());
}

#[test]
fn what_is_aborted_is_not_counted_and_what_is_done_again_once() {
    let registry = Registry::new();
    let metrics = Metrics::register(&registry).unwrap();
    let mut meter = WorkerMeter::new(0, ["orders"].into_iter());
    let mut transaction = Transaction::default();
    let work = |transaction: &mut Transaction| {
        let counts = transaction.counts();
        counts.events += 2;
        counts.dead_letters[Reason::TooLate as usize] += 1;
        *counts
            .moves
            .entry((Cause::Time, None, Some(1)))
            .or_default() += 1;
        counts.received_ms.extend([1_000, 2_000]);
    };
    work(&mut transaction);
    meter.export(&metrics);
    assert!(text(&registry).contains("flockwise_events_total 0"));
    transaction.roll_back();
    work(&mut transaction);
    transaction.commit(&mut meter, Some(3_602_000));
    meter.export(&metrics);
    assert_eq!(meter.moves().values().sum::<u64>(), 1);
    let text = text(&registry);
    for line in [
        "flockwise_events_total 2",
        "flockwise_dead_letters_total{reason=\"too_late\"} 1",
        "flockwise_end_to_end_latency_seconds_bucket{le=\"600\"} 0",
        "flockwise_end_to_end_latency_seconds_bucket{le=\"3600\"} 1",
        "flockwise_end_to_end_latency_seconds_count 2",
        "flockwise_end_to_end_latency_seconds_sum 7201",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
}

#[test]
fn lags_grow_while_nothing_is_read_and_are_unknown_once_they_are_old() {
    let (registry, clock) = (Registry::new(), Clock::simulated(100_000));
    let metrics = Metrics::register_by(&registry, &clock).unwrap();
    let reports = [("end", 90_000, Some(0)), ("behind", 90_000, Some(4))];
    for (topic, time_ms, lag) in reports {
        metrics.lags.report(topic, 0, time_ms, lag);
    }
    metrics.lags.report("unknown", 0, i64::MIN, None);
    let shown = |name: &str, topic: &str| {
        let series = format!("flockwise_input_lag_{name}{{partition=\"0\",topic=\"{topic}\"}} ");
        let text = text(&registry);
        let value = text.lines().find_map(|line| line.strip_prefix(&series));
        value.map(str::to_owned)
    };
    let seconds = |topic| shown("seconds", topic).unwrap();
    clock.advance(Duration::from_secs(5));
    assert_eq!(["end", "behind", "unknown"].map(seconds), ["0", "15", "5"]);
    assert_eq!(shown("events", "end").as_deref(), Some("0"));
    assert_eq!(shown("events", "unknown"), None);
    clock.advance(Duration::from_secs(10));
    assert_eq!(
        ["end", "behind", "unknown"].map(seconds),
        ["15", "25", "15"]
    );
    assert_eq!(shown("events", "end"), None);
}

#[test]
fn a_shard_that_does_not_commit_stalls_through_aborts_and_an_idle_one_does_not() {
    let (registry, clock) = (Registry::new(), Clock::simulated(0));
    let metrics = Metrics::register_by(&registry, &clock).unwrap();
    let (progress, limit) = (&metrics.progress, Duration::from_secs(60));
    progress.polled(0);
    progress.pending(1);
    clock.advance(limit / 2);
    progress.failed(1, "no broker");
    progress.pending(1);
    assert_eq!(progress.stalls(limit), []);
    clock.advance(limit / 2);
    let stall = Stall {
        worker: 1,
        lasted: limit,
        error: Some("no broker".to_owned()),
    };
    assert_eq!(progress.stalls(limit), [stall]);
    let text = text(&registry);
    for line in [
        "flockwise_seconds_since_poll{worker=\"0\"} 60",
        "flockwise_seconds_since_commit{worker=\"1\"} 60",
        "flockwise_uncommitted_seconds{worker=\"0\"} 0",
        "flockwise_uncommitted_seconds{worker=\"1\"} 60",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
    progress.committed(1);
    assert_eq!(progress.stalls(Duration::ZERO), []);
}
