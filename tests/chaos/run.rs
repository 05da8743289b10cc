//! One run: produces events, injects faults and observes.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::Result;
use flockwise_tests::events::InputRecord;
use flockwise_tests::test_broker::TestBroker;

use crate::clock::Clock;
use crate::deployment::{Deployment, PROCESSES};
use crate::event_log::{EventLog, Stall};
use crate::faults::{FaultActions, FaultHistory};
use crate::observer::observe;
use crate::producer::{Stream, produce};
use crate::schedule::{Fault, WARM_UP_MS};
use crate::stop_signal::StopSignal;

/// Interval at which ended processes are detected and restarted.
const SUPERVISION: Duration = Duration::from_millis(200);
/// Interval of the progress messages.
const PROGRESS: Duration = Duration::from_secs(5);
/// After the last fault, the longest time without progress while events are unprocessed.
const CATCH_UP: Duration = Duration::from_secs(90);

/// Everything that a run needs.
pub(crate) struct Run<'a> {
    pub(crate) deployment: &'a Deployment,
    pub(crate) stop: &'a StopSignal,
    pub(crate) clock: Clock,
    pub(crate) event_log: Arc<Mutex<EventLog>>,
    pub(crate) faults: &'a [Fault],
    pub(crate) events: &'a [InputRecord],
    pub(crate) rate: u32,
}

/// The result of a run.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) history: Vec<FaultHistory>,
    pub(crate) stalls: Vec<Stall>,
    pub(crate) failures: Vec<String>,
}

impl Run<'_> {
    /// Runs from the first event until all events are processed.
    pub(crate) fn run(&self) -> Outcome {
        let (history, failures): (Mutex<Vec<FaultHistory>>, Mutex<Vec<String>>) =
            Default::default();
        thread::scope(|scope| {
            let _ends = self.stop.stop_on_drop();
            scope.spawn(|| self.run_part(&failures, || self.observe_commits()));
            scope.spawn(|| self.run_part(&failures, || self.supervise(&failures)));
            scope.spawn(|| self.run_part(&failures, || self.print_progress()));
            let producing = scope.spawn(|| self.run_part(&failures, || self.produce()));
            self.stop.wait(Duration::from_millis(WARM_UP_MS));
            lock(&self.event_log).begin(self.clock.now());
            self.inject_all(&history);
            // If it panicked, the stop signal is set.
            let _ = producing.join();
            self.catch_up(&failures);
        });
        let mut history = taken(history);
        history.sort_by_key(|history| history.from);
        Outcome {
            history,
            stalls: lock(&self.event_log).stalls(self.clock.now()),
            failures: taken(failures),
        }
    }

    /// Runs a part. If it fails, all parts end.
    fn run_part(&self, failures: &Mutex<Vec<String>>, part: impl FnOnce() -> Result<()>) {
        let ends = self.stop.stop_on_drop();
        match part() {
            Ok(()) => ends.disarm(),
            Err(error) => lock(failures).push(format!("{error:#}")),
        }
    }

    fn observe_commits(&self) -> Result<()> {
        let Deployment {
            servers,
            kafka_pipeline,
            ..
        } = self.deployment;
        let (topics, plan) = (&kafka_pipeline.topics, kafka_pipeline.plan());
        observe(
            servers,
            topics,
            &plan,
            &self.event_log,
            self.clock,
            self.stop,
        )
    }

    fn produce(&self) -> Result<()> {
        let stream = Stream {
            servers: &self.deployment.servers,
            topics: &self.deployment.kafka_pipeline.topics.inputs,
            events: self.events,
            rate: self.rate,
        };
        produce(&stream, &self.event_log, self.clock, self.stop)
    }

    /// Restarts processes that ended unexpectedly, as a supervisor would, and records them as failures.
    fn supervise(&self, failures: &Mutex<Vec<String>>) -> Result<()> {
        while !self.stop.is_set() {
            for index in 0..PROCESSES {
                let Some(mut instance) = self.deployment.idle_instance(index) else {
                    continue;
                };
                if let Some(failure) = instance.ended_by_itself() {
                    let at = self.clock.now().as_secs_f64();
                    eprintln!("{at:7.1} s  {failure}");
                    lock(failures).push(format!("after {at:.1} s {failure}"));
                    instance.start();
                }
            }
            self.stop.wait(SUPERVISION);
        }
        Ok(())
    }

    fn print_progress(&self) -> Result<()> {
        while !self.stop.is_set() {
            self.stop.wait(PROGRESS);
            let (count, finished) = {
                let event_log = lock(&self.event_log);
                (event_log.count(), event_log.finished())
            };
            let at = self.clock.now().as_secs_f64();
            eprintln!("{at:7.1} s  {count} events, {finished} processed");
        }
        Ok(())
    }

    /// Injects every fault in its own thread, since faults may overlap.
    fn inject_all(&self, history: &Mutex<Vec<FaultHistory>>) {
        let actions = FaultActions {
            deployment: self.deployment,
            clock: self.clock,
            stop: self.stop,
            until: Duration::from_secs_f64(self.events.len() as f64 / f64::from(self.rate)),
        };
        thread::scope(|scope| {
            for fault in self.faults {
                let left = fault.at().saturating_sub(self.clock.now());
                self.stop.wait(left);
                if self.stop.is_set() {
                    return;
                }
                scope.spawn(|| {
                    let injected = actions.inject(*fault);
                    lock(history).extend(injected);
                });
            }
        });
    }

    fn catch_up(&self, failures: &Mutex<Vec<String>>) {
        let finished = || lock(&self.event_log).finished();
        let is_done = || {
            let is_observed = finished() == lock(&self.event_log).count();
            is_observed && self.deployment.kafka_pipeline.kafka.is_drained()
        };
        let mut before = finished();
        while self
            .stop
            .wait_for(CATCH_UP, || finished() > before || is_done())
        {
            before = finished();
            if is_done() {
                return;
            }
        }
        if !self.stop.is_set() {
            let failure = format!(
                "no progress for {CATCH_UP:?} after the last fault, although events are unprocessed"
            );
            lock(failures).push(failure);
        }
    }
}

fn taken<T>(mutex: Mutex<T>) -> T {
    mutex.into_inner().unwrap_or_else(PoisonError::into_inner)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
