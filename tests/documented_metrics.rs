//! Checks that `docs/metrics.md` describes exactly the metrics that exist.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use flockwise_http::Readiness;
use flockwise_kafka::KafkaMetrics;
use flockwise_runtime::metrics::{Described, Metrics};
use flockwise_tests::eventually;
use flockwise_tests::metrics::{documented, shown, value};
use flockwise_tests::process::{Process, flockwise, free_address, get};

/// Every metric that the program registers.
fn in_code() -> BTreeSet<Described> {
    let readiness: Arc<Readiness> = Readiness::new(1);
    let collectors = flockwise_http::collectors(&readiness).expect("collectors");
    let served = collectors
        .iter()
        .flat_map(|collector| Described::of(collector.as_ref()));
    let pipeline = Metrics::described().expect("of the pipeline");
    let store = flockwise_store::described_metrics().expect("of the store");
    let clients = KafkaMetrics::described().expect("of the clients");
    let parts = [pipeline, store, clients].into_iter().flatten();
    served.chain(parts).collect()
}

/// The table's metrics by name, with labels in alphabetical order.
fn by_name() -> BTreeMap<String, Described> {
    let rows = documented().into_iter().map(|row| row.metric);
    let sorted = rows.map(|mut metric| {
        metric.labels.sort();
        (metric.name.clone(), metric)
    });
    sorted.collect()
}

#[test]
fn the_table_and_the_program_name_the_same_metrics() {
    let rows: Vec<Described> = documented().into_iter().map(|row| row.metric).collect();
    let table: BTreeSet<Described> = rows.iter().cloned().collect();
    assert_eq!(rows.len(), table.len(), "a metric has two rows");
    let code = in_code();
    let undocumented: Vec<_> = code.difference(&table).collect();
    let unknown: Vec<_> = table.difference(&code).collect();
    assert!(
        undocumented.is_empty() && unknown.is_empty(),
        "only in the program: {undocumented:#?}\nonly in docs/metrics.md: {unknown:#?}"
    );
}

#[test]
fn every_row_says_what_the_metric_is_and_its_name_has_the_unit() {
    for row in documented() {
        let (name, kind) = (&row.metric.name, row.metric.kind);
        assert!(!row.unit.is_empty() && !row.meaning.is_empty(), "{name}");
        assert_eq!(name.ends_with("_total"), kind == "counter", "{name}");
        let is_seconds = name.trim_end_matches("_total").ends_with("_seconds")
            || name.contains("_seconds_since_");
        assert_eq!(is_seconds, row.unit.starts_with("seconds"), "{name}");
        assert_eq!(name.ends_with("_bytes"), row.unit == "bytes", "{name}");
    }
}

/// The demo has no Kafka clients and no store. Each metric that it exposes must be in the table.
#[test]
fn a_running_instance_shows_only_what_is_in_the_table() {
    let address = free_address();
    let listen = address.to_string();
    let arguments = ["demo", "--speed", "100000", "--listen", &listen];
    let demo = Process::start(&mut flockwise(&arguments));
    let mut text = String::new();
    eventually("the instance is ready and has a model", || {
        text = get(address, "/metrics").unwrap_or_default();
        let model = value(&text, "flockwise_model_version{worker=\"0\"}");
        text.contains("\nflockwise_ready 1\n") && model > Some(0.0)
    });
    drop(demo);
    let table = by_name();
    for metric in shown(&text) {
        assert_eq!(table.get(&metric.name), Some(&metric));
    }
    let process = table.keys().filter(|name| name.starts_with("process_"));
    for name in process.filter(|_| cfg!(target_os = "linux")) {
        assert!(text.contains(&format!("\n{name} ")), "{name}: {text}");
    }
}
