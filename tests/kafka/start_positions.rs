//! Start positions on real Kafka of inputs that were never read.

use std::fs;
use std::net::SocketAddr;

use flockwise_codec::partitioner::Partitioner;
use flockwise_tests::events::{InputRecord, generated};
use flockwise_tests::eventually;
use flockwise_tests::kafka::servers;
use flockwise_tests::kafka_pipeline::{KafkaPipeline, PARTITIONS, SHORT_SESSION};
use flockwise_tests::metrics::value;
use flockwise_tests::process::{Process, folder, free_address, get};
use flockwise_tests::test_broker::TestBroker;

const CONFIG: &str = "latest.toml";

fn start(kafka_pipeline: &KafkaPipeline) -> (Process, SocketAddr) {
    let address = free_address();
    let mut command = kafka_pipeline.command_with(CONFIG, "instance");
    command.env("FLOCKWISE__HTTP__LISTEN", address.to_string());
    (Process::start(&mut command), address)
}

/// Number of events that an instance has counted, over all workers and inputs.
fn counted(address: SocketAddr) -> f64 {
    let text = get(address, "/metrics").unwrap_or_default();
    let series = text.lines().filter_map(|line| line.split_once(' '));
    let counts = series.filter(|(name, _)| name.starts_with("flockwise_events_total"));
    counts.filter_map(|(name, _)| value(&text, name)).sum()
}

/// Checks that a process that starts now counts exactly this number of events.
fn expect_counted(kafka_pipeline: &KafkaPipeline, events: f64) {
    let (instance, address) = start(kafka_pipeline);
    kafka_pipeline.wait_until_drained();
    eventually("the events since the last start are counted", || {
        counted(address) == events
    });
    instance.terminate().expect(0, &[]);
}

#[test]
fn an_input_that_begins_at_its_latest_record_counts_what_comes_after_the_first_start() {
    let Some(servers) = servers() else { return };
    let kafka_pipeline = KafkaPipeline::on(&servers, folder(), SHORT_SESSION);
    let config = fs::read_to_string(kafka_pipeline.path("learning.toml")).expect("read");
    let input = "format = \"segment\"\n";
    let config = config.replacen(input, &format!("{input}start = \"latest\"\n"), 1);
    fs::write(kafka_pipeline.path(CONFIG), config).expect("written");
    let records = generated(4_000, 300, 1).into_iter();
    let records = records.map(|record| record.keyed(Partitioner::Crc32, PARTITIONS));
    let records: Vec<InputRecord> = records.collect();

    kafka_pipeline.kafka.put(&records[..1_000]);
    let (instance, _) = start(&kafka_pipeline);
    eventually("it has tasks", || {
        instance.stderr().contains("tasks assigned")
    });
    instance.kill();
    kafka_pipeline.kafka.put(&records[1_000..3_000]);
    expect_counted(&kafka_pipeline, 2_000.0);
    kafka_pipeline.kafka.put(&records[3_000..]);
    expect_counted(&kafka_pipeline, 1_000.0);
}
