//! A small shop: its plan, its models and its customers' events.

use std::collections::BTreeMap;
use std::sync::Arc;

use flockwise_core::change::{Change, Trigger};
use flockwise_core::dedup::IdMemory;
use flockwise_core::event::{Event, Slot, hash};
use flockwise_core::feature::{Aggregate, Feature, Horizon, Transform};
use flockwise_core::model::{Model, ModelVersion};
use flockwise_core::plan::Plan;
use flockwise_core::pointer::Pointer;
use flockwise_core::policy::{DecisionPolicy, HistoryPolicy, LearningPolicy, TimePolicy};
use flockwise_core::segmentation::{Scaler, Segment, Segmentation};
use flockwise_core::task::{Output, Task, TaskSettings, Versions};
use proptest::prelude::*;

pub(crate) const HOUR_MS: i64 = 3_600_000;
pub(crate) const DAY_MS: i64 = 24 * HOUR_MS;

pub(crate) const AT_ONCE: DecisionPolicy = DecisionPolicy {
    margin: 0.0,
    patience: 0.0,
    dwell: 1,
    cooldown_ms: 0,
};

fn feature(name: &str, aggregate: Aggregate, horizon: Horizon) -> Feature {
    Feature {
        events: vec!["Order".to_owned()],
        aggregate,
        value: (aggregate == Aggregate::Sum).then(|| Pointer::parse("/revenue").unwrap()),
        horizon,
        default: if aggregate == Aggregate::Recency {
            60.0
        } else {
            0.0
        },
        transform: Transform::Log1p,
        clip: Some((0.0, 10.0)),
        ..Feature::count(name)
    }
}

fn plan() -> Plan {
    let spent = Horizon::Window {
        span_ms: 10 * DAY_MS,
        buckets: 10,
    };
    Plan::compile(&[
        feature("orders", Aggregate::Count, Horizon::HalfLife(5 * DAY_MS)),
        feature("days_since_order", Aggregate::Recency, Horizon::Lifetime),
        Feature {
            reversed_by: vec!["Refund".to_owned()],
            weight: 0.5,
            ..feature("spent", Aggregate::Sum, spent)
        },
    ])
}

/// Settings with a decision policy and a sweep.
pub(crate) fn settings(decision: DecisionPolicy, sweep_ms: Option<i64>) -> Arc<TaskSettings> {
    Arc::new(TaskSettings {
        plan: Arc::new(plan()),
        decision,
        time: TimePolicy {
            lateness_ms: 30 * DAY_MS,
            max_ahead_ms: None,
            sweep_ms,
            remembered_ids: IdMemory::latest(1024),
            forget_ms: None,
        },
        learning: LearningPolicy {
            k_min: 1,
            k_max: 1,
            half_life_ms: DAY_MS,
            warm_up_customers: 1,
            warm_up_ms: 0,
            churn_budget: 1.0,
            learn: false,
            seed: 1,
        },
        history: HistoryPolicy::default(),
        tasks: 1,
    })
}

/// Three segments: new, regular and lapsed. `shift` moves them for another version.
pub(crate) fn model(version: u64, shift: f64) -> Arc<Model> {
    let segment = |id, centroid: [f64; 3]| Segment {
        id,
        name: format!("segment {id}"),
        centroid: centroid.iter().map(|x| x + shift).collect(),
        weight: 1.0,
        is_pinned: false,
        outlier_threshold: None,
    };
    let features = plan().feature_names().map(str::to_owned).collect();
    let scaler = Scaler {
        means: vec![1.0, 1.0, 3.0],
        variances: vec![0.25, 1.0, 4.0],
        weight: 3.0,
    };
    let segments = vec![
        segment(2, [0.7, 0.1, 3.0]),
        segment(5, [1.6, 0.3, 5.0]),
        segment(9, [0.1, 2.8, 0.0]),
    ];
    let parts = ModelVersion {
        version,
        trained_ms: 0,
        ..ModelVersion::hand_made(features, Segmentation::new(scaler, segments))
    };
    Arc::new(Model::new(&plan(), parts).unwrap())
}

pub(crate) fn fixed() -> Versions {
    Versions {
        current: model(1, 0.0),
        previous: None,
    }
}

