//! Workers join and leave the group.

use super::{PARTITIONS, plain, wrongly_keyed};
use crate::events::generated;
use crate::test_broker::TestBroker;
use crate::worker_thread::WorkerThread;

/// A second worker joins while events arrive. Later the first one leaves.
pub fn a_second_shard_joins_and_the_first_leaves<S: TestBroker>() {
    let Some(mut scenario) = plain::<S>() else {
        return;
    };
    let events = wrongly_keyed(generated(6_000, 200, 4));
    let mut slices = events.chunks(600);
    let mut put_next = |scenario: &mut crate::scenario::Scenario<S>, count: usize| {
        slices
            .by_ref()
            .take(count)
            .for_each(|slice| scenario.put(slice));
    };
    put_next(&mut scenario, 3);
    let first = scenario.worker("a");
    scenario.wait(&[&first], "the first has all tasks", || {
        first.tasks() == PARTITIONS as usize
    });
    put_next(&mut scenario, 2);
    let second = scenario.worker("b");
    put_next(&mut scenario, 2);
    scenario.wait(&[&first, &second], "both have tasks", || {
        first.tasks() > 0 && second.tasks() > 0
    });
    put_next(&mut scenario, 2);
    first.leave();
    put_next(&mut scenario, usize::MAX);
    scenario.wait(&[&second], "the second has all", || {
        second.tasks() == PARTITIONS as usize
    });
    scenario.wait_until_drained(&[&second]);
    assert_eq!(second.deaths(), 0);
    second.leave();
    scenario.check_all(&events);
}

/// All workers end and others continue from the changelog. Sequences continue and no change is repeated.
pub fn everything_starts_again<S: TestBroker>() {
    let Some(mut scenario) = plain::<S>() else {
        return;
    };
    let events = wrongly_keyed(generated(4_000, 200, 5));
    for (slice, members) in
        events
            .chunks(1_000)
            .zip([["a", "b"], ["a", "b"], ["c", "a"], ["d", "e"]])
    {
        let (before, after) = slice.split_at(600);
        scenario.put(before);
        let workers = members.map(|member| scenario.worker(member));
        scenario.wait(&workers.each_ref(), "all have their tasks", || {
            workers.iter().map(WorkerThread::tasks).sum::<usize>() == PARTITIONS as usize
        });
        scenario.put(after);
        // They leave with events unread. Only the last worker must read to the end.
        workers.into_iter().for_each(WorkerThread::leave);
    }
    let last = scenario.worker("f");
    scenario.wait_until_drained(&[&last]);
    last.leave();
    scenario.check_all(&events);
}
