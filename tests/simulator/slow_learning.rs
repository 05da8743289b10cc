//! Learning that takes several runs of the worker. The record's offset decides how many, so that a seed gives the
//! same run.

use flockwise_core::event::mix;
use flockwise_runtime::learning_thread::{
    LearningExecutor, LearningHandle, LearningJob, LearningResult,
};

/// A job takes fewer runs of the worker than this.
const MAX_RUNS: u64 = 8;

/// Runs learning jobs with a delay, on the worker's own thread.
pub(super) struct SlowExecutor;

impl LearningExecutor for SlowExecutor {
    fn start(&self, job: LearningJob) -> Box<dyn LearningHandle> {
        let runs = mix(job.offset.cast_unsigned()) % MAX_RUNS;
        Box::new(LearningInSteps {
            runs,
            job: Some(job),
        })
    }
}

struct LearningInSteps {
    runs: u64,
    job: Option<LearningJob>,
}

impl LearningHandle for LearningInSteps {
    fn finished(&mut self) -> Option<LearningResult> {
        if self.runs > 0 {
            self.runs -= 1;
            return None;
        }
        self.job.take().map(LearningJob::run)
    }
}
