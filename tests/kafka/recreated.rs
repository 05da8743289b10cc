//! An input topic is deleted and made again on real Kafka. Skipped, with a word, where no Kafka is named.

use flockwise_tests::broker::Stage;
use flockwise_tests::kafka::{Kafka, servers};
use flockwise_tests::plant::Plant;
use flockwise_tests::process::{Process, folder};

const EVENTS: u64 = 8_000;
/// Events of the first topic; the second one has fewer, so that the position is beyond its end.
const FORMER: usize = 5_000;

/// The second topic is another one from its first record on, although the position seems to be behind its end.
#[test]
fn an_input_that_is_recreated_under_a_running_instance_counts_once() {
    let Some(servers) = servers() else { return };
    let mut plant = Plant::with(&servers, folder(), &[1], "");
    let puts = plant.expect(EVENTS, 500, FORMER);
    let puts: Vec<_> = puts.into_iter().map(|put| put.at(0, 0)).collect();
    let mut command = plant.command("only");
    command.env("FLOCKWISE__KAFKA__LOST_RECORDS", "skip");
    let mut instance = Process::start(&mut command);
    plant.kafka.put(&puts[..FORMER]);
    plant.wait_for(FORMER as u64, &mut [&mut instance]);
    let input = plant.topics.inputs[0].clone();
    plant.kafka.recreate_input(&input, 1);
    // Clients that know the former topic do not find every leader again.
    plant.kafka = Kafka::of(&servers, plant.topics.clone());
    plant.kafka.put(&puts[FORMER..]);
    plant.wait_until_drained();
    let ended = instance.terminate();
    ended.expect(0, &["the topic was recreated"]);
    plant.check_changes();
    plant.check_customers();
}
