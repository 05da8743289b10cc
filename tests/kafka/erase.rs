//! `flockwise erase` on real Kafka, seen by a consumer of another program.

use flockwise_codec::changelog::row_key;
use flockwise_memory::CommittedRecord;
use flockwise_runtime::topics::Topic;
use flockwise_tests::eventually;
use flockwise_tests::kafka_pipeline::KafkaPipeline;
use flockwise_tests::process::{Finished, flockwise, run};
use flockwise_tests::test_broker::TestBroker;
use serde_json::Value;

fn erase(kafka_pipeline: &KafkaPipeline, customer: &str, more: &[&str]) -> Finished {
    let mut command = flockwise(&["erase", customer, "--config"]);
    run(command.arg(kafka_pipeline.path("run.toml")).args(more))
}

/// The last record with this key on a topic, and its partition.
fn last(kafka_pipeline: &KafkaPipeline, topic: Topic, key: &[u8]) -> (usize, CommittedRecord) {
    let partitions = kafka_pipeline.kafka.read(topic).into_iter().enumerate();
    let records = partitions.flat_map(|(partition, records)| {
        records.into_iter().map(move |record| (partition, record))
    });
    let mut own = records.filter(|(_, record)| record.key.as_deref() == Some(key));
    own.next_back().expect("a record of the customer")
}

fn last_change(kafka_pipeline: &KafkaPipeline, customer: &str) -> Value {
    let (_, record) = last(kafka_pipeline, Topic::SegmentChanges, customer.as_bytes());
    serde_json::from_slice(&record.value.expect("a change")).expect("JSON")
}

/// Customers who have a segment.
fn customers(kafka_pipeline: &KafkaPipeline) -> Vec<String> {
    let changes = kafka_pipeline.kafka.read(Topic::SegmentChanges);
    let keys = changes
        .into_iter()
        .flatten()
        .filter_map(|record| record.key);
    keys.map(|key| String::from_utf8(key).expect("UTF-8"))
        .collect()
}

/// Waits until the changelog and the changes show that a customer is gone. A commit becomes visible on one partition
/// after the other.
fn expect_erased(kafka_pipeline: &KafkaPipeline, customer: &str) {
    let mut key = Vec::new();
    row_key(customer, &mut key);
    eventually("the row has a tombstone", || {
        last(kafka_pipeline, Topic::Changelog, &key)
            .1
            .value
            .is_none()
    });
    eventually("a last change is published", || {
        let change = last_change(kafka_pipeline, customer);
        change["cause"] == "erasure" && change["to"].is_null()
    });
}

#[test]
fn a_customer_is_erased_while_the_pipeline_runs_and_after_a_stop() {
    let Some(kafka_pipeline) = KafkaPipeline::create() else {
        return;
    };
    erase(&kafka_pipeline, "nobody", &[]).expect(1, &["-pipeline", "`flockwise run` creates it"]);
    kafka_pipeline
        .kafka
        .put(&kafka_pipeline.expect(5_000, 500, 2_000));
    let mut process = kafka_pipeline.start("only");
    kafka_pipeline.wait_for(1, &mut [&mut process]);
    kafka_pipeline.wait_until_drained();
    let known = customers(&kafka_pipeline);
    let (first, second) = (&known[0], known.last().expect("a customer"));
    let ended = erase(&kafka_pipeline, first, &["--json"]).expect(0, &[]);
    expect_erased(&kafka_pipeline, first);
    let (partition, _) = last(&kafka_pipeline, Topic::SegmentChanges, first.as_bytes());
    let shown: Value = serde_json::from_str(&ended.stdout).expect("JSON and nothing else");
    assert_eq!(shown["applied"], true, "{shown}");
    assert_eq!(shown["task"], partition, "{shown}");
    assert_ne!(last_change(&kafka_pipeline, second)["cause"], "erasure");
    process.terminate().expect(0, &[]);
    erase(&kafka_pipeline, second, &["--wait", "1"]).expect(1, &["has not applied it within 1 s"]);
    let sent = erase(&kafka_pipeline, "nobody", &["--wait", "0"]).expect(0, &[]);
    assert!(sent.stdout.contains("is sent to task"), "{sent:#?}");
    let process = kafka_pipeline.start("only");
    expect_erased(&kafka_pipeline, second);
    process.terminate().expect(0, &[]);
}
