//! A customer's acts, and the task that sees them.

use std::sync::Arc;

use flockwise_core::aggregate::evaluate;
use flockwise_core::change::Trigger;
use flockwise_core::dedup::IdMemory;
use flockwise_core::event::{Event, Slot, hash};
use flockwise_core::feature::{Aggregate, Condition, Constant, Feature, Horizon, Test};
use flockwise_core::order_rules::{OrderRules, Repeat};
use flockwise_core::plan::Plan;
use flockwise_core::pointer::Pointer;
use flockwise_core::policy::{DecisionPolicy, HistoryPolicy, LearningPolicy, TimePolicy};
use flockwise_core::task::{Output, Task, TaskSettings};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

pub(crate) const DAY_MS: i64 = 86_400_000;

/// One event of the customer.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Act {
    pub(crate) name: &'static str,
    pub(crate) order: Option<u8>,
    pub(crate) id: Option<u64>,
    pub(crate) time_ms: i64,
    /// At `/x`.
    pub(crate) x: Option<f64>,
    /// At `/s`, which is `web` or `till`.
    pub(crate) is_web: Option<bool>,
    /// The amount by the format.
    pub(crate) amount: Option<f64>,
    pub(crate) is_so_far: bool,
}

pub(crate) fn acts() -> impl Strategy<Value = Vec<Act>> {
    let numbers = || option::weighted(0.8, (-2_i32..20).prop_map(|x| f64::from(x) * 5.0));
    let ids = (
        select(&["Order", "Update", "Back", "Back", "View"][..]),
        option::weighted(0.9, 0..3_u8),
        option::weighted(0.8, 0..40_u64),
        0..30_i64,
    );
    let values = (numbers(), option::of(any::<bool>()), numbers());
    let act = (ids, values).prop_map(|((name, order, id, day), (x, is_web, amount))| Act {
        name,
        order,
        id,
        time_ms: day * DAY_MS,
        x,
        is_web,
        amount: amount.filter(|_| name == "Back"),
        is_so_far: false,
    });
    (vec(act, 1..25), any::<bool>()).prop_map(|(mut acts, is_so_far)| {
        acts.iter_mut().for_each(|act| act.is_so_far = is_so_far);
        acts
    })
}

pub(crate) fn is_web() -> Condition {
    Condition {
        pointer: Pointer::parse("/s").unwrap(),
        test: Test::In(vec![Constant::Text("web".to_owned())]),
    }
}

/// A lifetime feature of all events, of the value at `/x` if it needs one.
pub(crate) fn feature(aggregate: Aggregate) -> Feature {
    let has_value = matches!(aggregate, Aggregate::Sum | Aggregate::Mean);
    Feature {
        aggregate,
        value: has_value.then(|| Pointer::parse("/x").unwrap()),
        ..Feature::count("feature")
    }
}

pub(crate) fn features() -> impl Strategy<Value = Vec<Feature>> {
    let aggregates = vec![
        Aggregate::Sum,
        Aggregate::Sum,
        Aggregate::Mean,
        Aggregate::Count,
        Aggregate::Share,
    ];
    let names: Vec<&[&str]> = vec![&["Order"], &["Order", "Update"], &["Update"], &[]];
    let horizons = vec![
        Horizon::Lifetime,
        Horizon::HalfLife(7 * DAY_MS),
        Horizon::Window {
            span_ms: 10 * DAY_MS,
            buckets: 10,
        },
    ];
    let one = (
        select(aggregates),
        select(names),
        select(horizons),
        any::<bool>(),
        any::<bool>(),
    );
    let feature = one.prop_map(|(aggregate, names, horizon, is_reversed, is_web_only)| {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let is_reversed = is_reversed && !names.is_empty();
        Feature {
            events: owned(names),
            reversed_by: owned(if is_reversed { &["Back"] } else { &[] }),
            conditions: if is_web_only { vec![is_web()] } else { vec![] },
            horizon,
            default: -7.0,
            ..feature(aggregate)
        }
    });
    vec(feature, 1..5)
}

pub(crate) fn rules() -> impl Strategy<Value = OrderRules> {
    let repeat = || option::of(select(&[Repeat::First, Repeat::Last, Repeat::Each][..]));
    let pointers = || select(vec![vec![], vec![Pointer::parse("/x").unwrap()]]);
    (repeat(), repeat(), pointers(), pointers()).prop_map(|(order, update, amounts, of)| {
        let named = [("Order", order), ("Update", update)].into_iter();
        OrderRules {
            repeats: named
                .filter_map(|(name, repeat)| Some((name.to_owned(), repeat?)))
                .collect(),
            amounts,
            of,
        }
    })
}

/// The task, with one customer.
pub(crate) struct Shop {
    pub(crate) task: Task,
    pub(crate) output: Output,
    plan: Arc<Plan>,
}

impl Shop {
    pub(crate) fn new(features: &[Feature], rules: &OrderRules) -> Self {
        let plan = Arc::new(Plan::with_orders(features, rules));
        Self {
            task: Task::new(Arc::new(settings(plan.clone()))),
            output: Output::default(),
            plan,
        }
    }

    pub(crate) fn see(&mut self, act: &Act) {
        let event = self.event(act);
        let trigger = Trigger {
            input: 0,
            partition: 0,
            offset: 0,
        };
        self.task.process(&event, trigger, None, &mut self.output);
    }

    fn event(&self, act: &Act) -> Event {
        let mut event = Event::default();
        event.clear(self.plan.pointers().len());
        let customer = event.keep("c");
        event.set_customer_id(customer);
        event.name = self.plan.name(act.name);
        event.name_hash = hash(act.name.as_bytes());
        event.time_ms = act.time_ms;
        event.order = act.order.map(u64::from);
        event.id = act.id;
        event.amount = act.amount.map_or(Slot::Absent, Slot::Number);
        event.is_so_far = act.is_so_far;
        for (index, pointer) in self.plan.pointers().iter().enumerate() {
            let slot = match pointer.to_string().as_str() {
                "/x" => act.x.map_or(Slot::Absent, Slot::Number),
                _ => act.is_web.map_or(Slot::Absent, |is_web| {
                    Slot::Text(event.keep(if is_web { "web" } else { "till" }))
                }),
            };
            event.put(index, slot);
        }
        event
    }

    /// All features at a time.
    pub(crate) fn values(&self, at_ms: i64) -> Vec<f64> {
        let row = self.task.rows().row(self.task.rows().find("c").unwrap());
        let mut raw = vec![0.0; self.plan.len()];
        let mut vector = raw.clone();
        evaluate(
            &self.plan,
            row.columns,
            row.reference_ms,
            at_ms,
            &mut raw,
            &mut vector,
        );
        raw
    }

    /// Everything that a row is, to compare.
    pub(crate) fn row(&self) -> String {
        let row = self.task.rows().row(self.task.rows().find("c").unwrap());
        let ids: Vec<u64> = row.dedup.ids().collect();
        let orders: Vec<_> = row.dedup.orders().collect();
        format!("{} {:?} {ids:?} {orders:?}", row.reference_ms, row.columns)
    }
}

fn settings(plan: Arc<Plan>) -> TaskSettings {
    TaskSettings {
        plan,
        decision: DecisionPolicy {
            margin: 0.0,
            patience: 0.0,
            dwell: 1,
            cooldown_ms: 0,
        },
        time: TimePolicy {
            lateness_ms: 1000 * DAY_MS,
            max_ahead_ms: None,
            sweep_ms: None,
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
    }
}
