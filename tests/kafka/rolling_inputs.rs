//! An input is added to, removed from and added back to running instances on real Kafka. Every event counts once.

use std::fs;
use std::thread;
use std::time::Duration;

use flockwise_runtime::topics::Topic;
use flockwise_tests::events::{InputRecord, spread};
use flockwise_tests::eventually;
use flockwise_tests::kafka::servers;
use flockwise_tests::kafka_pipeline::{BOTH, FIRST, KafkaPipeline, PARTITIONS, SHORT_SESSION};
use flockwise_tests::process::{Process, folder, run};
use flockwise_tests::test_broker::TestBroker;

const EVENTS: u64 = 40_000;
/// Partitions of the input that is added and removed. So many that every instance reads some, whichever tasks it has.
const OTHER_PARTITIONS: u32 = 24;

fn kafka_pipeline() -> Option<KafkaPipeline> {
    let partitions = [PARTITIONS, OTHER_PARTITIONS];
    Some(KafkaPipeline::with(
        &servers()?,
        folder(),
        &partitions,
        SHORT_SESSION,
    ))
}

/// Number of committed events of an input, from the group's offsets.
fn read(kafka_pipeline: &KafkaPipeline, input: u16) -> i64 {
    let partitions = [PARTITIONS, OTHER_PARTITIONS][usize::from(input)];
    let position = |partition| {
        kafka_pipeline
            .kafka
            .committed(Topic::Input(input), partition)
    };
    (0..partitions).filter_map(position).sum()
}

fn wait_for_input(kafka_pipeline: &KafkaPipeline, input: u16, events: i64) {
    eventually("the input is read", || {
        read(kafka_pipeline, input) >= events
    });
}

fn assigned(process: &Process) {
    eventually("it has tasks", || {
        process.stderr().contains("tasks assigned")
    });
}

fn check(kafka_pipeline: &KafkaPipeline) {
    kafka_pipeline.wait_until_drained();
    kafka_pipeline.check_changes();
    kafka_pipeline.check_customers();
}

#[test]
fn an_input_is_taken_out_and_comes_back_where_it_was() {
    let Some(kafka_pipeline) = kafka_pipeline() else {
        return;
    };
    let records = spread(
        kafka_pipeline.expect(EVENTS, 3_000, 20_000),
        OTHER_PARTITIONS,
    );
    let parts: Vec<&[InputRecord]> = records.chunks(records.len() / 4).collect();
    let both = kafka_pipeline.start_with(BOTH, "only");
    kafka_pipeline.kafka.put(parts[0]);
    wait_for_input(&kafka_pipeline, 1, 1_000);
    both.terminate().expect(0, &[]);
    let first = kafka_pipeline.start_with(FIRST, "only");
    let before = read(&kafka_pipeline, 0);
    kafka_pipeline.kafka.put(parts[1]);
    wait_for_input(&kafka_pipeline, 0, before + 1_000);
    // Killed while it reads, and restarted with both inputs.
    first.kill();
    let both = kafka_pipeline.start_with(BOTH, "only");
    kafka_pipeline.kafka.put(parts[2]);
    wait_for_input(&kafka_pipeline, 1, 3_000);
    both.kill();
    let both = kafka_pipeline.start_with(BOTH, "only");
    assigned(&both);
    parts[3..]
        .iter()
        .for_each(|part| kafka_pipeline.kafka.put(part));
    check(&kafka_pipeline);
    both.terminate().expect(0, &[]);
}

#[test]
fn an_input_is_rolled_over_two_instances_and_back() {
    let Some(kafka_pipeline) = kafka_pipeline() else {
        return;
    };
    let records = spread(
        kafka_pipeline.expect(EVENTS, 3_000, 20_000),
        OTHER_PARTITIONS,
    );
    let (mut left, mut right) = (
        kafka_pipeline.start_with(FIRST, "left"),
        kafka_pipeline.start_with(FIRST, "right"),
    );
    [&left, &right].into_iter().for_each(assigned);
    let (left, right) = thread::scope(|scope| {
        scope.spawn(|| {
            for slice in records.chunks(records.len() / 300) {
                kafka_pipeline.kafka.put(slice);
                thread::sleep(Duration::from_millis(100));
            }
        });
        wait_for_input(&kafka_pipeline, 0, 1_000);
        // The input is added to one instance, which is killed while it reads it.
        left.terminate().expect(0, &[]);
        left = kafka_pipeline.start_with(BOTH, "left");
        assigned(&left);
        wait_for_input(&kafka_pipeline, 1, 500);
        left.kill();
        left = kafka_pipeline.start_with(BOTH, "left");
        assigned(&left);
        wait_for_input(&kafka_pipeline, 1, 1_000);
        // The change is rolled back before it reaches the second instance.
        left.terminate().expect(0, &[]);
        left = kafka_pipeline.start_with(FIRST, "left");
        assigned(&left);
        // The input is added again, first to the other instance, which is killed before.
        right.kill();
        right = kafka_pipeline.start_with(BOTH, "right");
        assigned(&right);
        wait_for_input(&kafka_pipeline, 1, 3_000);
        left.terminate().expect(0, &[]);
        left = kafka_pipeline.start_with(BOTH, "left");
        assigned(&left);
        (left, right)
    });
    check(&kafka_pipeline);
    left.terminate().expect(0, &[]);
    right.terminate().expect(0, &[]);
}

#[test]
fn what_the_state_was_made_with_cannot_be_changed_and_nobody_is_disturbed() {
    let Some(kafka_pipeline) = kafka_pipeline() else {
        return;
    };
    let records = spread(kafka_pipeline.expect(5_000, 500, 2_000), OTHER_PARTITIONS);
    let mut running = kafka_pipeline.start_with(BOTH, "running");
    kafka_pipeline.kafka.put(&records[..1_000]);
    wait_for_input(&kafka_pipeline, 0, 100);
    eventually("its workers share the tasks", || {
        let log = running.stderr();
        ["[0, 1, 2, 3, 4, 5]", "[6, 7, 8, 9, 10, 11]"]
            .into_iter()
            .all(|tasks| log.contains(tasks))
    });
    let assignments = |process: &Process| process.stderr().matches("tasks assigned").count();
    let before = assignments(&running);
    let config = fs::read_to_string(kafka_pipeline.path(BOTH)).expect("read");
    for (from, to, words) in [
        (
            "shards = 2",
            "shards = 2\npartitioner = \"crc32\"",
            "partitioner is \"crc32\" and was \"murmur2\"",
        ),
        (
            "shards = 2",
            "shards = 2\nstate_partitions = 6",
            "state_partitions is 6 and was 12",
        ),
        (
            "aggregate = \"sum\"",
            "aggregate = \"mean\"",
            "has another definition",
        ),
    ] {
        let name = "other.toml";
        fs::write(kafka_pipeline.path(name), config.replacen(from, to, 1)).expect("written");
        let log = [
            "was made with another configuration",
            words,
            "flockwise reset",
        ];
        run(&mut kafka_pipeline.command_with(name, "other")).expect(2, &log);
    }
    running.is_running().expect("running");
    assert_eq!(assignments(&running), before, "no rebalance happened");
    kafka_pipeline.kafka.put(&records[1_000..]);
    check(&kafka_pipeline);
    running.terminate().expect(0, &[]);
}
