//! How each shard gets on, measured when it is asked for, so that the figures grow while a shard hangs.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prometheus::GaugeVec;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;

use super::options;
use crate::clock::{Clock, Moment};

/// What the shards note of their polls and commits; clones are the same notes. They outlive the shard that starts
/// again under the same number.
#[derive(Clone, Debug)]
pub struct Progress {
    clock: Clock,
    shards: Arc<Mutex<BTreeMap<usize, Noted>>>,
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

/// A shard whose commits have come to nothing for too long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stall {
    /// Which.
    pub shard: usize,
    /// Since when something has waited to be committed.
    pub lasted: Duration,
    /// The latest error, if one was told.
    pub error: Option<String>,
}

impl Progress {
    pub(super) fn new(clock: Clock) -> prometheus::Result<Self> {
        let gauge = |name, help| GaugeVec::new(options(name, help), &["shard"]);
        Ok(Self {
            clock,
            shards: Arc::default(),
            since_poll: gauge(
                "seconds_since_poll",
                "Since the shard last asked its broker for records.",
            )?,
            since_commit: gauge(
                "seconds_since_commit",
                "Since the shard's last successful commit; an idle shard commits every 30 s too.",
            )?,
            uncommitted: gauge(
                "uncommitted_seconds",
                "How long the shard's oldest uncommitted work has waited; 0 where there is none.",
            )?,
        })
    }

    /// The shard has polled.
    pub fn polled(&self, shard: usize) {
        let now = self.clock.now();
        self.note(shard, now, |noted| noted.polled = now);
    }

    /// The shard has something to commit.
    pub fn pending(&self, shard: usize) {
        let now = self.clock.now();
        self.note(shard, now, |noted| {
            noted.pending.get_or_insert(now);
        });
    }

    /// The shard has committed.
    pub fn committed(&self, shard: usize) {
        let now = self.clock.now();
        self.note(shard, now, |noted| noted.committed = now);
        self.nothing_pending(shard);
    }

    /// The shard owns nothing that could wait for a commit.
    pub fn nothing_pending(&self, shard: usize) {
        let now = self.clock.now();
        self.note(shard, now, |noted| {
            noted.pending = None;
            noted.error = None;
        });
    }

    /// Something came to nothing.
    pub fn failed(&self, shard: usize, error: &str) {
        let now = self.clock.now();
        self.note(shard, now, |noted| noted.error = Some(error.to_owned()));
    }

    /// The shards that have had something to commit for this long, and have not.
    #[must_use]
    pub fn stalls(&self, limit: Duration) -> Vec<Stall> {
        let now = self.clock.now();
        let shards = self.lock();
        let stalls = shards.iter().filter_map(|(shard, noted)| {
            let lasted = now.since(noted.pending?);
            (lasted >= limit).then(|| Stall {
                shard: *shard,
                lasted,
                error: noted.error.clone(),
            })
        });
        stalls.collect()
    }

    fn note(&self, shard: usize, now: Moment, note: impl FnOnce(&mut Noted)) {
        let mut shards = self.lock();
        note(shards.entry(shard).or_insert(Noted {
            polled: now,
            committed: now,
            pending: None,
            error: None,
        }));
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<usize, Noted>> {
        self.shards.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn show(&self) {
        let now = self.clock.now();
        for (shard, noted) in self.lock().iter() {
            let labels = [shard.to_string()];
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
