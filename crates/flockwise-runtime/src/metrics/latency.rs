//! Latencies, recorded to three significant digits and exported as a Prometheus histogram.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hdrhistogram::Histogram;
use prometheus::core::{Collector, Desc, Describer};
use prometheus::proto::{self, MetricFamily, MetricType};

use super::metric_options::options;

/// Upper bounds of the exported buckets, microseconds.
const BOUNDS_US: [u64; 18] = [
    1_000,
    2_000,
    5_000,
    10_000,
    20_000,
    50_000,
    100_000,
    200_000,
    500_000,
    1_000_000,
    2_000_000,
    5_000_000,
    10_000_000,
    30_000_000,
    60_000_000,
    300_000_000,
    600_000_000,
    3_600_000_000,
];
/// Longer latencies are recorded as this: a day, microseconds.
const MAX_US: u64 = 86_400_000_000;
const US_PER_S: f64 = 1e6;

/// A histogram of latencies, recorded to three significant digits. Clones share it.
#[derive(Clone, Debug)]
pub struct Latency {
    recorded: Arc<Mutex<Recorded>>,
    description: Desc,
}

#[derive(Debug)]
struct Recorded {
    histogram: Histogram<u64>,
    sum_us: u64,
}

impl Latency {
    pub(super) fn new(name: &str, help: &str) -> prometheus::Result<Self> {
        let histogram = Histogram::new_with_bounds(1, MAX_US, 3)
            .map_err(|error| prometheus::Error::Msg(error.to_string()))?;
        let sum_us = 0;
        Ok(Self {
            recorded: Arc::new(Mutex::new(Recorded { histogram, sum_us })),
            description: options(name, help).describe()?,
        })
    }

    /// Records latencies. Takes the lock once for all of them.
    pub fn record(&self, latencies: impl Iterator<Item = Duration>) {
        let mut recorded = self.lock();
        for latency in latencies {
            let us = u64::try_from(latency.as_micros()).map_or(MAX_US, |us| us.min(MAX_US));
            recorded.histogram.saturating_record(us);
            recorded.sum_us += us;
        }
    }

    /// The quantile at `share`, from 0 to 1; zero if nothing was recorded.
    #[must_use]
    pub fn quantile(&self, share: f64) -> Duration {
        Duration::from_micros(self.lock().histogram.value_at_quantile(share))
    }

    fn lock(&self) -> MutexGuard<'_, Recorded> {
        self.recorded.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Collector for Latency {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.description]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let mut metric = proto::Metric::default();
        metric.set_histogram(self.lock().to_histogram());
        let mut family = MetricFamily::default();
        family.set_name(self.description.fq_name.clone());
        family.set_help(self.description.help.clone());
        family.set_field_type(MetricType::HISTOGRAM);
        family.set_metric(vec![metric]);
        vec![family]
    }
}

impl Recorded {
    fn to_histogram(&self) -> proto::Histogram {
        let mut counts = [0; BOUNDS_US.len()];
        for cell in self.histogram.iter_recorded() {
            // The iterator gives a cell's highest value. A cell that starts on a bound counts as within that bound.
            let us = self.histogram.lowest_equivalent(cell.value_iterated_to());
            let bucket = BOUNDS_US.partition_point(|bound| *bound < us);
            if let Some(count) = counts.get_mut(bucket) {
                *count += cell.count_at_value();
            }
        }
        let mut cumulative = 0;
        let buckets = BOUNDS_US.iter().zip(counts).map(|(bound, count)| {
            cumulative += count;
            let mut bucket = proto::Bucket::default();
            bucket.set_upper_bound(*bound as f64 / US_PER_S);
            bucket.set_cumulative_count(cumulative);
            bucket
        });
        let mut histogram = proto::Histogram::default();
        histogram.set_bucket(buckets.collect());
        histogram.set_sample_count(self.histogram.len());
        histogram.set_sample_sum(self.sum_us as f64 / US_PER_S);
        histogram
    }
}
