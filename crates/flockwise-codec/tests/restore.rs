//! A task restored from its changelog goes on as if nothing had happened: its changes are the same
//! bytes, wherever it was cut off, with a sweep and without, over new versions of the model.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::sync::Arc;

use flockwise_codec::change::{ChangeContext, encode_change};
use flockwise_codec::changelog::{
    decode_bookmark, decode_row, encode_bookmark, encode_row, row_key,
};
use flockwise_core::change::Trigger;
use flockwise_core::event::{Event, hash};
use flockwise_core::feature::{Aggregate, Feature, Horizon, Transform, Wording};
use flockwise_core::model::{Model, ModelParts, Scaler, Segment};
use flockwise_core::plan::Plan;
use flockwise_core::policy::{DecisionPolicy, LearningPolicy, TimePolicy};
use flockwise_core::task::{Output, Task, TaskSettings, Versions};
use proptest::prelude::*;

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;

fn plan() -> Plan {
    let feature = |name: &str, aggregate, horizon| Feature {
        name: name.to_owned(),
        events: vec!["Order".to_owned()],
        base: vec![],
        conditions: vec![],
        aggregate,
        value: None,
        horizon,
        reversed_by: vec![],
        default: 30.0,
        transform: Transform::Log1p,
        clip: None,
        weight: 1.0,
        wording: Wording::default(),
    };
    let week = Horizon::Window {
        span_ms: 7 * DAY_MS,
        buckets: 7,
    };
    Plan::compile(&[
        Feature {
            reversed_by: vec!["Refund".to_owned()],
            ..feature("orders", Aggregate::Count, Horizon::HalfLife(5 * DAY_MS))
        },
        feature("days_since_order", Aggregate::Recency, Horizon::Lifetime),
        feature("orders_7d", Aggregate::Count, week),
    ])
}

fn settings(decision: DecisionPolicy, sweep_ms: Option<i64>) -> Arc<TaskSettings> {
    Arc::new(TaskSettings {
        plan: Arc::new(plan()),
        decision,
        time: TimePolicy {
            lateness_ms: 30 * DAY_MS,
            max_ahead_ms: None,
            sweep_ms,
            remembered_ids: 3,
        },
        learning: LearningPolicy {
            k_min: 1,
            k_max: 1,
            half_life_ms: DAY_MS,
            warm_up_customers: 1,
            warm_up_ms: 0,
            learn: true,
            seed: 1,
        },
        tasks: 1,
    })
}

/// Versions lie a little apart, so that some customers are moved by them.
fn model(version: u64) -> Arc<Model> {
    let shift = [-0.2, 0.0, -0.45, 0.3][version as usize % 4];
    let segment = |id, centroid: [f64; 3]| Segment {
        id,
        name: format!("segment {id}"),
        centroid: centroid.iter().map(|x| x + shift).collect(),
        weight: 1.0,
    };
    let parts = ModelParts {
        version,
        trained_ms: 0,
        features: plan().feature_names().map(str::to_owned).collect(),
        scaler: Scaler {
            means: vec![0.6; 3],
            variances: vec![0.25, 1.0, 0.5],
            weight: 3.0,
        },
        segments: vec![
            segment(1, [0.4, 0.0, 0.5]),
            segment(2, [1.1, 0.2, 1.4]),
            segment(3, [0.2, 1.5, 0.2]),
            segment(4, [0.0, 2.5, 0.0]),
        ],
    };
    Arc::new(Model::new(&plan(), parts).unwrap())
}

/// As a shard has them: none before the first, then the newest and the one before.
fn versions(newest: u64) -> Option<Versions> {
    (newest > 0).then(|| Versions {
        current: model(newest),
        previous: (newest > 1).then(|| model(newest - 1)),
    })
}

