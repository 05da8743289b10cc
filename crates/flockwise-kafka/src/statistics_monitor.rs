//! Finds open transactions and outdated ends of partitions in a consumer's statistics.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use flockwise_runtime::topics::{Topic, TopicPartition, Topics};
use rdkafka::Statistics;

use crate::client_context::KafkaContext;
use crate::client_metrics::KafkaMetrics;
use crate::data_loss::DataLoss;
use crate::fetch_state::fetch_state;
use crate::open_transactions::{OpenTransaction, OpenTransactions};
use crate::settings::KafkaSettings;

/// Statistics that are older than this are out of date.
const STALE: Duration = Duration::from_secs(30);

/// One worker's inputs, according to its consumer's statistics.
pub(crate) struct StatisticsMonitor {
    inputs: Vec<String>,
    /// When the consumer's statistics last arrived, or the client was created.
    updated: Instant,
    /// Partitions whose broker did not answer then. A partition that was assigned since is not among them: its end
    /// comes from a fetch.
    unanswered: BTreeSet<(String, i32)>,
    transactions: OpenTransactions,
    exported: Option<ExportedSeries>,
}

/// The partitions that are exported as metrics.
struct ExportedSeries {
    metrics: KafkaMetrics,
    partitions: BTreeSet<(String, i32)>,
}

impl StatisticsMonitor {
    /// For a client without statistics yet.
    pub(crate) fn new(topics: &Topics, settings: &KafkaSettings) -> Self {
        Self {
            inputs: topics.inputs.clone(),
            updated: Instant::now(),
            unanswered: BTreeSet::new(),
            transactions: OpenTransactions::new(settings.long_transaction),
            exported: None,
        }
    }

    /// Exports metrics from now on.
    pub(crate) fn export_to(&mut self, metrics: &KafkaMetrics) {
        self.exported = Some(ExportedSeries {
            metrics: metrics.clone(),
            partitions: BTreeSet::new(),
        });
    }

    /// Evaluates new statistics of the consumer, if there are any.
    pub(crate) fn update(&mut self, consumer: &KafkaContext) {
        if let Some(statistics) = consumer.take_statistics() {
            self.evaluate(&statistics, Instant::now());
        }
    }

    fn evaluate(&mut self, statistics: &Statistics, now: Instant) {
        let fetch_state = fetch_state(statistics, &self.inputs);
        let held = self.transactions.update(&fetch_state.fetched, now);
        held.iter().for_each(OpenTransaction::log);
        self.unanswered = fetch_state.unanswered.into_iter().collect();
        self.updated = now;
        if let Some(exported) = &mut self.exported {
            exported.export_held(&held);
        }
    }

    /// Counts lost records of an input that reading has skipped.
    pub(crate) fn skip(&self, loss: &DataLoss) {
        if let Some(exported) = &self.exported
            && matches!(loss.topic_partition.topic, Topic::Input(_))
        {
            let partition = loss.topic_partition.partition.to_string();
            let labels = [&loss.topic, &partition, loss.reason()];
            exported.metrics.gaps.with_label_values(&labels).inc();
        }
    }

    /// Is the partition's end, as the client knows it, up to date? Before the first statistics it comes from a fetch in
    /// the first seconds. Always true for internal topics.
    pub(crate) fn knows_end(&self, topic_partition: TopicPartition, now: Instant) -> bool {
        let Topic::Input(input) = topic_partition.topic else {
            return true;
        };
        let is_fresh = now.saturating_duration_since(self.updated) < STALE;
        let place = (
            self.inputs[usize::from(input)].clone(),
            topic_partition.partition.cast_signed(),
        );
        is_fresh && !self.unanswered.contains(&place)
    }
}

impl ExportedSeries {
    fn export_held(&mut self, held: &[OpenTransaction]) {
        let mut before = std::mem::take(&mut self.partitions);
        for held in held {
            let partition = held.partition.to_string();
            let labels = [held.topic.as_str(), &partition];
            let gauge = self.metrics.open_transaction.with_label_values(&labels);
            gauge.set(held.lasted.as_secs_f64());
            let place = (held.topic.clone(), held.partition);
            before.remove(&place);
            self.partitions.insert(place);
        }
        before.iter().for_each(|place| self.remove(place));
    }

    fn remove(&self, (topic, partition): &(String, i32)) {
        let labels = [topic.as_str(), &partition.to_string()];
        // Another worker may have taken over the partition and removed the series meanwhile.
        let gauges = &self.metrics.open_transaction;
        gauges.remove_label_values(&labels).ok();
    }
}

impl Drop for ExportedSeries {
    fn drop(&mut self) {
        self.partitions.iter().for_each(|place| self.remove(place));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fetch_state::tests::statistics;

    const EVERY: Duration = Duration::from_secs(10);

    fn monitor() -> StatisticsMonitor {
        let topics = Topics {
            app: "shop".to_owned(),
            inputs: vec!["orders".to_owned()],
            state_partitions: 1,
        };
        StatisticsMonitor::new(&topics, &KafkaSettings::new("", "", ""))
    }

    fn knows(monitor: &StatisticsMonitor, partition: u32, now: Instant) -> bool {
        let topic = Topic::Input(0);
        monitor.knows_end(TopicPartition { topic, partition }, now)
    }

    #[test]
    fn an_end_is_not_known_once_its_broker_is_away_or_nothing_is_said_any_more() {
        let mut monitor = monitor();
        let start = monitor.updated;
        assert!(knows(&monitor, 0, start), "right after the start");
        let partitions = [("active", [5, 5, 5])];
        monitor.evaluate(&statistics("UP", 1_000, &partitions), start);
        assert!(knows(&monitor, 0, start));
        assert!(knows(&monitor, 1, start), "assigned since");
        assert!(!knows(&monitor, 0, start + STALE));
        let later = start + EVERY;
        monitor.evaluate(&statistics("CONNECT", -1, &partitions), later);
        assert!(!knows(&monitor, 0, later), "its broker is away");
        let back = later + EVERY;
        monitor.evaluate(&statistics("UP", 1_000, &partitions), back);
        assert!(knows(&monitor, 0, back));
    }
}
