//! Metrics of an instance on real Kafka, also while no broker answers.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use flockwise_codec::partitioner::Partitioner;
use flockwise_runtime::metrics::Described;
use flockwise_tests::events::{InputRecord, lines, record};
use flockwise_tests::eventually;
use flockwise_tests::kafka::one_cluster_at_a_time;
use flockwise_tests::kafka_pipeline::{KafkaPipeline, PARTITIONS};
use flockwise_tests::metrics::{documented, shown};
use flockwise_tests::process::{Process, folder, free_address, get};
use flockwise_tests::test_broker::TestBroker;
use xtask::kafka::{KafkaCluster, Signal};

const CUSTOMERS: u32 = 300;

/// Starts an instance that learns. Also returns its HTTP address.
fn start(kafka_pipeline: &KafkaPipeline) -> (Process, SocketAddr) {
    let address = free_address();
    let mut command = kafka_pipeline.command_with("learning.toml", "instance");
    command.env("FLOCKWISE__HTTP__LISTEN", address.to_string());
    (Process::start(&mut command), address)
}

/// Produces events. Returns the number of customers that have any.
fn put_events(kafka_pipeline: &KafkaPipeline) -> usize {
    let lines = lines(5_000, CUSTOMERS, 1);
    let records = lines.iter().map(|line| record("segment", line));
    let records = records.map(|record| record.keyed(Partitioner::Crc32, PARTITIONS));
    let records: Vec<InputRecord> = records.collect();
    kafka_pipeline.kafka.put(&records);
    let customers: BTreeSet<&[u8]> = records.iter().map(|record| &*record.key).collect();
    customers.len()
}

/// Values of all series of a metric.
fn values(address: SocketAddr, name: &str) -> Vec<f64> {
    let text = get(address, "/metrics").unwrap_or_default();
    let series = text.lines().filter_map(|line| {
        let rest = line.strip_prefix(name)?;
        let (labels, value) = rest.rsplit_once(' ')?;
        let is_it = labels.is_empty() || labels.starts_with('{');
        is_it.then(|| value.parse().expect("a number"))
    });
    series.collect()
}

fn sum(address: SocketAddr, name: &str) -> f64 {
    values(address, name).iter().sum()
}

/// True if the lag of every partition is known and zero.
fn is_at_the_end(address: SocketAddr) -> bool {
    values(address, "flockwise_input_lag_events") == [0.0; PARTITIONS as usize]
}

#[test]
fn an_instance_on_kafka_shows_every_metric_of_the_table_as_it_is_there() {
    let Some(kafka_pipeline) = KafkaPipeline::create() else {
        return;
    };
    put_events(&kafka_pipeline);
    let (instance, address) = start(&kafka_pipeline);
    let table: BTreeMap<String, Described> = documented()
        .into_iter()
        .map(|row| {
            let mut metric = row.metric;
            metric.labels.sort();
            (metric.name.clone(), metric)
        })
        .collect();
    let on_occasion: Vec<String> = documented()
        .into_iter()
        .filter(|row| row.meaning.contains("No series until"))
        .map(|row| row.metric.name)
        .collect();
    let mut missing = Vec::new();
    // The first checkpoint is written after 10 s, and librdkafka publishes its statistics every 10 s.
    eventually("every metric is shown", || {
        let text = get(address, "/metrics").unwrap_or_default();
        let shown = shown(&text);
        for metric in &shown {
            assert_eq!(table.get(&metric.name), Some(metric));
        }
        let is_missing = |name: &&String| !shown.iter().any(|metric| metric.name == **name);
        let expected = table.keys().filter(|name| !on_occasion.contains(name));
        let now: Vec<String> = expected.filter(is_missing).cloned().collect();
        if now != missing {
            eprintln!("not shown yet: {now:?}");
            missing = now;
        }
        missing.is_empty()
    });
    instance.terminate().expect(0, &[]);
}

#[test]
#[ignore = "takes three minutes: run it with --ignored"]
fn while_no_broker_answers_lags_are_unknown_and_grow_and_after_a_restart_without_traffic_they_are_right()
 {
    let Some(_alone) = one_cluster_at_a_time() else {
        return;
    };
    let files = folder();
    let cluster = KafkaCluster::at(files.path().join("kafka")).first_port(0);
    let kafka = cluster.run().expect("the broker starts");
    let kafka_pipeline = KafkaPipeline::on(&kafka.servers.plain, folder(), "");
    let (instance, address) = start(&kafka_pipeline);
    let customers = put_events(&kafka_pipeline) as f64;
    eventually("everything is read", || {
        sum(address, "flockwise_events_total") >= 5_000.0 && is_at_the_end(address)
    });
    eventually("every customer is counted", || {
        sum(address, "flockwise_customers") == customers
    });
    assert_eq!(values(address, "flockwise_ready"), [1.0]);

    kafka
        .cluster
        .stop_node(1, Signal::Kill)
        .expect("the broker is killed");
    eventually("no end offset is known", || {
        values(address, "flockwise_input_lag_events").is_empty()
    });
    eventually("the lag of every partition grows", || {
        let lags = values(address, "flockwise_input_lag_seconds");
        lags.len() == PARTITIONS as usize && lags.iter().all(|lag| *lag > 20.0)
    });
    eventually("the instance is not ready", || {
        values(address, "flockwise_ready") == [0.0]
            && sum(address, "flockwise_uncommitted_seconds") > 60.0
    });

    kafka.cluster.start_node(1).expect("the broker restarts");
    eventually("the instance is ready and has no lag", || {
        is_at_the_end(address) && values(address, "flockwise_ready") == [1.0]
    });
    instance.terminate().expect(0, &[]);
    let (instance, address) = start(&kafka_pipeline);
    eventually("the metrics are right without any traffic", || {
        is_at_the_end(address) && sum(address, "flockwise_customers") == customers
    });
    assert_eq!(sum(address, "flockwise_events_total"), 0.0);
    let lags = values(address, "flockwise_input_lag_seconds");
    assert_eq!(lags, [0.0; PARTITIONS as usize]);
    instance.terminate().expect(0, &[]);
}
