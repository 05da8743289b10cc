//! `flockwise reset` on real Kafka: afterwards the output equals that of a replay of the events from the target on.

use std::fs;

use flockwise_codec::time::write_time;
use flockwise_runtime::topics::Topic;
use flockwise_tests::events::lines;
use flockwise_tests::kafka_pipeline::{KafkaPipeline, PARTITIONS};
use flockwise_tests::process::{Finished, Process, flockwise, run, write_lines};
use flockwise_tests::test_broker::TestBroker;

const EVENTS: u64 = 20_000;
const CUSTOMERS: u32 = 1_000;

fn reset(kafka_pipeline: &KafkaPipeline, arguments: &[&str]) -> Finished {
    let config = kafka_pipeline.path("run.toml");
    let mut command = flockwise(&["reset", "--config"]);
    run(command.arg(config).args(arguments))
}

fn run_until_drained(kafka_pipeline: &KafkaPipeline) {
    let mut process = kafka_pipeline.start("only");
    kafka_pipeline.wait_for(1, &mut [&mut process]);
    kafka_pipeline.wait_until_drained();
    process.terminate().expect(0, &[]);
}

fn notices(kafka_pipeline: &KafkaPipeline) -> usize {
    let records = kafka_pipeline.kafka.read(Topic::SegmentChanges);
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
    let Some(kafka_pipeline) = KafkaPipeline::create() else {
        return;
    };
    kafka_pipeline
        .kafka
        .put(&kafka_pipeline.expect(EVENTS, CUSTOMERS, 8_000));
    run_until_drained(&kafka_pipeline);
    kafka_pipeline.check_changes();
    let ended =
        reset(&kafka_pipeline, &["--to", "earliest"]).expect(2, &["nothing has been changed"]);
    assert!(ended.stdout.contains("deleted and recreated"), "{ended:#?}");
    kafka_pipeline.check_changes();
    reset(&kafka_pipeline, &["--to", "earliest", "--yes"]).expect(0, &[]);
    // The checkpoint on disk belongs to the former changelog.
    run_until_drained(&kafka_pipeline);
    kafka_pipeline.check_customers();
    assert_eq!(notices(&kafka_pipeline), PARTITIONS as usize);
}

#[test]
fn reset_to_a_time_reads_on_from_there_with_the_model_kept() {
    let Some(kafka_pipeline) = KafkaPipeline::create() else {
        return;
    };
    let records = kafka_pipeline.expect(EVENTS, CUSTOMERS, 8_000);
    kafka_pipeline.kafka.put(&records);
    run_until_drained(&kafka_pipeline);
    let from_ms = records[records.len() / 2].timestamp_ms;
    let all = lines(EVENTS, CUSTOMERS, 1);
    let kept = all
        .iter()
        .zip(&records)
        .filter(|(_, record)| record.timestamp_ms >= from_ms);
    let kept: Vec<&[u8]> = kept.map(|(line, _)| line.as_bytes()).collect();
    write_lines(&kafka_pipeline.path("kept.jsonl"), kept);
    kafka_pipeline.replay("kept.jsonl", "run.toml", "expected");
    let target = write_time(from_ms);
    reset(&kafka_pipeline, &["--to", &target, "--keep-model", "--yes"]).expect(0, &[]);
    run_until_drained(&kafka_pipeline);
    kafka_pipeline.check_customers();
}

#[test]
fn reset_takes_up_what_the_state_cannot_be_changed_to() {
    let Some(kafka_pipeline) = KafkaPipeline::create() else {
        return;
    };
    kafka_pipeline
        .kafka
        .put(&kafka_pipeline.expect(5_000, 500, 2_000));
    run_until_drained(&kafka_pipeline);
    let config = fs::read_to_string(kafka_pipeline.path("run.toml")).expect("read");
    let config = config.replacen("shards = 2", "shards = 2\npartitioner = \"crc32\"", 1);
    fs::write(kafka_pipeline.path("run.toml"), config).expect("written");
    run(&mut kafka_pipeline.command("only")).expect(2, &["partitioner is", "flockwise reset"]);
    reset(&kafka_pipeline, &["--to", "earliest", "--yes"]).expect(0, &[]);
    run_until_drained(&kafka_pipeline);
    kafka_pipeline.check_customers();
}

#[test]
fn a_pipeline_at_work_is_not_reset() {
    let Some(kafka_pipeline) = KafkaPipeline::create() else {
        return;
    };
    kafka_pipeline
        .kafka
        .put(&kafka_pipeline.expect(EVENTS, CUSTOMERS, 8_000));
    let mut process: Process = kafka_pipeline.start("only");
    kafka_pipeline.wait_for(1, &mut [&mut process]);
    reset(&kafka_pipeline, &["--to", "earliest", "--yes"])
        .expect(1, &["stop every instance first"]);
    kafka_pipeline.wait_until_drained();
    process.terminate().expect(0, &[]);
    kafka_pipeline.check_changes();
    kafka_pipeline.check_customers();
}
