use std::collections::VecDeque;

use flockwise_codec::changelog::{encode_row, row_key};
use flockwise_codec::partitioner::Partitioner;
use flockwise_core::decide::Standing;
use flockwise_core::dedup::DedupMemory;
use flockwise_core::dedup::IdMemory;
use flockwise_core::plan::Plan;
use flockwise_core::policy::{DecisionPolicy, HistoryPolicy, LearningPolicy, TimePolicy};
use flockwise_core::rows::Row;
use flockwise_core::task::TaskSettings;

use super::*;
use crate::event_time_alignment::Alignment;
use crate::schema_source::NoSchemas;
use crate::topics::Topics;

const NOW_MS: i64 = 1_800_000_000_000;
const HOUR: Duration = Duration::from_hours(1);

fn wanted(owned: &[u32], neighbours: usize, tasks: u32) -> Vec<u32> {
    let mut shared = StandbyState {
        is_assigned: true,
        ..StandbyState::default()
    };
    shared
        .owned
        .insert(0, owned.iter().copied().map(TaskId).collect());
    let wanted = shared.wanted(neighbours, tasks).into_iter();
    wanted.map(|task| task.0).collect()
}

#[test]
fn the_neighbours_are_kept_warm_as_many_as_the_own_on_either_side() {
    assert_eq!(wanted(&[4, 5], 1, 12), [2, 3, 6, 7]);
    assert_eq!(wanted(&[0, 1], 1, 12), [2, 3, 10, 11]);
    assert_eq!(
        wanted(&[0, 1, 2], 1, 6),
        [3, 4, 5],
        "all other tasks, for one of two instances"
    );
    assert_eq!(
        wanted(&[0, 1, 2, 3], 1, 12).len(),
        8,
        "all other tasks, for one of three instances"
    );
    assert_eq!(wanted(&[7], 2, 12), [5, 6, 8, 9]);
}

#[test]
fn a_spare_keeps_everything_warm_and_nobody_anything_where_none_is_wanted() {
    assert_eq!(wanted(&[], 1, 3), [0, 1, 2]);
    assert_eq!(wanted(&[1], 0, 3), Vec::<u32>::new());
    assert_eq!(wanted(&[0, 1, 2], 1, 3), Vec::<u32>::new());
}

/// Offset, time, key and value of a record of task 1's changelog.
type Written = (i64, i64, Vec<u8>, Option<Vec<u8>>);

/// A follower that returns scripted records.
#[derive(Default)]
struct Script {
    /// The records of each poll; after these, polls are empty.
    polls: VecDeque<Vec<Written>>,
    /// How far the next poll advances this clock.
    pause: Option<(Clock, Duration)>,
    /// The arguments of each call of `follow`, in order.
    followed: Vec<Vec<(u32, Option<i64>)>>,
}

impl Follower for Script {
    fn follow(&mut self, reads: &[(TopicPartition, Option<i64>)]) -> Result<(), Failure> {
        let reads = reads
            .iter()
            .map(|(topic_partition, from)| (topic_partition.partition, *from));
        self.followed.push(reads.collect());
        Ok(())
    }

    fn poll(&mut self, _: Duration, _: usize, batch: &mut Batch) -> Result<(), Failure> {
        batch.clear();
        if let Some((clock, pause)) = self.pause.take() {
            clock.advance(pause);
        }
        for (offset, timestamp_ms, key, value) in self.polls.pop_front().unwrap_or_default() {
            batch.push(Record {
                topic_partition: TopicPartition::changelog(TaskId(1)),
                offset,
                timestamp_ms,
                key: Some(&key),
                value: value.as_deref(),
                origin: None,
            });
        }
        Ok(())
    }
}

/// An instance that owns task 0 of two, and so has a standby of task 1.
struct Scene {
    clock: Clock,
    pipeline: Pipeline,
    standbys: Standbys,
    follower: Script,
    followed: FollowedTasks,
}

impl Scene {
    fn new() -> Self {
        let clock = Clock::simulated(NOW_MS);
        let standbys = Standbys::new(1, 2, clock.clone());
        standbys.owned_by(0, BTreeSet::from([TaskId(0)]));
        Self {
            pipeline: pipeline(),
            standbys,
            clock,
            follower: Script::default(),
            followed: FollowedTasks::default(),
        }
    }

    fn row(&self, offset: i64, customer_id: &str) -> Written {
        self.row_of_plan(offset, customer_id, self.pipeline.task.plan.fingerprint())
    }

    fn row_of_plan(&self, offset: i64, customer_id: &str, plan: u64) -> Written {
        let dedup = DedupMemory::default();
        let row = Row {
            customer_id,
            reference_ms: NOW_MS,
            columns: &[],
            standing: Standing::NEW,
            dedup: dedup.view(),
        };
        let (mut key, mut value) = (Vec::new(), Vec::new());
        row_key(customer_id, &mut key);
        encode_row(&row, plan, &mut value);
        (offset, self.clock.wall_ms(), key, Some(value))
    }

    fn step(&mut self, records: Vec<Written>) {
        self.follower.polls.push_back(records);
        let mut batch = Batch::default();
        let (follower, followed) = (&mut self.follower, &mut self.followed);
        self.standbys
            .follow_on(follower, &self.pipeline, followed, &mut batch)
            .expect("it follows");
    }

