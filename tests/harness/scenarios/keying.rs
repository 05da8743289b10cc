//! Inputs with any key, any number of partitions and several topics.

use flockwise_codec::partitioner::Partitioner;
use flockwise_runtime::topics::Topic;

use super::{PARTITIONS, plain, well_keyed, wrongly_keyed};
use crate::events::{InputRecord, generated, native};
use crate::scenario::{Scenario, ScenarioSettings};
use crate::scenario_pipeline::{AT_ONCE, FIXED, model};
use crate::test_broker::TestBroker;

/// If producers use the pipeline's partitioner, no event is forwarded.
pub fn well_keyed_events_are_not_forwarded<S: TestBroker>() {
    let Some(mut scenario) = plain::<S>() else {
        return;
    };
    let events = well_keyed(generated(3_000, 150, 1));
    scenario.put(&events);
    let workers = [scenario.worker("a"), scenario.worker("b")];
    scenario.wait_until_drained(&workers.each_ref());
    workers
        .into_iter()
        .for_each(crate::worker_thread::WorkerThread::leave);
    assert_eq!(scenario.counter("forwarded_events_total"), 0);
    assert_eq!(scenario.counter("events_total"), events.len() as u64);
    scenario.check_all(&events);
}

/// If producers use another partitioner, each event in a wrong partition is forwarded once.
pub fn wrongly_keyed_events_are_forwarded_once<S: TestBroker>() {
    let Some(mut scenario) = plain::<S>() else {
        return;
    };
    let events = wrongly_keyed(generated(3_000, 150, 2));
    let is_away = |record: &&InputRecord| {
        Partitioner::Murmur2.partition(&record.key, PARTITIONS) != record.partition
    };
    let away = events.iter().filter(is_away).count() as u64;
    assert!(away > events.len() as u64 / 2, "{away}");
    scenario.put(&events);
    let workers = [scenario.worker("a"), scenario.worker("b")];
    scenario.wait_until_drained(&workers.each_ref());
    workers
        .into_iter()
        .for_each(crate::worker_thread::WorkerThread::leave);
    assert_eq!(scenario.counter("forwarded_events_total"), away);
    assert_eq!(scenario.counter("events_total"), events.len() as u64);
    scenario.check_all(&events);
}

/// Orders arrive in one format over 4 partitions, all other events in another format over 6, without a partitioner.
pub fn two_inputs_of_different_shape_become_one_customer<S: TestBroker>() {
    let setting = ScenarioSettings {
        formats: &["segment", "native"],
        partitions: &[4, 6],
        state_partitions: 5,
        sections: &[AT_ONCE, FIXED],
    };
    let Some(mut scenario) = Scenario::<S>::create(&setting, Some(model())) else {
        return;
    };
    let events: Vec<InputRecord> = generated(3_000, 150, 3)
        .into_iter()
        .zip(0..)
        .map(split)
        .collect();
    scenario.put(&events);
    let workers = [scenario.worker("a"), scenario.worker("b")];
    scenario.wait_until_drained(&workers.each_ref());
    workers
        .into_iter()
        .for_each(crate::worker_thread::WorkerThread::leave);
    // Two topics have no common order, so the changes depend on how they are read.
    scenario.check(&events);
    assert!(
        scenario
            .broker
            .read(Topic::DeadLetters)
            .iter()
            .all(Vec::is_empty)
    );
}

/// Puts orders and refunds into the first input, keyed, so that a refund stays behind its order. Converts all other
/// events to the native format and puts them into the second input.
fn split((record, number): (InputRecord, u32)) -> InputRecord {
    let value = record.value.as_deref().unwrap_or_default();
    let is_order = value.windows(8).any(|window| window == b"order_id");
    if is_order {
        return record.keyed(Partitioner::Crc32, 4);
    }
    let value = Some(native(value));
    InputRecord { value, ..record }.at(1, number % 6)
}
