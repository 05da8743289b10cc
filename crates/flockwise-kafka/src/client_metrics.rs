//! librdkafka's statistics about connections as metrics: few, and bounded by the number of brokers.

use std::collections::{BTreeMap, BTreeSet};

use flockwise_runtime::metrics::{Described, Registrar};
use prometheus::{GaugeVec, IntCounterVec, IntGaugeVec, Registry, Result};
use rdkafka::Statistics;
use rdkafka::statistics::{Broker, Window};

/// The prefix of the metric names.
const PREFIX: &str = "flockwise";
const US_PER_S: f64 = 1e6;
const MS_PER_S: f64 = 1e3;

/// The metrics of all Kafka clients of a process. Clones share them.
#[derive(Clone, Debug)]
pub struct KafkaMetrics {
    brokers_up: IntGaugeVec,
    round_trip: GaugeVec,
    throttle: GaugeVec,
    timeouts: IntCounterVec,
    retries: IntCounterVec,
    errors: IntCounterVec,
    queued_records: IntGaugeVec,
    queued_bytes: IntGaugeVec,
    pub(crate) open_transaction: GaugeVec,
    /// Labelled with topic, partition and [`crate::data_loss::DataLoss::reason`].
    pub(crate) gaps: IntCounterVec,
}

impl KafkaMetrics {
    /// Registers every metric.
    ///
    /// # Errors
    /// If the registry already has metrics of these names.
    pub fn register(registry: &Registry) -> Result<Self> {
        Self::register_with(&Registrar::new(registry, PREFIX))
    }

    /// Describes each metric, for documentation.
    ///
    /// # Errors
    /// If two metrics have the same name.
    pub fn described() -> Result<Vec<Described>> {
        let registry = Registry::new();
        let registrar = Registrar::new(&registry, PREFIX);
        Self::register_with(&registrar)?;
        Ok(registrar.described())
    }

    fn register_with(registrar: &Registrar<'_>) -> Result<Self> {
        let client = ["worker", "client"];
        let broker = ["worker", "client", "broker"];
        let count = |name, help| registrar.labelled_counters(name, help, &client);
        let whole = |name, help, labels: &[&str]| registrar.gauges(name, help, labels);
        let seconds = |name, help, labels: &[&str]| registrar.real_gauges(name, help, labels);
        Ok(Self {
            brokers_up: whole(
                "kafka_brokers_up",
                "Brokers that the client is connected to.",
                &client,
            )?,
            round_trip: seconds(
                "kafka_round_trip_seconds",
                "99th percentile of the time from request to response, over the last 10 s.",
                &broker,
            )?,
            throttle: seconds(
                "kafka_throttle_seconds",
                "Longest delay by a quota of the broker, over the last 10 s.",
                &broker,
            )?,
            timeouts: count("kafka_request_timeouts_total", "Requests that timed out.")?,
            retries: count("kafka_request_retries_total", "Requests that were retried.")?,
            errors: count(
                "kafka_request_errors_total",
                "Requests that could not be sent, or whose response could not be received.",
            )?,
            queued_records: whole(
                "kafka_queued_records",
                "Records that are queued in the producer or in flight.",
                &["worker"],
            )?,
            queued_bytes: whole(
                "kafka_queued_bytes",
                "Memory of the records that are queued in the producer or in flight.",
                &["worker"],
            )?,
            open_transaction: seconds(
                "input_open_transaction_seconds",
                "How long a producer's open transaction has held the partition back, updated every 10 s; 0 if none.",
                &["topic", "partition"],
            )?,
            gaps: registrar.labelled_counters(
                "input_gaps_total",
                "Times that reading skipped lost records.",
                &["topic", "partition", "reason"],
            )?,
        })
    }
}

/// What was exported of one client, so that counters continue when it is recreated, and series of brokers disappear.
#[derive(Debug)]
pub(crate) struct ClientSeries {
    metrics: KafkaMetrics,
    worker: String,
    client: &'static str,
    counted: [u64; 3],
    brokers: BTreeSet<i32>,
}

impl ClientSeries {
    /// For a client that was just created: nothing is exported yet.
    pub(crate) fn new(metrics: &KafkaMetrics, worker: usize, client: &'static str) -> Self {
        Self {
            metrics: metrics.clone(),
            worker: worker.to_string(),
            client,
            counted: [0; 3],
            brokers: BTreeSet::new(),
        }
    }

    /// Exports the client's latest statistics.
    pub(crate) fn show(&mut self, statistics: &Statistics) {
        let known: BTreeMap<i32, &Broker> = known_brokers(statistics).collect();
        let labels = [self.worker.as_str(), self.client];
        let up = known.values().filter(|broker| is_up(broker)).count();
        let gauge = self.metrics.brokers_up.with_label_values(&labels);
        gauge.set(up as i64);
        for (id, broker) in &known {
            self.show_broker(*id, broker);
        }
        let gone = self.brokers.iter().filter(|id| !known.contains_key(id));
        gone.for_each(|id| self.remove(*id));
        self.brokers = known.into_keys().collect();
        self.count(statistics);
        if statistics.client_type == "producer" {
            self.show_queue(statistics);
        }
    }

    fn show_queue(&self, statistics: &Statistics) {
        let labels = [self.worker.as_str()];
        let show = |gauges: &IntGaugeVec, value: u64| {
            let value = i64::try_from(value).unwrap_or(i64::MAX);
            gauges.with_label_values(&labels).set(value);
        };
        show(&self.metrics.queued_records, statistics.msg_cnt);
        show(&self.metrics.queued_bytes, statistics.msg_size);
    }