    /// Number of customers of task 1's standby; `None` if there is no standby.
    fn standby_customers(&self) -> Option<usize> {
        let shared = self.standbys.lock();
        let standby = shared.standbys.get(&TaskId(1))?;
        Some(standby.restorer.customers())
    }

    /// From where tasks are read since the last change.
    fn read_from(&self) -> &[(u32, Option<i64>)] {
        self.follower.followed.last().expect("it was followed")
    }
}

fn pipeline() -> Pipeline {
    let task = Arc::new(TaskSettings {
        plan: Arc::new(Plan::compile(&[])),
        decision: DecisionPolicy {
            margin: 0.0,
            patience: 0.0,
            dwell: 1,
            cooldown_ms: 0,
        },
        time: TimePolicy {
            lateness_ms: 0,
            max_ahead_ms: None,
            sweep_ms: None,
            remembered_ids: IdMemory::latest(1),
            forget_ms: None,
        },
        learning: LearningPolicy {
            k_min: 2,
            k_max: 2,
            half_life_ms: 1,
            warm_up_customers: 2,
            warm_up_ms: 0,
            churn_budget: 1.0,
            learn: false,
            seed: 1,
        },
        history: HistoryPolicy::default(),
        tasks: 2,
    });
    Pipeline {
        topics: Topics {
            app: "shop".to_owned(),
            inputs: Vec::new(),
            state_partitions: 2,
        },
        starts: Vec::new(),
        start_ids: Vec::new(),
        decoders: Vec::new(),
        schemas: Arc::new(NoSchemas),
        partitioner: Partitioner::Murmur2,
        task,
        import: None,
        commit_interval: Duration::ZERO,
        alignment: Alignment {
            max_skew_ms: 600_000,
            idle_timeout: Duration::from_secs(30),
        },
        memory: Arc::default(),
    }
}

#[test]
fn a_standby_that_was_cut_off_for_too_long_is_begun_anew() {
    let mut scene = Scene::new();
    scene.step(vec![scene.row(5, "anna")]);
    scene.clock.advance(12 * HOUR);
    scene.step(Vec::new());
    assert_eq!(
        scene.standby_customers(),
        Some(1),
        "no tombstone can be gone yet"
    );
    scene.clock.advance(HOUR);
    // A tombstone of anna may have been deleted before this record.
    scene.step(vec![scene.row(9, "ben")]);
    assert_eq!(scene.read_from(), [(1, None)], "from the oldest record");
    assert_eq!(scene.standby_customers(), Some(1), "only ben");
}

#[test]
fn what_comes_after_too_long_a_poll_is_not_taken_in() {
    let mut scene = Scene::new();
    scene.step(vec![scene.row(5, "anna")]);
    scene.follower.pause = Some((scene.clock.clone(), 13 * HOUR));
    scene.step(vec![scene.row(9, "ben")]);
    assert_eq!(scene.standby_customers(), None);
    scene.step(vec![scene.row(9, "ben")]);
    assert_eq!(
        (scene.standby_customers(), scene.read_from()),
        (Some(1), &[(1, None)][..])
    );
}

#[test]
fn a_standby_that_was_cut_off_for_too_long_is_not_taken_over() {
    let mut scene = Scene::new();
    scene.step(vec![scene.row(5, "anna")]);
    scene.clock.advance(13 * HOUR);
    assert!(scene.standbys.take(0, TaskId(1)).is_none());
}

#[test]
fn records_that_come_keep_a_standby_and_old_ones_do_not() {
    let mut scene = Scene::new();
    let old = scene.row(5, "anna");
    for offset in 6..9 {
        scene.step(vec![scene.row(offset, "ben")]);
        scene.clock.advance(10 * HOUR);
    }
    assert_eq!(scene.standby_customers(), Some(1));
    assert_eq!(scene.follower.followed.len(), 2, "created once");
    let mut scene = Scene::new();
    scene.step(Vec::new());
    scene.clock.advance(8 * HOUR);
    scene.step(vec![old]);
    scene.clock.advance(8 * HOUR);
    scene.step(Vec::new());
    assert_eq!(
        scene.standby_customers(),
        Some(0),
        "rebuilt: it was known only as of its creation"
    );
}

#[test]
fn a_task_with_a_record_that_cannot_be_used_is_left_out_until_the_next_assignment() {
    let scene = Scene::new();
    let plan = scene.pipeline.task.plan.fingerprint();
    let mut of_later_format = scene.row(6, "ben");
    of_later_format.3.as_mut().expect("a value")[0] += 1;
    let of_other_plan = scene.row_of_plan(6, "ben", plan + 1);
    for unfit in [of_other_plan, of_later_format] {
        let mut scene = Scene::new();
        scene.step(vec![scene.row(5, "anna"), unfit, scene.row(7, "cleo")]);
        assert_eq!(
            scene.standby_customers(),
            None,
            "not even the records before it are used"
        );
        scene.step(vec![scene.row(8, "dora")]);
        assert_eq!(
            scene.standby_customers(),
            None,
            "nor are later records used"
        );
        assert!(scene.read_from().is_empty(), "the task is no longer read");
        scene.standbys.owned_by(0, BTreeSet::from([TaskId(0)]));
        scene.step(vec![scene.row(5, "anna"), scene.row(9, "emil")]);
        assert_eq!(scene.read_from(), [(1, None)], "from the oldest record");
        assert_eq!(scene.standby_customers(), Some(2));
    }
}
