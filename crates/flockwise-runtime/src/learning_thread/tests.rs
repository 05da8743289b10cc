//! A job has the same result on the learning thread as inline, and the thread skips abandoned jobs.

use std::sync::Arc;

use flockwise_core::event::hash;
use flockwise_core::feature::Feature;
use flockwise_core::plan::Plan;
use flockwise_core::policy::LearningPolicy;
use flockwise_core::trainer::MiniBatch;

use super::*;

/// A trainer that is about to learn its first version.
fn job() -> LearningJob {
    let plan = Arc::new(Plan::compile(&[Feature::count("f0")]));
    let policy = LearningPolicy {
        k_min: 2,
        k_max: 2,
        half_life_ms: 86_400_000,
        warm_up_customers: 10,
        warm_up_ms: 0,
        churn_budget: 1.0,
        learn: true,
        seed: 7,
    };
    let mut trainer = Trainer::new(plan, policy, None);
    let sample = (0..20_u64).map(|customer| {
        let vector = vec![(customer % 2 * 10) as f64 + customer as f64 * 0.01];
        (hash(&customer.to_le_bytes()), vector)
    });
    let batch = MiniBatch {
        at_ms: 1_000,
        sample: sample.collect(),
    };
    assert!(
        trainer.absorb(batch, 5),
        "there are enough samples for a first version"
    );
    LearningJob {
        trainer,
        task: LearningTask::Learn,
        offset: 5,
    }
}

fn version(result: LearningResult) -> Publication {
    match result.outcome {
        LearningOutcome::Learnt(Some(publication)) => *publication,
        other => panic!("expected a version, found {other:?}"),
    }
}

fn wait_for(handle: &mut dyn LearningHandle) -> LearningResult {
    loop {
        if let Some(result) = handle.finished() {
            return result;
        }
        thread::yield_now();
    }
}

#[test]
fn the_thread_learns_what_is_learnt_inline() {
    let mut inline = InlineExecutor.start(job());
    let inline = version(inline.finished().unwrap());
    let mut handle = LearningThread::start().unwrap().start(job());
    let result = wait_for(&mut *handle);
    assert_eq!(result.offset, 5);
    assert_eq!(version(result), inline);
}

#[test]
fn a_dropped_ticket_leaves_the_thread_to_the_next_job() {
    let thread = LearningThread::start().unwrap();
    // More jobs than the queue holds.
    (0..2 * MAX_QUEUED_JOBS).for_each(|_| drop(thread.start(job())));
    let mut handle = thread.start(job());
    assert!(wait_for(&mut *handle).trainer.window_offset().is_some());
}
