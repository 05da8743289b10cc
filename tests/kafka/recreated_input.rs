//! An input topic is deleted and recreated on real Kafka.

use flockwise_tests::kafka::{Kafka, servers};
use flockwise_tests::kafka_pipeline::KafkaPipeline;
use flockwise_tests::process::{Process, folder};
use flockwise_tests::test_broker::TestBroker;

const EVENTS: u64 = 8_000;
/// Number of events in the first topic. The second one has fewer, so that the position is beyond its end.
const FORMER: usize = 5_000;

/// The second topic must be read from its first record, although the old position is beyond its end.
#[test]
fn an_input_that_is_recreated_under_a_running_instance_counts_once() {
    let Some(servers) = servers() else { return };
    let mut kafka_pipeline = KafkaPipeline::with(&servers, folder(), &[1], "");
    let records = kafka_pipeline.expect(EVENTS, 500, FORMER);
    let records: Vec<_> = records.into_iter().map(|record| record.at(0, 0)).collect();
    let mut command = kafka_pipeline.command("only");
    command.env("FLOCKWISE__KAFKA__LOST_RECORDS", "skip");
    let mut instance = Process::start(&mut command);
    kafka_pipeline.kafka.put(&records[..FORMER]);
    kafka_pipeline.wait_for(FORMER as u64, &mut [&mut instance]);
    let input = kafka_pipeline.topics.inputs[0].clone();
    kafka_pipeline.kafka.recreate_input(&input, 1);
    // Clients that know the former topic do not find the new leaders of all partitions.
    kafka_pipeline.kafka = Kafka::of(&servers, kafka_pipeline.topics.clone());
    kafka_pipeline.kafka.put(&records[FORMER..]);
    kafka_pipeline.wait_until_drained();
    let ended = instance.terminate();
    ended.expect(0, &["the topic was recreated"]);
    kafka_pipeline.check_changes();
    kafka_pipeline.check_customers();
}
