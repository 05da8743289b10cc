use super::*;
use prometheus::TextEncoder;
use prometheus::proto::MetricType;

fn text(registry: &Registry) -> String {
    let families = registry.gather();
    TextEncoder::new().encode_to_string(&families).unwrap()
}

/// Everything set to something, over two exports.
fn filled() -> (Registry, Metrics) {
    let registry = Registry::new();
    let metrics = Metrics::register(&registry).unwrap();
    let mut meter = ShardMeter::new(1);
    meter.events = 5;
    meter.changes[Cause::Time as usize] = 2;
    meter.flips_suppressed[Suppression::Dwell as usize] = 3;
    meter.sweep_outliers = 4;
    meter.customers = 40;
    meter.export(&metrics);
    meter.events += 7;
    meter.customers = 41;
    meter.tasks_restoring = 2;
    meter.dead_letters[Reason::TooLate as usize] = 1;
    meter.aborts[Abort::Lost as usize] = 1;
    let commits = [1_000, 1_001, 4_000, 30_000_000];
    meter.commit = commits.map(Duration::from_micros).to_vec();
    meter.export(&metrics);
    metrics.input("clicks", 3, Duration::from_millis(1500), Some(9));
    (registry, metrics)
}

#[test]
fn every_export_adds_what_came_since_the_last() {
    let text = text(&filled().0);
    let expected = [
        "flockwise_events_total 12",
        "flockwise_changes_total{cause=\"behaviour\"} 0",
        "flockwise_changes_total{cause=\"time\"} 2",
        "flockwise_flips_suppressed_total{reason=\"dwell\"} 3",
        "flockwise_dead_letters_total{reason=\"too_late\"} 1",
        "flockwise_sweep_outliers_total 4",
        "flockwise_customers{shard=\"1\"} 41",
        "flockwise_tasks{shard=\"1\",state=\"restoring\"} 2",
        "flockwise_event_lag_seconds{partition=\"3\",topic=\"clicks\"} 1.5",
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
    assert_eq!(families.len(), 28);
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
    metrics.forget_input("clicks", 3);
    metrics.forget_input("clicks", 4);
    assert!(!text(&registry).contains("clicks"));
    metrics.input("clicks", 3, Duration::ZERO, None);
    assert!(text(&registry).contains("clicks"));
}

#[test]
fn quantiles_are_known_and_names_registered_once() {
    let (registry, metrics) = filled();
    let median = metrics.commit_latency.quantile(0.5);
    assert_eq!(median, Duration::from_micros(1_001));
    assert!(Metrics::register(&registry).is_err());
}