/// Something that a customer does.
#[derive(Clone, Debug)]
pub(crate) struct Act {
    pub(crate) customer: u8,
    pub(crate) name: &'static str,
    pub(crate) time_ms: i64,
    pub(crate) id: Option<u64>,
    pub(crate) order: Option<u64>,
    pub(crate) revenue: f64,
}

impl Act {
    pub(crate) fn order(customer: u8, time_ms: i64) -> Self {
        Self {
            customer,
            name: "Order",
            time_ms,
            id: None,
            order: None,
            revenue: 20.0,
        }
    }

    pub(crate) fn event(&self, plan: &Plan) -> Event {
        let mut event = Event::default();
        event.clear(plan.pointers().len());
        let customer = event.keep(&format!("customer {}", self.customer));
        event.set_customer_id(customer);
        event.name = plan.name(self.name);
        event.name_hash = hash(self.name.as_bytes());
        event.time_ms = self.time_ms;
        (event.id, event.order) = (self.id, self.order);
        event.put(0, Slot::Number(self.revenue));
        event
    }

    /// Passes the act to a task.
    pub(crate) fn give(
        &self,
        task: &mut Task,
        plan: &Plan,
        versions: &Versions,
        output: &mut Output,
    ) {
        self.give_by(task, plan, Some(versions), output);
    }

    /// Passes the act to a task that may have no model yet.
    pub(crate) fn give_by(
        &self,
        task: &mut Task,
        plan: &Plan,
        versions: Option<&Versions>,
        output: &mut Output,
    ) {
        let trigger = Trigger {
            input: 0,
            partition: 0,
            offset: self.time_ms,
        };
        task.process(&self.event(plan), trigger, versions, output);
    }
}

/// Acts of four customers over a month, in order of time. All ids differ.
pub(crate) fn acts() -> impl Strategy<Value = Vec<Act>> {
    let name = prop::sample::select(&["Order", "Order", "Order", "Page", "Refund"][..]);
    let act = (0..4_u8, name, 0..30 * DAY_MS, 0.0..300.0_f64);
    prop::collection::vec(act, 1..60).prop_map(|drawn| {
        let mut acts: Vec<Act> = drawn
            .into_iter()
            .enumerate()
            .map(|(index, (customer, name, time_ms, revenue))| Act {
                customer,
                name,
                time_ms,
                id: Some(index as u64),
                order: (name == "Order").then_some(index as u64),
                revenue,
            })
            .collect();
        acts.sort_by_key(|act| act.time_ms);
        acts
    })
}

/// Adds a bystander who looks at a page every day. Time then never jumps by more than the period of a daily sweep,
/// for which the sweep would go only one round.
pub(crate) fn with_days(acts: &[Act]) -> Vec<Act> {
    let page = |day| Act {
        name: "Page",
        ..Act::order(200, day * DAY_MS)
    };
    let mut acts: Vec<Act> = (0..40).map(page).chain(acts.iter().cloned()).collect();
    acts.sort_by_key(|act| act.time_ms);
    acts
}

/// Policies that have an effect now and then.
pub(crate) fn decision() -> impl Strategy<Value = DecisionPolicy> {
    (
        prop_oneof![Just(0.0), 0.0..0.6],
        prop_oneof![Just(0.0), 0.0..3.0],
        1..4_u16,
        prop_oneof![Just(0), 0..10 * DAY_MS],
    )
        .prop_map(|(margin, patience, dwell, cooldown_ms)| DecisionPolicy {
            margin,
            patience,
            dwell,
            cooldown_ms,
        })
}

/// The changes of each customer, without the numbers of rows.
pub(crate) type Story = BTreeMap<String, Vec<Change>>;

/// Groups changes by customer.
pub(crate) fn stories(task: &Task, output: &Output) -> Story {
    let mut stories = Story::new();
    for change in &output.changes {
        let customer = task.rows().customer_id(change.row).to_owned();
        stories.entry(customer).or_default().push(Change {
            row: 0,
            ..change.clone()
        });
    }
    stories
}

/// Passes acts one by one to a new task.
pub(crate) fn play(settings: &Arc<TaskSettings>, acts: &[Act]) -> (Task, Output) {
    let (mut task, mut output) = (Task::new(Arc::clone(settings)), Output::default());
    let versions = fixed();
    for act in acts {
        act.give(&mut task, &settings.plan, &versions, &mut output);
    }
    (task, output)
}
