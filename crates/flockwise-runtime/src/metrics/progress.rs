//! How each worker gets on, measured when it is asked for, so that the figures grow while a worker hangs.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prometheus::GaugeVec;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;

use super::options;
use crate::clock::{Clock, Moment};

/// What the workers note of their polls and commits; clones are the same notes. They outlive the worker that starts
/// again under the same number.
#[derive(Clone, Debug)]
pub struct Progress {
    clock: Clock,
    workers: Arc<Mutex<BTreeMap<usize, Noted>>>,
    since_poll: GaugeVec,
    since_commit: GaugeVec,
    uncommitted: GaugeVec,
}

#[derive(Clone, Debug)]
struct Noted {
    polled: Moment,
    committed: Moment,
    /// Since when something has waited to be committed, through aborts too.
    pending: Option<Moment>,
    /// What went wrong since the last commit, the latest.
    error: Option<String>,
}

/// A worker whose commits have come to nothing for too long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stall {
    /// Which.
    pub worker: usize,
    /// Since when something has waited to be committed.
    pub lasted: Duration,
    /// The latest error, if one was told.
    pub error: Option<String>,
}

impl Progress {
    pub(super) fn new(clock: Clock) -> prometheus::Result<Self> {
        let gauge = |name, help| GaugeVec::new(options(name, help), &["worker"]);
        Ok(Self {
            clock,
            workers: Arc::default(),
            since_poll: gauge(
                "seconds_since_poll",
                "Since the worker last asked its broker for records.",
            )?,
            since_commit: gauge(
                "seconds_since_commit",
                "Since the worker's last successful commit; an idle worker commits every 30 s too.",
            )?,
            uncommitted: gauge(
                "uncommitted_seconds",
                "How long the worker's oldest uncommitted work has waited; 0 where there is none.",
            )?,
        })
    }

    /// The worker has polled.
    pub fn polled(&self, worker: usize) {
        let now = self.clock.now();
        self.note(worker, now, |noted| noted.polled = now);
    }

    /// The worker has something to commit.
    pub fn pending(&self, worker: usize) {
        let now = self.clock.now();
        self.note(worker, now, |noted| {
            noted.pending.get_or_insert(now);
        });
    }

    /// The worker has committed.
    pub fn committed(&self, worker: usize) {
        let now = self.clock.now();
        self.note(worker, now, |noted| noted.committed = now);
        self.nothing_pending(worker);
    }

    /// The worker owns nothing that could wait for a commit.
    pub fn nothing_pending(&self, worker: usize) {
        let now = self.clock.now();
        self.note(worker, now, |noted| {
            noted.pending = None;
            noted.error = None;
        });
    }

    /// Something came to nothing.
    pub fn failed(&self, worker: usize, error: &str) {
        let now = self.clock.now();
        self.note(worker, now, |noted| noted.error = Some(error.to_owned()));
    }

    /// The workers that have had something to commit for this long, and have not.
    #[must_use]
    pub fn stalls(&self, limit: Duration) -> Vec<Stall> {
        let now = self.clock.now();
        let workers = self.lock();
        let stalls = workers.iter().filter_map(|(worker, noted)| {
            let lasted = now.since(noted.pending?);
            (lasted >= limit).then(|| Stall {
                worker: *worker,
                lasted,
                error: noted.error.clone(),
            })
        });
        stalls.collect()
    }

    fn note(&self, worker: usize, now: Moment, note: impl FnOnce(&mut Noted)) {
        let mut workers = self.lock();
        note(workers.entry(worker).or_insert(Noted {
            polled: now,
            committed: now,
            pending: None,
            error: None,
        }));
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<usize, Noted>> {
        self.workers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn show(&self) {
        let now = self.clock.now();
        for (worker, noted) in self.lock().iter() {
            let labels = [worker.to_string()];
            let show = |gauges: &GaugeVec, span: Duration| {
                gauges.with_label_values(&labels).set(span.as_secs_f64());
            };
            show(&self.since_poll, now.since(noted.polled));
            show(&self.since_commit, now.since(noted.committed));
            let pending = noted.pending.map(|pending| now.since(pending));
            show(&self.uncommitted, pending.unwrap_or_default());
        }
    }

    fn gauges(&self) -> [&GaugeVec; 3] {
        [&self.since_poll, &self.since_commit, &self.uncommitted]
    }
}

impl Collector for Progress {
    fn desc(&self) -> Vec<&Desc> {
        self.gauges()
            .into_iter()
            .flat_map(Collector::desc)
            .collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.show();
        let families = self.gauges().into_iter().flat_map(Collector::collect);
        families.collect()
    }
}
