//! `flockwise reset` on real Kafka: what comes out behind it is what a replay of the events from there on gives.
//! Skipped, with a word, where no Kafka is named.

use std::fs;

use flockwise_codec::time::write_time;
use flockwise_runtime::topics::Topic;
use flockwise_tests::broker::Stage;
use flockwise_tests::events::lines;
use flockwise_tests::plant::{PARTITIONS, Plant};
use flockwise_tests::process::{Ended, Process, flockwise, run, write_lines};

const EVENTS: u64 = 20_000;
const CUSTOMERS: u32 = 1_000;

fn reset(plant: &Plant, arguments: &[&str]) -> Ended {
    let config = plant.path("run.toml");
    let mut command = flockwise(&["reset", "--config"]);
    run(command.arg(config).args(arguments))
}

fn run_until_drained(plant: &Plant) {
    let mut process = plant.start("only");
    plant.wait_for(1, &mut [&mut process]);
    plant.wait_until_drained();
    process.terminate().expect(0, &[]);
}

fn notices(plant: &Plant) -> usize {
    let records = plant.kafka.read(Topic::SegmentChanges);
    let is_notice = |value: &Vec<u8>| {
        let value = String::from_utf8_lossy(value);
        value.contains("\"type\":\"pipeline.reset\"")
    };
    records
        .iter()
        .flatten()
        .filter_map(|record| record.value.as_ref())
        .filter(|value| is_notice(value))
        .count()
}

#[test]
fn reset_to_the_earliest_events_counts_each_once() {
    let Some(plant) = Plant::set() else { return };
    plant.kafka.put(&plant.expect(EVENTS, CUSTOMERS, 8_000));
    run_until_drained(&plant);
    plant.check_changes();
    let said = reset(&plant, &["--to", "earliest"]).expect(2, &["nothing has been changed"]);
    assert!(said.stdout.contains("deleted and made again"), "{said:#?}");
    plant.check_changes();
    reset(&plant, &["--to", "earliest", "--yes"]).expect(0, &[]);
    // The local copy is of the former changelog.
    run_until_drained(&plant);
    plant.check_customers();
    assert_eq!(notices(&plant), PARTITIONS as usize);
}

#[test]
fn reset_to_a_time_reads_on_from_there_with_the_model_kept() {
    let Some(plant) = Plant::set() else { return };
    let records = plant.expect(EVENTS, CUSTOMERS, 8_000);
    plant.kafka.put(&records);
    run_until_drained(&plant);
    let from_ms = records[records.len() / 2].timestamp_ms;
    let all = lines(EVENTS, CUSTOMERS, 1);
    let kept = all
        .iter()
        .zip(&records)
        .filter(|(_, record)| record.timestamp_ms >= from_ms);
    let kept: Vec<&[u8]> = kept.map(|(line, _)| line.as_bytes()).collect();
    write_lines(&plant.path("kept.jsonl"), kept);
    plant.replay("kept.jsonl", "run.toml", "expected");
    let target = write_time(from_ms);
    reset(&plant, &["--to", &target, "--keep-model", "--yes"]).expect(0, &[]);
    run_until_drained(&plant);
    plant.check_customers();
}

#[test]
fn reset_takes_up_what_the_state_cannot_be_changed_to() {
    let Some(plant) = Plant::set() else { return };
    plant.kafka.put(&plant.expect(5_000, 500, 2_000));
    run_until_drained(&plant);
    let config = fs::read_to_string(plant.path("run.toml")).expect("read");
    let config = config.replacen("shards = 2", "shards = 2\npartitioner = \"crc32\"", 1);
    fs::write(plant.path("run.toml"), config).expect("written");
    run(&mut plant.command("only")).expect(2, &["partitioner is", "flockwise reset"]);
    reset(&plant, &["--to", "earliest", "--yes"]).expect(0, &[]);
    run_until_drained(&plant);
    plant.check_customers();
}

#[test]
fn a_pipeline_at_work_is_not_reset() {
    let Some(plant) = Plant::set() else { return };
    plant.kafka.put(&plant.expect(EVENTS, CUSTOMERS, 8_000));
    let mut process: Process = plant.start("only");
    plant.wait_for(1, &mut [&mut process]);
    reset(&plant, &["--to", "earliest", "--yes"]).expect(1, &["stop every instance first"]);
    plant.wait_until_drained();
    process.terminate().expect(0, &[]);
    plant.check_changes();
    plant.check_customers();
}