    fn show_broker(&self, id: i32, broker: &Broker) {
        let id = id.to_string();
        let labels = [self.worker.as_str(), self.client, &id];
        let of = |window: &Option<Window>, value: fn(&Window) -> i64, unit: f64| {
            window
                .as_ref()
                .map_or(0.0, |window| value(window) as f64 / unit)
        };
        let round_trip = of(&broker.rtt, |window| window.p99, US_PER_S);
        let throttle = of(&broker.throttle, |window| window.max, MS_PER_S);
        let gauge = self.metrics.round_trip.with_label_values(&labels);
        gauge.set(round_trip);
        let gauge = self.metrics.throttle.with_label_values(&labels);
        gauge.set(throttle);
    }

    /// librdkafka counts from the client's creation, per connection, bootstrap connections included.
    fn count(&mut self, statistics: &Statistics) {
        let total = |of: fn(&Broker) -> u64| statistics.brokers.values().map(of).sum::<u64>();
        let totals = [
            total(|broker| broker.req_timeouts),
            total(|broker| broker.txretries),
            total(|broker| broker.txerrs + broker.rxerrs),
        ];
        let metrics = &self.metrics;
        let counters = [&metrics.timeouts, &metrics.retries, &metrics.errors];
        for ((counter, total), counted) in counters.into_iter().zip(totals).zip(&mut self.counted) {
            let counter = counter.with_label_values(&[self.worker.as_str(), self.client]);
            counter.inc_by(total.saturating_sub(*counted));
            *counted = total.max(*counted);
        }
    }

    fn remove(&self, broker: i32) {
        let broker = broker.to_string();
        let labels = [self.worker.as_str(), self.client, &broker];
        // Both exist: they were set when the broker was first exported.
        self.metrics.round_trip.remove_label_values(&labels).ok();
        self.metrics.throttle.remove_label_values(&labels).ok();
    }
}

impl Drop for ClientSeries {
    fn drop(&mut self) {
        for broker in &self.brokers {
            self.remove(*broker);
        }
        let labels = [self.worker.as_str(), self.client];
        // A dropped client has no connections.
        self.metrics.brokers_up.with_label_values(&labels).set(0);
    }
}

/// The brokers with an id. Entries without one are second names of the same brokers.
fn known_brokers(statistics: &Statistics) -> impl Iterator<Item = (i32, &Broker)> {
    let brokers = statistics.brokers.values();
    let known = brokers.filter(|broker| broker.nodeid >= 0 && broker.source != "logical");
    known.map(|broker| (broker.nodeid, broker))
}

/// Is the client connected to the broker, with the handshake completed?
pub(crate) fn is_up(broker: &Broker) -> bool {
    matches!(&*broker.state, "UP" | "UPDATE")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broker(nodeid: i32, state: &str, timeouts: u64) -> (String, Broker) {
        let rtt = Window {
            p99: 20_000,
            ..Window::default()
        };
        let throttle = Window {
            max: 1_500,
            ..Window::default()
        };
        let broker = Broker {
            nodeid,
            state: state.to_owned(),
            source: "learned".to_owned(),
            req_timeouts: timeouts,
            rtt: Some(rtt),
            throttle: Some(throttle),
            ..Broker::default()
        };
        (format!("b{nodeid}"), broker)
    }

    fn statistics(brokers: impl IntoIterator<Item = (String, Broker)>) -> Statistics {
        Statistics {
            brokers: brokers.into_iter().collect(),
            client_type: "producer".to_owned(),
            msg_cnt: 7,
            msg_size: 700,
            ..Statistics::default()
        }
    }

    fn shown(registry: &Registry) -> String {
        let text = prometheus::TextEncoder::new().encode_to_string(&registry.gather());
        text.expect("text")
    }

    #[test]
    fn a_client_is_shown_by_broker_and_counts_on_when_it_is_made_again() {
        let registry = Registry::new();
        let metrics = KafkaMetrics::register(&registry).expect("registered");
        let mut series = ClientSeries::new(&metrics, 3, "producer");
        // The coordinator is one of the brokers under a second name, without an id.
        let up = [
            broker(1, "UP", 2),
            broker(2, "DOWN", 0),
            broker(-1, "UP", 1),
        ];
        series.show(&statistics(up));
        let text = shown(&registry);
        let labels = "{client=\"producer\",worker=\"3\"}";
        let one = "{broker=\"1\",client=\"producer\",worker=\"3\"}";
        for line in [
            format!("flockwise_kafka_brokers_up{labels} 1"),
            format!("flockwise_kafka_request_timeouts_total{labels} 3"),
            format!("flockwise_kafka_round_trip_seconds{one} 0.02"),
            format!("flockwise_kafka_throttle_seconds{one} 1.5"),
            "flockwise_kafka_queued_bytes{worker=\"3\"} 700".to_owned(),
        ] {
            assert!(text.contains(&line), "{line}: {text}");
        }
        series.show(&statistics([broker(2, "UP", 4)]));
        assert!(!shown(&registry).contains(one), "a broker that left");
        drop(series);
        let mut again = ClientSeries::new(&metrics, 3, "producer");
        again.show(&statistics([broker(2, "UP", 1)]));
        let line = format!("flockwise_kafka_request_timeouts_total{labels} 5");
        assert!(shown(&registry).contains(&line), "{}", shown(&registry));
    }
}
