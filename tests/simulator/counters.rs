//! What the metrics must say: what was committed by those who heard of it, counted beside the product.

use std::collections::BTreeMap;

use flockwise_runtime::topics::Topic;
use prometheus::Registry;
use prometheus::proto::{LabelPair, Metric};
use serde_json::Value;

use super::committed_log::Sent;
use super::truncated_reads::Reading;
use super::world::World;

/// Counts by the name of a counter, with the value of its label if it has one.
pub(super) type Counts = BTreeMap<String, u64>;

/// Adds to a count; one that is zero is left out.
pub(super) fn add(counts: &mut Counts, name: &str, count: u64) {
    if count > 0 {
        *counts.entry(name.to_owned()).or_default() += count;
    }
}

impl World {
    /// What a transaction is to count, should it be committed next.
    pub(super) fn counts_of(&self, sent: &[Sent]) -> Counts {
        let mut counts = Counts::new();
        add(&mut counts, "commits_total", 1);
        for record in sent {
            count_record(record, &mut counts);
        }
        let (committed_log, feed) = (self.committed_log(), self.feed());
        let none = Reading::default();
        for (lane, position) in committed_log.lanes_of(sent) {
            if let Some(produced) = feed.produced.get(&lane) {
                let reading = committed_log.readings.get(&lane).unwrap_or(&none);
                produced.count(reading, position, &mut counts);
            }
        }
        counts
    }

    /// The counters say what was committed, and nothing that was taken back or done again.
    pub(super) fn check_counters(&self) {
        let repeats = self.repeats();
        let committed_log = self.committed_log();
        let mut found = gathered(&self.registry);
        let duplicates = found.remove("duplicates_total").unwrap_or(0);
        assert_eq!(
            found, committed_log.heard,
            "counters, and what was committed"
        );
        // Who died in the moment of a commit has counted nothing of it, and a customer who was let go of is new.
        if committed_log.unheard == 0 && !self.scenario.lets_go() {
            assert_eq!(duplicates, repeats, "events that came again");
        }
        assert!(duplicates <= repeats, "{duplicates} events came again");
    }
}

fn count_record(record: &Sent, counts: &mut Counts) {
    match record.topic {
        Topic::DeadLetters => add(counts, "dead_letters_total", 1),
        // Without a key it holds watermarks.
        Topic::Repartition if record.key.is_some() => add(counts, "forwarded_events_total", 1),
        // Without a key it is a step of the lineage.
        Topic::SegmentChanges if record.key.is_some() => {
            let value = record.value.as_deref().expect("a change");
            let change: Value = serde_json::from_slice(value).expect("JSON");
            let cause = change["cause"].as_str().expect("a cause");
            add(counts, &format!("changes_total/{cause}"), 1);
        }
        _ => {}
    }
}

/// The counters as a scrape has them.
fn gathered(registry: &Registry) -> Counts {
    let mut counts = Counts::new();
    for family in registry.gather() {
        let Some(name) = family.name().strip_prefix("flockwise_") else {
            continue;
        };
        for metric in family.get_metric() {
            let count = metric.get_counter().get_value() as u64;
            match name {
                "commits_total"
                | "events_total"
                | "tombstones_total"
                | "dead_letters_total"
                | "forwarded_events_total"
                | "duplicates_total" => add(&mut counts, name, count),
                "changes_total" => {
                    add(&mut counts, &format!("{name}/{}", label(metric)), count);
                }
                _ => {}
            }
        }
    }
    counts
}

fn label(metric: &Metric) -> String {
    let labels = metric.get_label();
    labels.iter().map(LabelPair::value).collect()
}
