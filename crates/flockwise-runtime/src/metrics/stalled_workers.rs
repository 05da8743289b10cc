//! Progress of each worker. The gauges are computed at each scrape, so that they grow while a worker hangs.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prometheus::GaugeVec;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;

use super::metric_options::options;
use crate::clock::{Clock, Moment};

/// When the workers last polled and committed. Clones share it. It survives the restart of a worker, which keeps its
/// number.
#[derive(Clone, Debug)]
pub struct ProgressMetrics {
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
    /// Since when uncommitted work has been waiting; an abort does not reset it. `None`: there is none.
    pending: Option<Moment>,
    /// The latest error since the last commit.
    error: Option<String>,
}

/// A worker that has had uncommitted work for too long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stall {
    /// Its number.
    pub worker: usize,
    /// How long its uncommitted work has been waiting.
    pub lasted: Duration,
    /// The latest error since its last commit; `None` if none was reported.
    pub error: Option<String>,
}

impl ProgressMetrics {
    pub(super) fn new(clock: Clock) -> prometheus::Result<Self> {
        let gauge = |name, help| GaugeVec::new(options(name, help), &["worker"]);
        Ok(Self {
            clock,
            workers: Arc::default(),
            since_poll: gauge(
                "seconds_since_poll",
                "Seconds since the worker last polled for records.",
            )?,
            since_commit: gauge(
                "seconds_since_commit",
                "Seconds since the worker's last successful commit. An idle worker that owns tasks \
                 commits every 30 s.",
            )?,
            uncommitted: gauge(
                "uncommitted_seconds",
                "Age of the worker's oldest uncommitted work in seconds; 0 if there is none.",
            )?,
        })
    }

    /// Notes that the worker has polled.
    pub fn polled(&self, worker: usize) {
        let now = self.clock.now();
        self.note(worker, now, |noted| noted.polled = now);
    }

    /// Notes that the worker has uncommitted work.
    pub fn pending(&self, worker: usize) {
        let now = self.clock.now();
        self.note(worker, now, |noted| {
            noted.pending.get_or_insert(now);
        });
    }

    /// Notes that the worker has committed.
    pub fn committed(&self, worker: usize) {
        let now = self.clock.now();
        self.note(worker, now, |noted| noted.committed = now);
        self.nothing_pending(worker);
    }

    /// Notes that the worker has no uncommitted work. One without tasks reports this, since it does not commit.
    pub fn nothing_pending(&self, worker: usize) {
        let now = self.clock.now();
        self.note(worker, now, |noted| {
            noted.pending = None;
            noted.error = None;
        });
    }

    /// Notes an error of the worker, which [`ProgressMetrics::stalls`] reports until its next commit.
    pub fn failed(&self, worker: usize, error: &str) {
        let now = self.clock.now();
        self.note(worker, now, |noted| noted.error = Some(error.to_owned()));
    }

    /// The workers that have had uncommitted work for at least `limit`.
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

    fn update_gauges(&self) {
        let now = self.clock.now();
        for (worker, noted) in self.lock().iter() {
            let labels = [worker.to_string()];
            let set = |gauges: &GaugeVec, span: Duration| {
                gauges.with_label_values(&labels).set(span.as_secs_f64());
            };
            set(&self.since_poll, now.since(noted.polled));
            set(&self.since_commit, now.since(noted.committed));
            let pending = noted.pending.map(|pending| now.since(pending));
            set(&self.uncommitted, pending.unwrap_or_default());
        }
    }

    fn gauges(&self) -> [&GaugeVec; 3] {
        [&self.since_poll, &self.since_commit, &self.uncommitted]
    }
}

impl Collector for ProgressMetrics {
    fn desc(&self) -> Vec<&Desc> {
        self.gauges()
            .into_iter()
            .flat_map(Collector::desc)
            .collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.update_gauges();
        let families = self.gauges().into_iter().flat_map(Collector::collect);
        families.collect()
    }
}