/// What happens to a task, one after the other.
#[derive(Clone, Debug)]
enum Turn {
    Event {
        customer: u8,
        name: &'static str,
        ahead_ms: i64,
        id: u64,
    },
    Silence {
        ahead_ms: i64,
    },
    NewVersion,
    Commit,
    /// Commits, then begins anew from what is written.
    Restart,
}

fn turn() -> impl Strategy<Value = Turn> {
    let ahead = prop_oneof![-20 * HOUR_MS..30 * HOUR_MS, 0..10 * HOUR_MS];
    let name = prop::sample::select(&["Order", "Order", "Page", "Refund"][..]);
    prop_oneof![
        20 => (0..20_u8, name, ahead, 0..40_u64).prop_map(|(customer, name, ahead_ms, id)| Turn::Event {
            customer,
            name,
            ahead_ms,
            id,
        }),
        3 => (0..60 * HOUR_MS).prop_map(|ahead_ms| Turn::Silence { ahead_ms }),
        3 => Just(Turn::NewVersion),
        3 => Just(Turn::Commit),
        4 => Just(Turn::Restart),
    ]
}

/// A task with its changelog and everything it has given out, by customer.
struct Life {
    settings: Arc<TaskSettings>,
    task: Task,
    output: Output,
    newest: u64,
    now_ms: i64,
    changelog: BTreeMap<Vec<u8>, Vec<u8>>,
    given: BTreeMap<String, Vec<String>>,
}

impl Life {
    fn new(settings: &Arc<TaskSettings>) -> Self {
        Self {
            settings: Arc::clone(settings),
            task: Task::new(Arc::clone(settings)),
            output: Output::default(),
            newest: 0,
            now_ms: 1000 * DAY_MS,
            changelog: BTreeMap::new(),
            given: BTreeMap::new(),
        }
    }

    fn turn(&mut self, turn: &Turn, offset: i64, may_restart: bool) {
        let versions = versions(self.newest);
        match turn {
            Turn::Event {
                customer,
                name,
                ahead_ms,
                id,
            } => {
                let event = event(
                    &self.settings.plan,
                    *customer,
                    name,
                    self.now_ms + ahead_ms,
                    *id,
                );
                let trigger = Trigger {
                    input: 0,
                    partition: 1,
                    offset,
                };
                self.task
                    .process(&event, trigger, versions.as_ref(), &mut self.output);
                self.now_ms = self.now_ms.max(event.time_ms);
            }
            Turn::Silence { ahead_ms } => {
                self.now_ms += ahead_ms;
                self.task
                    .advance_time(self.now_ms, versions.as_ref(), &mut self.output);
            }
            Turn::NewVersion => self.newest += 1,
            Turn::Commit => self.commit(),
            Turn::Restart => {
                self.commit();
                if may_restart {
                    self.restart();
                }
            }
        }
        self.give_out(versions.as_ref());
    }

    fn give_out(&mut self, versions: Option<&Versions>) {
        let topics = ["clicks".to_owned()];
        for change in self.output.changes.drain(..) {
            let versions = versions.unwrap();
            let context = ChangeContext {
                app: "shop",
                topics: &topics,
                plan: &self.settings.plan,
                model: &versions.current,
                previous: versions.previous.as_deref(),
            };
            let customer = self.task.rows().customer_id(change.row).to_owned();
            let mut bytes = Vec::new();
            encode_change(&context, &customer, &change, &mut bytes);
            self.given
                .entry(customer)
                .or_default()
                .push(String::from_utf8(bytes).unwrap());
        }
    }

    fn commit(&mut self) {
        for row in self.task.rows().touched() {
            let row = self.task.rows().row(*row);
            let (mut key, mut value) = (Vec::new(), Vec::new());
            row_key(row.customer_id, &mut key);
            encode_row(&row, self.settings.plan.fingerprint(), &mut value);
            self.changelog.insert(key, value);
        }
        self.task.settle();
        let mut value = Vec::new();
        encode_bookmark(&self.task.bookmark(), &[], &mut value);
        self.changelog.insert(vec![0], value);
    }

