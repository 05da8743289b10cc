//! Where inputs begin on real Kafka that were never read. Skipped, with a word, where no Kafka is named.

use std::fs;
use std::net::SocketAddr;

use flockwise_codec::partitioner::Partitioner;
use flockwise_tests::broker::Stage;
use flockwise_tests::events::{Put, generated};
use flockwise_tests::eventually;
use flockwise_tests::kafka::servers;
use flockwise_tests::metrics::value;
use flockwise_tests::plant::{PARTITIONS, Plant, SHORT_SESSION};
use flockwise_tests::process::{Process, folder, free_address, get};

const CONFIG: &str = "latest.toml";

fn start(plant: &Plant) -> (Process, SocketAddr) {
    let address = free_address();
    let mut command = plant.command_with(CONFIG, "instance");
    command.env("FLOCKWISE__HTTP__LISTEN", address.to_string());
    (Process::start(&mut command), address)
}

/// Events that a process has counted, of all its shards and inputs.
fn counted(address: SocketAddr) -> f64 {
    let text = get(address, "/metrics").unwrap_or_default();
    let series = text.lines().filter_map(|line| line.split_once(' '));
    let counts = series.filter(|(name, _)| name.starts_with("flockwise_events_total"));
    counts.filter_map(|(name, _)| value(&text, name)).sum()
}

/// A process that starts now counts these events and no other.
fn expect_counted(plant: &Plant, events: f64) {
    let (instance, address) = start(plant);
    plant.wait_until_drained();
    eventually("what came since the last start is counted", || {
        counted(address) == events
    });
    instance.terminate().expect(0, &[]);
}

#[test]
fn an_input_that_begins_at_its_latest_record_counts_what_comes_after_the_first_start() {
    let Some(servers) = servers() else { return };
    let plant = Plant::on(&servers, folder(), SHORT_SESSION);
    let config = fs::read_to_string(plant.path("learning.toml")).expect("read");
    let input = "format = \"segment\"\n";
    let config = config.replacen(input, &format!("{input}start = \"latest\"\n"), 1);
    fs::write(plant.path(CONFIG), config).expect("written");
    let records = generated(4_000, 300, 1).into_iter();
    let records = records.map(|put| put.keyed(Partitioner::Crc32, PARTITIONS));
    let records: Vec<Put> = records.collect();

    plant.kafka.put(&records[..1_000]);
    let (instance, _) = start(&plant);
    eventually("it has tasks", || {
        instance.stderr().contains("tasks assigned")
    });
    instance.kill();
    plant.kafka.put(&records[1_000..3_000]);
    expect_counted(&plant, 2_000.0);
    plant.kafka.put(&records[3_000..]);
    expect_counted(&plant, 1_000.0);
}
