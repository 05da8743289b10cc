//! From the warm-up to versions that every worker uses, while the trainer moves between workers.

use flockwise_runtime::topics::Topic;

use super::{PARTITIONS, well_keyed};
use crate::events::generated;
use crate::scenario::{Scenario, ScenarioSettings};
use crate::scenario_pipeline::LEARNING;
use crate::test_broker::TestBroker;
use crate::worker_thread::WorkerThread;

const SETTING: ScenarioSettings<'static> = ScenarioSettings {
    formats: &["segment"],
    partitions: &[PARTITIONS],
    state_partitions: PARTITIONS,
    sections: &[LEARNING],
};

/// The first version is learned without a command, more versions follow, all workers use the newest, and the worker
/// that hosts the trainer may leave.
pub fn a_model_is_learnt_published_adopted_and_handed_over<S: TestBroker>() {
    let Some(mut scenario) = Scenario::<S>::create(&SETTING, None) else {
        return;
    };
    let events = well_keyed(generated(9_000, 300, 11));
    let mut parts = events.chunks(3_000);
    let mut put_next =
        |scenario: &mut Scenario<S>| scenario.put(parts.next().expect("three parts"));
    put_next(&mut scenario);
    let (first, second) = (scenario.worker("a"), scenario.worker("b"));
    let before = adopted(&scenario, &[&first, &second]);
    assert!(before > 0, "no model yet");
    // One of these two hosted the trainer. Both have left by the end.
    let third = scenario.worker("c");
    first.leave();
    put_next(&mut scenario);
    let between = adopted(&scenario, &[&second, &third]);
    assert!(between > before, "version {between} after {before}");
    let fourth = scenario.worker("d");
    second.leave();
    put_next(&mut scenario);
    let last = adopted(&scenario, &[&third, &fourth]);
    assert!(last > between, "version {last} after {between}");
    [third, fourth].into_iter().for_each(WorkerThread::leave);
    assert_eq!(published(&scenario), (1..=last).collect::<Vec<_>>());
    scenario.check(&events);
}

/// The version that all workers use once everything is committed.
fn adopted<S: TestBroker>(scenario: &Scenario<S>, workers: &[&WorkerThread]) -> u64 {
    scenario.wait(workers, "everything is committed", || {
        scenario.broker.is_drained() && workers.iter().all(|worker| worker.tasks() > 0)
    });
    // The last samples may lead to one more version after everything is read.
    let newest = || published(scenario).last().copied().unwrap_or(0);
    scenario.wait(workers, "all use the newest version", || {
        let newest = newest();
        scenario.broker.is_drained() && workers.iter().all(|worker| worker.version() == newest)
    });
    newest()
}

fn published<S: TestBroker>(scenario: &Scenario<S>) -> Vec<u64> {
    let versions = scenario.broker.read(Topic::Model).concat();
    let number = |key: Option<Vec<u8>>| String::from_utf8(key?).ok()?.parse().ok();
    // Old versions are tombstones.
    versions
        .into_iter()
        .filter(|version| version.value.is_some())
        .map(|version| number(version.key).expect("a version"))
        .collect()
}
