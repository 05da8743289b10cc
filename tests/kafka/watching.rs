//! What an instance on real Kafka shows of itself, in good times and while no broker answers. Skipped, with a word,
//! where no Kafka is named.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use flockwise_codec::partitioner::Partitioner;
use flockwise_runtime::metrics::Described;
use flockwise_tests::events::{InputRecord, lines, put};
use flockwise_tests::eventually;
use flockwise_tests::kafka::one_cluster_at_a_time;
use flockwise_tests::kafka_pipeline::{KafkaPipeline, PARTITIONS};
use flockwise_tests::metrics::{documented, shown};
use flockwise_tests::process::{Process, folder, free_address, get};
use flockwise_tests::test_broker::TestBroker;
use xtask::kafka::{Cluster, Signal};

const CUSTOMERS: u32 = 300;

/// An instance that learns, and where it says how it does.
fn start(kafka_pipeline: &KafkaPipeline) -> (Process, SocketAddr) {
    let address = free_address();
    let mut command = kafka_pipeline.command_with("learning.toml", "instance");
    command.env("FLOCKWISE__HTTP__LISTEN", address.to_string());
    (Process::start(&mut command), address)
}

/// Returns how many customers have events.
fn put_events(kafka_pipeline: &KafkaPipeline) -> usize {
    let lines = lines(5_000, CUSTOMERS, 1);
    let puts = lines.iter().map(|line| put("segment", line));
    let puts = puts.map(|put| put.keyed(Partitioner::Crc32, PARTITIONS));
    let puts: Vec<InputRecord> = puts.collect();
    kafka_pipeline.kafka.put(&puts);
    let customers: BTreeSet<&[u8]> = puts.iter().map(|put| &*put.key).collect();
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

/// The end of every partition is known, and all of them are read.
fn is_at_the_end(address: SocketAddr) -> bool {
    values(address, "flockwise_input_lag_events") == [0.0; PARTITIONS as usize]
}

#[test]
fn an_instance_on_kafka_shows_every_metric_of_the_table_as_it_is_there() {
    let Some(kafka_pipeline) = KafkaPipeline::set() else {
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
        .filter(|row| row.meaning.contains("no series until"))
        .map(|row| row.metric.name)
        .collect();
    let mut missing = Vec::new();
    // The copy on disk is written after 10 s, and librdkafka tells every 10 s.
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
    let cluster = Cluster::at(files.path().join("kafka")).first_port(0);
    let kafka = cluster.run().expect("a broker of its own");
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
        .expect("the broker is gone");
    eventually("no end is known", || {
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

    kafka.cluster.start_node(1).expect("the broker is back");
    eventually("all is well again", || {
        is_at_the_end(address) && values(address, "flockwise_ready") == [1.0]
    });
    instance.terminate().expect(0, &[]);
    let (instance, address) = start(&kafka_pipeline);
    eventually("what is shown is right without any traffic", || {
        is_at_the_end(address) && sum(address, "flockwise_customers") == customers
    });
    assert_eq!(sum(address, "flockwise_events_total"), 0.0);
    let lags = values(address, "flockwise_input_lag_seconds");
    assert_eq!(lags, [0.0; PARTITIONS as usize]);
    instance.terminate().expect(0, &[]);
}
