//! Learning that takes a while: the same while for the same record, so that a seed gives the same story.

use flockwise_core::event::mix;
use flockwise_runtime::learning_thread::{
    LearningExecutor, LearningHandle, LearningJob, LearningResult,
};

/// Turns of the worker that a job may take, below this.
const TURNS: u64 = 8;

/// A thread that is slow.
pub(super) struct SlowExecutor;

impl LearningExecutor for SlowExecutor {
    fn start(&self, job: LearningJob) -> Box<dyn LearningHandle> {
        let turns = mix(job.offset.cast_unsigned()) % TURNS;
        Box::new(LearningInSteps {
            turns,
            job: Some(job),
        })
    }
}

struct LearningInSteps {
    turns: u64,
    job: Option<LearningJob>,
}

impl LearningHandle for LearningInSteps {
    fn finished(&mut self) -> Option<LearningResult> {
        if self.turns > 0 {
            self.turns -= 1;
            return None;
        }
        self.job.take().map(LearningJob::run)
    }
}
