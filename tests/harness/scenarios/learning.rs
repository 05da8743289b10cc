//! From a warm-up to versions that every shard uses, over a change of trainers.

use flockwise_runtime::topics::Topic;

use super::{PARTITIONS, well_keyed};
use crate::broker::Stage;
use crate::events::generated;
use crate::pipeline::LEARNING;
use crate::scene::{Scene, Setting};
use crate::worker::WorkerThread;

const SETTING: Setting<'static> = Setting {
    formats: &["segment"],
    partitions: &[PARTITIONS],
    state_partitions: PARTITIONS,
    rest: &[LEARNING],
};

/// The first model comes of itself, better ones follow, all shards use the newest, and whoever trains may
/// go.
pub fn a_model_is_learnt_published_adopted_and_handed_over<S: Stage>() {
    let Some(mut scene) = Scene::<S>::set(&SETTING, None) else {
        return;
    };
    let events = well_keyed(generated(9_000, 300, 11));
    let mut parts = events.chunks(3_000);
    let mut put = |scene: &mut Scene<S>| scene.put(parts.next().expect("three parts"));
    put(&mut scene);
    let (first, second) = (scene.worker("a"), scene.worker("b"));
    let before = adopted(&scene, &[&first, &second]);
    assert!(before > 0, "no model yet");
    // One of these two was the trainer, and is gone in the end.
    let third = scene.worker("c");
    first.leave();
    put(&mut scene);
    let between = adopted(&scene, &[&second, &third]);
    assert!(between > before, "version {between} after {before}");
    let fourth = scene.worker("d");
    second.leave();
    put(&mut scene);
    let last = adopted(&scene, &[&third, &fourth]);
    assert!(last > between, "version {last} after {between}");
    [third, fourth].into_iter().for_each(WorkerThread::leave);
    assert_eq!(published(&scene), (1..=last).collect::<Vec<_>>());
    scene.check(&events);
}

/// The version that all workers use once there is nothing left to do.
fn adopted<S: Stage>(scene: &Scene<S>, workers: &[&WorkerThread]) -> u64 {
    scene.wait(workers, "everything is committed", || {
        scene.stage.is_drained() && workers.iter().all(|worker| worker.tasks() > 0)
    });
    // The last samples may make one more version once all is read.
    let newest = || published(scene).last().copied().unwrap_or(0);
    scene.wait(workers, "all use the newest version", || {
        let newest = newest();
        scene.stage.is_drained() && workers.iter().all(|worker| worker.version() == newest)
    });
    newest()
}

fn published<S: Stage>(scene: &Scene<S>) -> Vec<u64> {
    let versions = scene.stage.read(Topic::Model).concat();
    let number = |key: Option<Vec<u8>>| String::from_utf8(key?).ok()?.parse().ok();
    // Those of long ago have a tombstone each.
    versions
        .into_iter()
        .filter(|version| version.value.is_some())
        .map(|version| number(version.key).expect("a version"))
        .collect()
}
