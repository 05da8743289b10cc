//! One run: events come, faults come, and somebody watches.

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

/// How soon a process that ended is seen, and started again.
const SUPERVISION: Duration = Duration::from_millis(200);
/// How often it is said how far all has come.
const PROGRESS: Duration = Duration::from_secs(5);
/// How long nothing may be processed once all faults are over, while there is something to be.
const CATCH_UP: Duration = Duration::from_secs(90);

/// What a run is made of.
pub(crate) struct Run<'a> {
    pub(crate) deployment: &'a Deployment,
    pub(crate) stop: &'a StopSignal,
    pub(crate) clock: Clock,
    pub(crate) event_log: Arc<Mutex<EventLog>>,
    pub(crate) faults: &'a [Fault],
    pub(crate) events: &'a [InputRecord],
    pub(crate) rate: u32,
}

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) past: Vec<FaultHistory>,
    pub(crate) stalls: Vec<Stall>,
    pub(crate) failures: Vec<String>,
}

impl Run<'_> {
    /// From the first event until all of them are processed, whatever happens in between.
    pub(crate) fn run(&self) -> Outcome {
        let (past, failures): (Mutex<Vec<FaultHistory>>, Mutex<Vec<String>>) = Default::default();
        thread::scope(|scope| {
            let _ends = self.stop.at_last();
            scope.spawn(|| self.guarded(&failures, || self.watch()));
            scope.spawn(|| self.guarded(&failures, || self.supervise(&failures)));
            scope.spawn(|| self.guarded(&failures, || self.say_progress()));
            let producing = scope.spawn(|| self.guarded(&failures, || self.produce()));
            self.stop.wait(Duration::from_millis(WARM_UP_MS));
            lock(&self.event_log).begin(self.clock.now());
            self.strike_all(&past);
            // A panic has set the halt.
            let _ = producing.join();
            self.catch_up(&failures);
        });
        let mut past = taken(past);
        past.sort_by_key(|past| past.from);
        Outcome {
            past,
            stalls: lock(&self.event_log).stalls(self.clock.now()),
            failures: taken(failures),
        }
    }

    /// A part of it: all end where one fails.
    fn guarded(&self, failures: &Mutex<Vec<String>>, part: impl FnOnce() -> Result<()>) {
        let ends = self.stop.at_last();
        match part() {
            Ok(()) => ends.not_yet(),
            Err(error) => lock(failures).push(format!("{error:#}")),
        }
    }

    fn watch(&self) -> Result<()> {
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

    /// Starts what ended by itself again, as any supervisor would, but does not forget it.
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

    fn say_progress(&self) -> Result<()> {
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

    /// Every fault in a thread of its own, since the next may not wait for it.
    fn strike_all(&self, past: &Mutex<Vec<FaultHistory>>) {
        let hand = FaultActions {
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
                    let struck = hand.strike(*fault);
                    lock(past).extend(struck);
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
            let failure =
                format!("nothing more is processed for {CATCH_UP:?} after the last fault");
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
