//! The thread that keeps standbys current, for as long as the process runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use flockwise_kafka::{KafkaFollower, KafkaSettings};
use flockwise_runtime::broker::Failure;
use flockwise_runtime::metrics::Metrics;
use flockwise_runtime::pipeline::Pipeline;
use flockwise_runtime::standby::Standbys;

use crate::exit::Failed;

/// The pause before a failed follower restarts.
const BACKOFF: Duration = Duration::from_secs(5);
const STEP: Duration = Duration::from_millis(50);

/// Starts the thread; `None` if no standbys are configured.
pub(crate) fn start(
    standbys: &Standbys,
    settings: &KafkaSettings,
    pipeline: &Arc<Pipeline>,
    metrics: &Metrics,
    stop: &Arc<AtomicBool>,
) -> Result<Option<JoinHandle<()>>, Failed> {
    if !standbys.are_wanted() {
        return Ok(None);
    }
    let follow = {
        let (standbys, settings, stop) = (standbys.clone(), settings.clone(), Arc::clone(stop));
        let (pipeline, metrics) = (Arc::clone(pipeline), metrics.clone());
        move || {
            while !stop.load(Ordering::Relaxed) {
                let ended = follow(&standbys, &settings, &pipeline, &metrics, &stop);
                if let Err(failure) = ended {
                    tracing::warn!(%failure, "standbys cannot follow the changelog; retrying");
                    wait(&stop);
                }
            }
        }
    };
    let thread = thread::Builder::new().name("flockwise-standby".to_owned());
    thread.spawn(follow).map(Some).map_err(Failed::runtime)
}

fn follow(
    standbys: &Standbys,
    settings: &KafkaSettings,
    pipeline: &Pipeline,
    metrics: &Metrics,
    stop: &AtomicBool,
) -> Result<(), Failure> {
    let mut follower = KafkaFollower::connect(settings, pipeline.topics.clone())?;
    standbys.follow(&mut follower, pipeline, metrics, stop)
}

fn wait(stop: &AtomicBool) {
    let steps = BACKOFF.as_millis() / STEP.as_millis();
    (0..steps)
        .take_while(|_| !stop.load(Ordering::Relaxed))
        .for_each(|_| thread::sleep(STEP));
}
