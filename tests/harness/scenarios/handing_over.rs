//! Shards come and go.

use super::{PARTITIONS, plain, wrongly_keyed};
use crate::broker::Stage;
use crate::events::generated;
use crate::worker::WorkerThread;

/// While events arrive, a second shard joins; later the first leaves.
pub fn a_second_shard_joins_and_the_first_leaves<S: Stage>() {
    let Some(mut scene) = plain::<S>() else {
        return;
    };
    let events = wrongly_keyed(generated(6_000, 200, 4));
    let mut slices = events.chunks(600);
    let mut put = |scene: &mut crate::scene::Scene<S>, count: usize| {
        slices
            .by_ref()
            .take(count)
            .for_each(|slice| scene.put(slice));
    };
    put(&mut scene, 3);
    let first = scene.worker("a");
    scene.wait(&[&first], "the first has all tasks", || {
        first.tasks() == PARTITIONS as usize
    });
    put(&mut scene, 2);
    let second = scene.worker("b");
    put(&mut scene, 2);
    scene.wait(&[&first, &second], "both have tasks", || {
        first.tasks() > 0 && second.tasks() > 0
    });
    put(&mut scene, 2);
    first.leave();
    put(&mut scene, usize::MAX);
    scene.wait(&[&second], "the second has all", || {
        second.tasks() == PARTITIONS as usize
    });
    scene.wait_until_drained(&[&second]);
    assert_eq!(second.deaths(), 0);
    second.leave();
    scene.check_all(&events);
}

/// All shards end and others go on from the changelog: sequences go on, nothing is repeated.
pub fn everything_starts_again<S: Stage>() {
    let Some(mut scene) = plain::<S>() else {
        return;
    };
    let events = wrongly_keyed(generated(4_000, 200, 5));
    for (slice, members) in
        events
            .chunks(1_000)
            .zip([["a", "b"], ["a", "b"], ["c", "a"], ["d", "e"]])
    {
        let (before, after) = slice.split_at(600);
        scene.put(before);
        let workers = members.map(|member| scene.worker(member));
        scene.wait(&workers.each_ref(), "all have their tasks", || {
            workers.iter().map(WorkerThread::tasks).sum::<usize>() == PARTITIONS as usize
        });
        scene.put(after);
        // Wherever they are: the last ones alone must see the end.
        workers.into_iter().for_each(WorkerThread::leave);
    }
    let last = scene.worker("f");
    scene.wait_until_drained(&[&last]);
    last.leave();
    scene.check_all(&events);
}
