//! How far behind inputs are, measured when it is asked for, so that it grows while nothing is read.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{GaugeVec, IntGaugeVec};

use super::{options, set};
use crate::clock::{Clock, Moment};

/// What was reported longer ago than this is not known any more: a worker that gets on reports every second.
const STALE: Duration = Duration::from_secs(15);

/// The lags of the inputs that the process reads; clones are the same ones.
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
    /// Event time processed, or where there was no event yet the time of the first report; milliseconds since the
    /// epoch.
    reached_ms: i64,
    /// When the partition's end was last known to be reached, by the wall clock; `i64::MIN`: never. What is to be read
    /// has come since, however old its event time is.
    caught_up_ms: i64,
    /// `None`: the end of the partition is not known.
    events: Option<u64>,
}

impl Reported {
    fn since_ms(self) -> i64 {
        self.reached_ms.max(self.caught_up_ms)
    }
}

impl InputLags {
    pub(super) fn new(clock: Clock) -> prometheus::Result<Self> {
        let labels = ["topic", "partition"];
        let seconds = options(
            "input_lag_seconds",
            "Wall clock minus event time processed, or since the end was last reached where that is later, while events \
             are to be read or the end is unknown; 0 at the end.",
        );
        let events = options(
            "input_lag_events",
            "Events still to be read; no series while the end is unknown.",
        );
        Ok(Self {
            clock,
            inputs: Arc::default(),
            seconds: GaugeVec::new(seconds, &labels)?,
            events: IntGaugeVec::new(events, &labels)?,
        })
    }

    /// Event time processed of a partition (`i64::MIN`: none yet), and events still to be read, where that is known.
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

    /// Takes the series of a partition away that this process no longer reads.
    pub fn forget(&self, topic: &str, partition: u32) {
        self.lock().remove(&(topic.to_owned(), partition));
        let partition = partition.to_string();
        let labels = [topic, &partition];
        // One that was never set is gone already.
        self.seconds.remove_label_values(&labels).ok();
        self.events.remove_label_values(&labels).ok();
    }

    fn show(&self) {
        let (now, wall_ms) = (self.clock.now(), self.clock.wall_ms());
        for ((topic, partition), reported) in self.lock().iter() {
            let partition = partition.to_string();
            let labels = [topic.as_str(), &partition];
            let events = reported.events.filter(|_| now.since(reported.at) < STALE);
            let behind_ms = match events {
                Some(0) => 0,
                _ => wall_ms.saturating_sub(reported.since_ms()).max(0),
            };
            let seconds = Duration::from_millis(behind_ms as u64).as_secs_f64();
            self.seconds.with_label_values(&labels).set(seconds);
            match events {
                Some(events) => set(&self.events, &labels, events),
                // A lag that stands still would look as if all were well.
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
        self.show();
        let (seconds, events) = (self.seconds.collect(), self.events.collect());
        seconds.into_iter().chain(events).collect()
    }
}