    fn restart(&mut self) {
        self.task = Task::new(Arc::clone(&self.settings));
        for (key, value) in self.changelog.iter().filter(|(key, _)| key[0] == 1) {
            let row = decode_row(&key[1..], value, self.settings.plan.fingerprint()).unwrap();
            self.task.restore_row(&row.as_row());
        }
        self.task
            .restore_bookmark(decode_bookmark(&self.changelog[&vec![0]], &[]).unwrap());
    }
}

fn event(plan: &Plan, customer: u8, name: &str, time_ms: i64, id: u64) -> Event {
    let mut event = Event::default();
    event.clear(plan.pointers().len());
    let customer = event.keep(&format!("customer {customer}"));
    event.set_customer_id(customer);
    event.name = plan.name(name);
    event.name_hash = hash(name.as_bytes());
    event.time_ms = time_ms;
    // Few ids and orders, so that some repeat, and more than are remembered.
    event.id = (!id.is_multiple_of(4)).then_some(id);
    event.order = (name != "Page" && id.is_multiple_of(2)).then_some(id / 4);
    event
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_restored_task_goes_on_with_the_same_bytes(
        turns in prop::collection::vec(turn(), 1..120),
        margin in prop_oneof![Just(0.0), 0.0..0.4],
        dwell in 1..4_u16,
        cooldown_ms in prop_oneof![Just(0), 0..3 * DAY_MS],
        sweep_ms in prop::sample::select(&[None, Some(HOUR_MS), Some(DAY_MS), Some(1500)][..]),
    ) {
        let decision = DecisionPolicy { margin, dwell, cooldown_ms };
        let settings = settings(decision, sweep_ms);
        let (mut whole, mut restarted) = (Life::new(&settings), Life::new(&settings));
        for (index, turn) in turns.iter().enumerate() {
            whole.turn(turn, index as i64, false);
            restarted.turn(turn, index as i64, true);
            are_alike(&whole.task, &restarted.task)?;
        }
        prop_assert_eq!(&whole.given, &restarted.given);
    }
}

/// The order of rows may differ: a changelog has its own.
fn are_alike(left: &Task, right: &Task) -> Result<(), TestCaseError> {
    prop_assert_eq!(left.bookmark(), right.bookmark());
    prop_assert_eq!(left.rows().len(), right.rows().len());
    for row in 0..left.rows().len() as u32 {
        let left = left.rows().row(row);
        let right = right
            .rows()
            .row(right.rows().find(left.customer_id).unwrap());
        prop_assert_eq!(
            (left.reference_ms, left.columns),
            (right.reference_ms, right.columns)
        );
        prop_assert_eq!(left.standing.as_of_ms, right.standing.as_of_ms);
        prop_assert_eq!(left.standing.candidate, right.standing.candidate);
    }
    Ok(())
}

#[test]
fn what_restarts_are_tried_on_has_changes_of_every_cause() {
    let decision = DecisionPolicy {
        margin: 0.0,
        dwell: 1,
        cooldown_ms: 0,
    };
    let order = |ahead_ms, id| Turn::Event {
        customer: 1,
        name: "Order",
        ahead_ms,
        id,
    };
    let turns = [
        Turn::NewVersion,
        order(0, 1),
        Turn::Restart,
        Turn::NewVersion,
        Turn::Silence { ahead_ms: HOUR_MS },
        Turn::Silence {
            ahead_ms: 20 * DAY_MS,
        },
        Turn::Restart,
        order(0, 3),
    ];
    let mut life = Life::new(&settings(decision, Some(HOUR_MS)));
    for turn in &turns {
        life.turn(turn, 0, true);
    }
    let given = life.given["customer 1"].join("\n");
    for cause in ["behaviour", "time", "model"] {
        assert!(
            given.contains(&format!("\"cause\":\"{cause}\"")),
            "{cause} in {given}"
        );
    }
}
