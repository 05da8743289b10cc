//! Compares a store with a reference in memory, over random operations.

use std::collections::BTreeMap;

use flockwise_runtime::store::{CheckpointState, Store};
use flockwise_runtime::task_id::TaskId;
use flockwise_store::WorkerStore;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::support::{Desk, Records, batch, load, settled};

const TASKS: u32 = 3;
const SHARDS: usize = 2;

#[derive(Clone, Debug)]
enum Doing {
    Load,
    Write {
        records: Vec<(u16, Option<usize>)>,
        has_offset: bool,
    },
    Release,
    Discard,
    Finish,
}

fn doing() -> impl Strategy<Value = (usize, u32, Doing)> {
    let value = prop::option::weighted(
        0.8,
        prop_oneof![0..300_usize, 1_900..2_200_usize, Just(9_000)],
    );
    let records = vec((0..600_u16, value), 0..120);
    let write = (records, any::<bool>());
    let write = write.prop_map(|(records, has_offset)| Doing::Write {
        records,
        has_offset,
    });
    let doing = prop_oneof![
        3 => Just(Doing::Load),
        8 => write,
        1 => Just(Doing::Release),
        1 => Just(Doing::Discard),
        1 => Just(Doing::Finish),
    ];
    (0..SHARDS, 0..TASKS, doing)
}

/// The reference: what a task's checkpoint must hold.
#[derive(Clone, Debug, Default)]
struct Twin {
    owner: Option<usize>,
    offset: Option<i64>,
    records: Records,
}

struct Pair {
    desk: Desk,
    workers: Vec<WorkerStore>,
    twins: BTreeMap<u32, Twin>,
    offset: i64,
}

impl Pair {
    fn make(&mut self, worker: usize, task: TaskId, doing: &Doing) {
        let twin = self.twins.entry(task.0).or_default();
        let handle = &mut self.workers[worker];
        match doing {
            Doing::Load => {
                if twin.offset.is_none() {
                    *twin = Twin::default();
                }
                twin.owner = Some(worker);
                let expected = twin.offset.map(|offset| (offset, twin.records.clone()));
                assert_eq!(load(handle, task), expected);
            }
            Doing::Write {
                records,
                has_offset,
            } => {
                if twin.owner != Some(worker) {
                    assert_eq!(handle.checkpoint_state(task), CheckpointState::Off);
                    return;
                }
                let copy = settled(handle, task);
                assert_eq!(self.desk.metric("failures_total"), Some(0.0));
                assert_ne!(copy, CheckpointState::Busy);
                self.offset += 1;
                let mut kept = batch(has_offset.then_some(self.offset));
                twin.offset = kept.offset.or(twin.offset);
                for (number, bytes) in records {
                    let key = format!("\u{1}{}", "k".repeat(usize::from(*number)));
                    let value = bytes.map(|bytes| vec![self.offset as u8; bytes]);
                    kept.push(key.as_bytes(), value.as_deref());
                    match value {
                        Some(value) => twin.records.insert(key.into_bytes(), value),
                        None => twin.records.remove(key.as_bytes()),
                    };
                }
                handle.write(task, kept);
            }
            Doing::Release => {
                handle.release(task);
                twin.owner = twin.owner.filter(|owner| *owner != worker);
            }
            Doing::Discard => {
                handle.set_aside(task, "tested");
                if twin.owner.is_none_or(|owner| owner == worker) {
                    *twin = Twin {
                        owner: Some(worker),
                        ..Twin::default()
                    };
                }
            }
            Doing::Finish => self.desk.finish(),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_store_is_as_its_twin(doings in vec(doing(), 1..60)) {
        let desk = Desk::set();
        let workers = (0..SHARDS).map(|_| desk.store.handle()).collect();
        let mut pair = Pair { desk, workers, twins: BTreeMap::new(), offset: 0 };
        for (worker, task, doing) in &doings {
            pair.make(*worker, TaskId(*task), doing);
        }
        for task in 0..TASKS {
            pair.make(0, TaskId(task), &Doing::Load);
        }
        prop_assert_eq!(pair.desk.metric("failures_total"), Some(0.0));
    }
}
