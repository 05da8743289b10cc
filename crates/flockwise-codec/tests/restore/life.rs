//! Runs a task with its changelog through events, silences, new versions and restarts.

use std::collections::BTreeMap;
use std::sync::Arc;

use flockwise_codec::change::ChangeEncoder;
use flockwise_codec::changelog::{
    StoredRow, decode_row, decode_task_position, encode_row, encode_task_position, row_key,
};
use flockwise_core::change::Trigger;
use flockwise_core::event::{Event, hash};
use flockwise_core::plan::Plan;
use flockwise_core::task::{Output, Task, TaskSettings, Versions};
use proptest::prelude::*;

use crate::shop::{DAY_MS, HOUR_MS, versions};

/// One step in the life of a task.
#[derive(Clone, Debug)]
pub(crate) enum WorkerEvent {
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
    /// Commits, then restores the task from the changelog.
    Restart,
}

pub(crate) fn turn() -> impl Strategy<Value = WorkerEvent> {
    let ahead = prop_oneof![-20 * HOUR_MS..30 * HOUR_MS, 0..10 * HOUR_MS];
    let name = prop::sample::select(&["Order", "Order", "Page", "Refund"][..]);
    prop_oneof![
        20 => (0..20_u8, name, ahead, 0..40_u64).prop_map(|(customer, name, ahead_ms, id)| WorkerEvent::Event {
            customer,
            name,
            ahead_ms,
            id,
        }),
        3 => (0..60 * HOUR_MS).prop_map(|ahead_ms| WorkerEvent::Silence { ahead_ms }),
        3 => Just(WorkerEvent::NewVersion),
        3 => Just(WorkerEvent::Commit),
        4 => Just(WorkerEvent::Restart),
    ]
}

/// A task with its changelog and all changes that it has published, by customer.
pub(crate) struct Life {
    settings: Arc<TaskSettings>,
    pub(crate) task: Task,
    output: Output,
    encoder: ChangeEncoder,
    newest: u64,
    now_ms: i64,
    changelog: BTreeMap<Vec<u8>, Vec<u8>>,
    pub(crate) given: BTreeMap<String, Vec<String>>,
}

impl Life {
    pub(crate) fn new(settings: &Arc<TaskSettings>) -> Self {
        Self {
            settings: Arc::clone(settings),
            task: Task::new(Arc::clone(settings)),
            output: Output::default(),
            encoder: ChangeEncoder::new("shop", &["clicks".to_owned()], &settings.plan),
            newest: 0,
            now_ms: 1000 * DAY_MS,
            changelog: BTreeMap::new(),
            given: BTreeMap::new(),
        }
    }

    pub(crate) fn turn(&mut self, turn: &WorkerEvent, offset: i64, may_restart: bool) {
        let versions = versions(self.newest);
        match turn {
            WorkerEvent::Event {
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
            WorkerEvent::Silence { ahead_ms } => {
                self.now_ms += ahead_ms;
                self.task
                    .advance_time(self.now_ms, versions.as_ref(), &mut self.output);
            }
            WorkerEvent::NewVersion => self.publish(),
            WorkerEvent::Commit => self.commit(),
            WorkerEvent::Restart => {
                self.commit();
                if may_restart {
                    self.restart();
                }
            }
        }
        self.give_out(versions.as_ref());
    }

    /// Publishes the next version. The first one assigns a segment to the customers that exist, as in a worker.
    fn publish(&mut self) {
        self.newest += 1;
        if let Some(first) = versions(self.newest).filter(|_| self.newest == 1) {
            self.task
                .assign_unassigned(0, u32::MAX, &first, &mut self.output);
            self.give_out(Some(&first));
        }
    }

    fn give_out(&mut self, versions: Option<&Versions>) {
        for change in self.output.changes.drain(..) {
            let customer = self.task.rows().customer_id(change.row).to_owned();
            let mut bytes = Vec::new();
            self.encoder
                .encode(versions.unwrap(), &customer, &change, &mut bytes);
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
        self.task.commit();
        let mut value = Vec::new();
        encode_task_position(&self.task.position(), &[], None, &mut value);
        self.changelog.insert(vec![0], value);
    }

    fn restart(&mut self) {
        self.task = Task::new(Arc::clone(&self.settings));
        let mut row = StoredRow::default();
        for (key, value) in self.changelog.iter().filter(|(key, _)| key[0] == 1) {
            let plan = self.settings.plan.fingerprint();
            decode_row(&key[1..], value, plan, &mut row).unwrap();
            self.task.restore_row(&row.as_row());
        }
        self.task.restore_position(
            decode_task_position(&self.changelog[&vec![0]], &[])
                .unwrap()
                .0,
        );
    }
}

pub(crate) fn event(plan: &Plan, customer: u8, name: &str, time_ms: i64, id: u64) -> Event {
    let mut event = Event::default();
    event.clear(plan.pointers().len());
    let customer = event.keep(&format!("customer {customer}"));
    event.set_customer_id(customer);
    event.name = plan.name(name);
    event.name_hash = hash(name.as_bytes());
    event.time_ms = time_ms;
    // Few enough ids and orders that some repeat, but more than the dedup memory holds.
    event.id = (!id.is_multiple_of(4)).then_some(id);
    event.order = (name != "Page" && id.is_multiple_of(2)).then_some(id / 4);
    event
}
