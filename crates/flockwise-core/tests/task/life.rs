//! A task goes through everything that can happen to it.

use std::sync::Arc;

use flockwise_core::dedup::IdMemory;
use flockwise_core::policy::DecisionPolicy;
use flockwise_core::task::{Output, Sweeping, Task, TaskCommand, TaskSettings, Versions};
use proptest::prelude::*;

use crate::shop::{Act, DAY_MS, HOUR_MS, decision, model, settings};

/// One thing that happens.
#[derive(Clone, Debug)]
pub(crate) enum WorkerEvent {
    /// An event, this much ahead of the latest one (or behind it).
    Event {
        act: Act,
        ahead_ms: i64,
    },
    Silence {
        ahead_ms: i64,
    },
    Slice {
        rows: usize,
    },
    NewVersion,
    Erase {
        customer: u8,
    },
    Position {
        offset: i64,
    },
}

pub(crate) fn turn() -> impl Strategy<Value = WorkerEvent> {
    let ahead = prop_oneof![
        6 => -20 * HOUR_MS..30 * HOUR_MS,
        6 => 0..5 * HOUR_MS,
        1 => 0..60 * DAY_MS,
    ];
    let name = prop::sample::select(&["Order", "Order", "Page", "Refund"][..]);
    let event = (0..9_u8, name, ahead.clone(), 0..60_u64, 0.0..300.0_f64);
    prop_oneof![
        20 => event.prop_map(|(customer, name, ahead_ms, id, revenue)| WorkerEvent::Event {
            act: Act {
                customer,
                name,
                time_ms: 0,
                // Few ids, so that some repeat, but more than are remembered.
                id: (!id.is_multiple_of(4)).then_some(id),
                order: (name != "Page" && id.is_multiple_of(2)).then_some(id / 4),
                revenue,
            },
            ahead_ms,
        }),
        3 => ahead.prop_map(|ahead_ms| WorkerEvent::Silence { ahead_ms: ahead_ms.abs() }),
        4 => (1..9_usize).prop_map(|rows| WorkerEvent::Slice { rows }),
        2 => Just(WorkerEvent::NewVersion),
        2 => (0..9_u8).prop_map(|customer| WorkerEvent::Erase { customer }),
        2 => (0..1000_i64).prop_map(|offset| WorkerEvent::Position { offset }),
    ]
}

/// Settings with which everything happens now and then.
pub(crate) fn restless() -> impl Strategy<Value = Arc<TaskSettings>> {
    let sweeps = [None, Some(HOUR_MS), Some(DAY_MS), Some(DAY_MS)];
    let forgets = [None, Some(3 * DAY_MS), Some(20 * DAY_MS)];
    (
        decision(),
        prop::sample::select(sweeps.to_vec()),
        prop::sample::select(forgets.to_vec()),
        1..6_usize,
    )
        .prop_map(|(decision, sweep_ms, forget_ms, dedup)| {
            restless_with(decision, sweep_ms, forget_ms, dedup)
        })
}

pub(crate) fn restless_with(
    decision: DecisionPolicy,
    sweep_ms: Option<i64>,
    forget_ms: Option<i64>,
    dedup: usize,
) -> Arc<TaskSettings> {
    let mut settings = settings(decision, sweep_ms);
    let changed = Arc::make_mut(&mut settings);
    changed.time.forget_ms = forget_ms;
    changed.time.remembered_ids = IdMemory::latest(dedup);
    changed.learning.learn = true;
    settings
}

/// A task and its surroundings.
#[derive(Clone)]
pub(crate) struct Life {
    settings: Arc<TaskSettings>,
    pub(crate) task: Task,
    pub(crate) output: Output,
    now_ms: i64,
    newest: u64,
}

impl Life {
    pub(crate) fn new(settings: &Arc<TaskSettings>, sweeping: Sweeping) -> Self {
        let mut task = Task::new(Arc::clone(settings));
        task.set_sweeping(sweeping);
        Self {
            settings: Arc::clone(settings),
            task,
            output: Output::default(),
            now_ms: 1000 * DAY_MS,
            newest: 0,
        }
    }

    pub(crate) fn versions(&self) -> Option<Versions> {
        (self.newest > 0).then(|| Versions {
            current: model(self.newest, shift(self.newest)),
            previous: (self.newest > 1).then(|| model(self.newest - 1, shift(self.newest - 1))),
        })
    }

    pub(crate) fn turn(&mut self, turn: &WorkerEvent) {
        let versions = self.versions();
        let (task, output) = (&mut self.task, &mut self.output);
        match turn {
            WorkerEvent::Event { act, ahead_ms } => {
                let time_ms = self.now_ms + ahead_ms;
                let act = Act {
                    time_ms,
                    ..act.clone()
                };
                act.give_by(task, &self.settings.plan, versions.as_ref(), output);
                self.now_ms = self.now_ms.max(time_ms);
            }
            WorkerEvent::Silence { ahead_ms } => {
                self.now_ms += ahead_ms;
                task.advance_time(self.now_ms, versions.as_ref(), output);
            }
            WorkerEvent::Slice { rows } => {
                task.sweep_some(*rows, versions.as_ref(), output);
            }
            WorkerEvent::NewVersion => {
                self.newest += 1;
                if let (1, Some(first)) = (self.newest, self.versions()) {
                    self.task
                        .assign_unassigned(0, u32::MAX, &first, &mut self.output);
                }
            }
            WorkerEvent::Erase { customer } => {
                let erase = TaskCommand::Erase {
                    customer_id: format!("customer {customer}"),
                    at_ms: self.now_ms,
                };
                task.apply(&erase, versions.as_ref(), output);
            }
            WorkerEvent::Position { offset } => {
                task.advance_input((0, *offset as u32 % 3), *offset);
                task.advance_repartition(offset + 1);
                let _ = task.judge_time((0, *offset as u32 % 2), self.now_ms, None);
            }
        }
    }

    /// Resets the surroundings to an earlier moment, to which the task was rolled back.
    pub(crate) fn forget_turns_since(&mut self, before: &Self) {
        (self.now_ms, self.newest) = (before.now_ms, before.newest);
        self.output = before.output.clone();
    }
}

fn shift(version: u64) -> f64 {
    [0.0, -0.4, 0.3][version as usize % 3]
}

/// The state of all customers and of the task.
pub(crate) fn content(task: &Task) -> String {
    let rows = task.rows();
    let story: Vec<String> = rows
        .numbers()
        .map(|row| format!("{row} {:?}", rows.row(row)))
        .collect();
    let touched: Vec<u32> = rows.touched().copied().collect();
    let expired: Vec<&str> = task.expired().collect();
    let (position, count) = (task.position(), rows.len());
    format!(
        "{count}\n{}\n{position:?} {touched:?} {expired:?}",
        story.join("\n")
    )
}
