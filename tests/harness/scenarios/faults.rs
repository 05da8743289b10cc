//! Aborted transactions and workers that die.

use std::sync::Arc;

use super::{plain, wrongly_keyed};
use crate::events::generated;
use crate::faulty_broker::{Fault, FaultScript};
use crate::test_broker::TestBroker;
use crate::worker_thread::WorkerThread;

/// The records of an aborted transaction are never visible, and its events are processed again.
pub fn aborted_transactions_are_done_again<S: TestBroker>() {
    let aborts = [1, 3, 4, 6].map(|number| (number, Fault::Abort));
    play::<S>([&aborts, &[(2, Fault::Abort), (5, Fault::Abort)]], 0);
}

/// A worker dies before a commit or right after it. The next owner continues from the last commit.
pub fn shards_that_die_around_commits_lose_and_double_nothing<S: TestBroker>() {
    use Fault::{Abort, DieAfter, DieBefore};
    let first = [(1, DieBefore), (3, DieAfter), (5, DieBefore)];
    play::<S>([&first, &[(2, DieAfter), (4, Abort)]], 4);
}

/// Runs two workers with a script each, and expects `deaths` deaths in total.
fn play<S: TestBroker>(faults: [&[(u64, Fault)]; 2], deaths: usize) {
    let Some(mut scenario) = plain::<S>() else {
        return;
    };
    let events = wrongly_keyed(generated(6_000, 200, 6));
    let scripts = faults.map(|faults| Arc::new(FaultScript::new(faults)));
    let workers = [("a", &scripts[0]), ("b", &scripts[1])]
        .map(|(member, script)| scenario.scripted_worker(member, script));
    // In slices, so that there are enough commits for all faults.
    for slice in events.chunks(300) {
        scenario.put(slice);
        scenario.wait_until_drained(&workers.each_ref());
    }
    assert!(scripts.iter().all(|script| script.is_over()), "{scripts:?}");
    let died: usize = workers.iter().map(WorkerThread::deaths).sum();
    assert_eq!(died, deaths);
    workers.into_iter().for_each(WorkerThread::leave);
    scenario.check_all(&events);
    // A worker that dies right after a commit has not counted it in the metrics.
    if deaths == 0 {
        scenario.check_counters();
    }
}

/// A worker whose transaction the broker has fenced rejoins and processes the events again.
pub fn a_transaction_made_void_by_the_broker_is_done_again<S: TestBroker>() {
    let Some(mut scenario) = plain::<S>() else {
        return;
    };
    let events = wrongly_keyed(generated(6_000, 200, 8));
    let workers = ["a", "b"].map(|member| scenario.worker(member));
    for (slice, member) in events.chunks(1_000).zip(["a", "b", "a", "a", "b", "b"]) {
        scenario.wait(&workers.each_ref(), "both have tasks", || {
            workers.iter().all(|worker| worker.tasks() > 0)
        });
        scenario.put(slice);
        scenario.broker.fence_member(member);
    }
    scenario.wait_until_drained(&workers.each_ref());
    workers.into_iter().for_each(WorkerThread::leave);
    scenario.check_all(&events);
    scenario.check_counters();
}
