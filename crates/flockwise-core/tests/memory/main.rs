//! A customer's bytes, as the task reports them and as the allocator counts them.
#![allow(clippy::unwrap_used)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use flockwise_core::change::Trigger;
use flockwise_core::dedup::IdMemory;
use flockwise_core::event::{Event, hash};
use flockwise_core::feature::{Feature, Horizon};
use flockwise_core::plan::Plan;
use flockwise_core::policy::{DecisionPolicy, HistoryPolicy, LearningPolicy, TimePolicy};
use flockwise_core::task::{Output, Task, TaskSettings};

const CUSTOMERS: usize = 60_000;
const DAY_MS: i64 = 86_400_000;

/// Counts allocated bytes.
struct Counting;

static HELD: AtomicUsize = AtomicUsize::new(0);

// SAFETY: all calls are forwarded unchanged to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        HELD.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's guarantee is the one that is required.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's guarantee is the one that is required.
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Sixteen features with one column each.
fn settings() -> Arc<TaskSettings> {
    let feature = |number: i64| Feature {
        events: vec!["Order".to_owned()],
        horizon: Horizon::HalfLife((number + 1) * DAY_MS),
        ..Feature::count(format!("orders_{number}d"))
    };
    let features: Vec<Feature> = (0..16).map(feature).collect();
    Arc::new(TaskSettings {
        plan: Arc::new(Plan::compile(&features)),
        decision: DecisionPolicy {
            margin: 0.0,
            patience: 0.0,
            dwell: 1,
            cooldown_ms: 0,
        },
        time: TimePolicy {
            lateness_ms: DAY_MS,
            max_ahead_ms: None,
            sweep_ms: Some(DAY_MS),
            remembered_ids: IdMemory::latest(32),
            forget_ms: Some(30 * DAY_MS),
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

fn give(task: &mut Task, plan: &Plan, customer: usize, number: u64, time_ms: i64) {
    let mut event = Event::default();
    event.clear(plan.pointers().len());
    let customer_id = event.keep(&format!("customer {customer}"));
    event.set_customer_id(customer_id);
    event.name = plan.name("Order");
    event.name_hash = hash(b"Order");
    event.time_ms = time_ms;
    event.id = Some(number);
    let trigger = Trigger {
        input: 0,
        partition: 0,
        offset: 0,
    };
    task.process(&event, trigger, None, &mut Output::default());
}

/// A single test, since the allocator counts for all tests of the process.
#[test]
fn a_task_tells_its_bytes_and_a_customer_takes_less_than_300() {
    let settings = settings();
    let plan = &settings.plan;
    let before = HELD.load(Ordering::Relaxed);
    let mut task = Task::new(Arc::clone(&settings));
    let compare = |task: &Task, what: &str| {
        let (held, told) = (HELD.load(Ordering::Relaxed) - before, task.bytes());
        let apart = held.abs_diff(told);
        assert!(
            apart < held / 50 + 20_000,
            "{what}: {told} reported, {held} allocated"
        );
    };
    compare(&task, "without customers");
    let mut number = 0;
    for round in 0..2 {
        for customer in 0..CUSTOMERS {
            number += 1;
            give(&mut task, plan, customer, number, round * DAY_MS / 2);
            if number.is_multiple_of(1000) {
                task.commit();
            }
        }
    }
    compare(&task, "with two events each");
    task.take_dirty(usize::MAX, &mut |_| {});
    let each = task.bytes() / CUSTOMERS;
    assert!(each < 300, "{each} bytes per customer");
    for round in 2..20 {
        for customer in 0..CUSTOMERS / 10 {
            number += 1;
            give(&mut task, plan, customer, number, round * DAY_MS / 2);
        }
    }
    compare(&task, "with twenty events and an open log");
    task.roll_back();
    compare(&task, "rolled back");
    // All customers leave and others come: freed memory is reused.
    let most = task.bytes();
    task.advance_time(60 * DAY_MS, None, &mut Output::default());
    task.commit();
    assert!(task.rows().is_empty());
    for customer in CUSTOMERS..2 * CUSTOMERS {
        number += 1;
        give(&mut task, plan, customer, number, 61 * DAY_MS);
    }
    task.commit();
    task.take_dirty(usize::MAX, &mut |_| {});
    compare(&task, "with other customers");
    assert!(
        task.bytes() < most + most / 10,
        "{most}, then {}",
        task.bytes()
    );
}
