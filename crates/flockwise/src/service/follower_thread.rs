//! A thread that follows topics for as long as the process runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use flockwise_kafka::{KafkaFollower, KafkaSettings};
use flockwise_runtime::broker::Failure;
use flockwise_runtime::topics::Topics;

use crate::exit::Failed;

/// The pause before a failed follower restarts.
const BACKOFF: Duration = Duration::from_secs(5);
const STEP: Duration = Duration::from_millis(50);

/// What a thread does with the topics that it follows, and how the log names it.
pub(crate) struct FollowerThread<F> {
    /// Name of the thread.
    pub(crate) name: &'static str,
    /// The warning when it fails.
    pub(crate) warning: &'static str,
    /// Follows topics until told to stop, or until it fails.
    pub(crate) follow: F,
}

impl<F> FollowerThread<F>
where
    F: Fn(&mut KafkaFollower, &AtomicBool) -> Result<(), Failure> + Send + 'static,
{
    /// Starts the thread. Each failure is logged, and followed by a new client.
    pub(crate) fn start(
        self,
        settings: &KafkaSettings,
        topics: &Topics,
        stop: &Arc<AtomicBool>,
    ) -> Result<JoinHandle<()>, Failed> {
        let (settings, topics, stop) = (settings.clone(), topics.clone(), Arc::clone(stop));
        let run = move || {
            while !stop.load(Ordering::Relaxed) {
                let ended = KafkaFollower::connect(&settings, topics.clone())
                    .and_then(|mut follower| (self.follow)(&mut follower, &stop));
                if let Err(failure) = ended {
                    tracing::warn!(%failure, "{}; retrying", self.warning);
                    wait(&stop);
                }
            }
        };
        let thread = thread::Builder::new().name(self.name.to_owned());
        thread.spawn(run).map_err(Failed::runtime)
    }
}

fn wait(stop: &AtomicBool) {
    let steps = BACKOFF.as_millis() / STEP.as_millis();
    (0..steps)
        .take_while(|_| !stop.load(Ordering::Relaxed))
        .for_each(|_| thread::sleep(STEP));
}
