//! Lags of the inputs. They are computed at each scrape, so that they grow while nothing is read.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{GaugeVec, IntGaugeVec};

use super::metric_options::{options, set};
use crate::clock::{Clock, Moment};

/// A report that is older than this is stale: a healthy worker reports every second.
const STALE: Duration = Duration::from_secs(15);

/// The lags of the input partitions that the process reads. Clones share them.
#[derive(Clone, Debug)]
pub struct InputLags {
    clock: Clock,
    inputs: Arc<Mutex<BTreeMap<(String, u32), Reported>>>,
    seconds: GaugeVec,
    events: IntGaugeVec,
}

#[derive(Clone, Copy, Debug)]
struct Reported {
    at: Moment,
    /// Event time processed, or the time of the first report if there was no event yet; milliseconds since the epoch.
    reached_ms: i64,
    /// Wall-clock time, milliseconds since the epoch, when the partition's end was last known to be reached;
    /// `i64::MIN`: never. Unread records have arrived since then, however old their event time is.
    caught_up_ms: i64,
    /// Events still to be read; `None`: the end of the partition is unknown.
    events: Option<u64>,
}

impl Reported {
    /// Since when the partition has been behind, milliseconds since the epoch.
    fn behind_since_ms(self) -> i64 {
        self.reached_ms.max(self.caught_up_ms)
    }
}

impl InputLags {
    pub(super) fn new(clock: Clock) -> prometheus::Result<Self> {
        let labels = ["topic", "partition"];
        let seconds = options(
            "input_lag_seconds",
            "Time since the event time processed, or since the end of the partition was last reached if that is later; \
             0 at the end. Grows while nothing is read or the end is unknown.",
        );
        let events = options(
            "input_lag_events",
            "Events still to be read. No series while the end of the partition is unknown.",
        );
        Ok(Self {
            clock,
            inputs: Arc::default(),
            seconds: GaugeVec::new(seconds, &labels)?,
            events: IntGaugeVec::new(events, &labels)?,
        })
    }

    /// Reports the event time processed of a partition (milliseconds since the epoch; `i64::MIN`: none yet), and the
    /// number of events still to be read (`None`: unknown).
    pub fn report(&self, topic: &str, partition: u32, time_ms: i64, events: Option<u64>) {
        let (at, wall_ms) = (self.clock.now(), self.clock.wall_ms());
        let mut inputs = self.lock();
        let key = (topic.to_owned(), partition);
        let known = inputs.get(&key);
        let first_ms = known.map_or(wall_ms, |known| known.reached_ms);
        let caught_up_ms = match events {
            Some(0) => wall_ms,
            _ => known.map_or(i64::MIN, |known| known.caught_up_ms),
        };
        let reached_ms = if time_ms == i64::MIN {
            first_ms
        } else {
            time_ms
        };
        let reported = Reported {
            at,
            reached_ms,
            caught_up_ms,
            events,
        };
        inputs.insert(key, reported);
    }

    /// Removes the series of a partition that this process no longer reads.
    pub fn forget(&self, topic: &str, partition: u32) {
        self.lock().remove(&(topic.to_owned(), partition));
        let partition = partition.to_string();
        let labels = [topic, &partition];
        // Fails only if there is no such series.
        self.seconds.remove_label_values(&labels).ok();
        self.events.remove_label_values(&labels).ok();
    }

    fn update_gauges(&self) {
        let (now, wall_ms) = (self.clock.now(), self.clock.wall_ms());
        for ((topic, partition), reported) in self.lock().iter() {
            let partition = partition.to_string();
            let labels = [topic.as_str(), &partition];
            let events = reported.events.filter(|_| now.since(reported.at) < STALE);
            let behind_ms = match events {
                Some(0) => 0,
                _ => wall_ms.saturating_sub(reported.behind_since_ms()).max(0),
            };
            let seconds = Duration::from_millis(behind_ms as u64).as_secs_f64();
            self.seconds.with_label_values(&labels).set(seconds);
            match events {
                Some(events) => set(&self.events, &labels, events),
                // A lag that stands still would look healthy.
                None => drop(self.events.remove_label_values(&labels)),
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<(String, u32), Reported>> {
        self.inputs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Collector for InputLags {
    fn desc(&self) -> Vec<&Desc> {
        let (seconds, events) = (self.seconds.desc(), self.events.desc());
        seconds.into_iter().chain(events).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.update_gauges();
        let (seconds, events) = (self.seconds.collect(), self.events.collect());
        seconds.into_iter().chain(events).collect()
    }
}
