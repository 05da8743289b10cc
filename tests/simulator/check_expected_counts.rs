//! The simulator's own computation of lifetime features. It uses no code of the product.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde_json::Value;

use super::simulation::Simulation;
use crate::checks::is_near;
use crate::events::InputRecord;
use flockwise_codec::time::parse_time;
use flockwise_core::customer_view::customer_view;
use flockwise_core::dedup::IdMemory;
use flockwise_core::task::Task;

/// The event that reverses an order's amount. One order may have several, and each counts.
const REFUND: &str = "Order Refunded";
const ORDER: &str = "Order Completed";

/// The expected lifetime features of a customer, and its dedup memory.
#[derive(Clone, Debug, Default)]
struct ExpectedCounts {
    events: u64,
    orders_without_coupon: u64,
    spent: f64,
    /// The remembered event ids, the newest last, each with the customer's latest event time when it was counted.
    ids: VecDeque<(String, i64)>,
    /// The customer's latest event time, milliseconds since the epoch.
    last_ms: i64,
    orders: VecDeque<String>,
}

/// The fields of an event, in either format.
struct Fields<'a> {
    customer: &'a str,
    event: &'a str,
    id: &'a str,
    time_ms: i64,
    properties: &'a Value,
}

impl<'a> Fields<'a> {
    fn of(event: &'a Value) -> Self {
        let text = |names: [&str; 2]| names.into_iter().find_map(|name| event[name].as_str());
        Self {
            customer: text(["userId", "customer_id"]).expect("a customer"),
            event: text(["event", "type"]).expect("a name"),
            id: text(["messageId", "event_id"]).expect("an id"),
            time_ms: text(["timestamp", "time"])
                .and_then(parse_time)
                .expect("a time"),
            properties: &event["properties"],
        }
    }

    /// The order id of an event that counts once per order; `None` for refunds.
    fn order(&self) -> Option<&'a str> {
        let order = self.properties["order_id"].as_str();
        order.filter(|_| self.event != REFUND)
    }
}

impl ExpectedCounts {
    /// Remembers an id. The latest ones are kept, and all of this span of time and of the one before.
    fn remember(&mut self, id: &str, memory: IdMemory) {
        self.ids.push_back((id.to_owned(), self.last_ms));
        let first_ms = match memory.span_ms {
            0 => i64::MAX,
            span_ms => (self.last_ms.div_euclid(span_ms) - 1) * span_ms,
        };
        while self.ids.len() > memory.least && self.ids[0].1 < first_ms {
            self.ids.pop_front();
        }
    }

    /// Counts an event unless its event id or order id is among those that are remembered.
    fn count(&mut self, fields: &Fields<'_>, memory: IdMemory) {
        let is_ordered = |order| self.orders.iter().any(|known| known == order);
        let is_known = self.ids.iter().any(|(known, _)| known == fields.id);
        if fields.order().is_some_and(is_ordered) || is_known {
            return;
        }
        self.last_ms = self.last_ms.max(fields.time_ms);
        self.remember(fields.id, memory);
        if let Some(order) = fields.order() {
            self.orders.push_back(order.to_owned());
            if self.orders.len() > memory.least {
                self.orders.pop_front();
            }
        }
        self.events += 1;
        let revenue = || fields.properties["revenue"].as_f64().unwrap_or(0.0);
        match fields.event {
            ORDER => {
                self.spent += revenue();
                let has_coupon = fields.properties.get("coupon").is_some();
                self.orders_without_coupon += u64::from(!has_coupon);
            }
            REFUND => self.spent -= revenue(),
            _ => {}
        }
    }
}

fn expected_counts(events: &[InputRecord], memory: IdMemory) -> BTreeMap<String, ExpectedCounts> {
    let mut expected_counts: BTreeMap<String, ExpectedCounts> = BTreeMap::new();
    for record in events {
        let value = record.value.as_deref().expect("an event");
        let event: Value = serde_json::from_slice(value).expect("JSON");
        let fields = Fields::of(&event);
        let expected_counts = expected_counts
            .entry(fields.customer.to_owned())
            .or_default();
        expected_counts.count(&fields, memory);
    }
    expected_counts
}

impl Simulation {
    /// Checks that each event was counted once, for its customer, and that each customer is in one task.
    pub(super) fn check_lifetime_features(&self, tasks: &[Task]) {
        let before_final_day = self.producers().before_final_day;
        let memory = self.scenario.time.remembered_ids;
        let expected_counts = expected_counts(&self.counted(before_final_day), memory);
        let mut found = BTreeSet::new();
        for (number, task) in tasks.iter().enumerate() {
            for row in task.rows().numbers() {
                let row = task.rows().row(row);
                let customer = row.customer_id;
                let is_first = found.insert(customer.to_owned());
                assert!(is_first, "{customer} is in task {number} and in another");
                let expected_counts = expected_counts.get(customer);
                let Some(expected_counts) = expected_counts else {
                    let (last_ms, position) = (row.reference_ms, task.position());
                    panic!(
                        "{customer} has no event that counts; its latest event time is {last_ms}: {position:?}"
                    );
                };
                let plan = &self.pipeline.task.plan;
                let view = customer_view(plan, None, &row, row.standing.as_of_ms);
                let expected = [
                    ("events_ever", expected_counts.events as f64),
                    (
                        "orders_without_coupon",
                        expected_counts.orders_without_coupon as f64,
                    ),
                    ("spend_ever", expected_counts.spent),
                ];
                for (name, expected) in expected {
                    let index = plan.feature_names().position(|known| known == name);
                    let found = view.features[index.expect("a feature of this name")];
                    assert!(
                        is_near(found, expected),
                        "{customer}: {name} is {found}, expected {expected}"
                    );
                }
            }
        }
        assert_eq!(found.len(), expected_counts.len(), "customers with events");
    }

    /// Number of read events that are duplicates within the dedup memory.
    pub(super) fn repeats(&self) -> u64 {
        let events = self.all_read();
        let expected_counts = expected_counts(&events, self.scenario.time.remembered_ids);
        let counted: u64 = expected_counts
            .values()
            .map(|expected_counts| expected_counts.events)
            .sum();
        events.len() as u64 - counted
    }
}
