//! Expected values of the counters: what workers committed and got the answer for, counted without the product.

use flockwise_runtime::task_id::TaskId;
use std::collections::BTreeMap;

use flockwise_runtime::topics::Topic;
use prometheus::Registry;
use prometheus::proto::{LabelPair, Metric};
use serde_json::Value;

use super::committed_log::Sent;
use super::simulation::Simulation;
use super::truncated_reads::Reading;

/// Counts by counter name, followed by `/` and the value of the label if it has one.
pub(super) type Counts = BTreeMap<String, u64>;

/// Adds to a count. Adding 0 creates no entry.
pub(super) fn add(counts: &mut Counts, name: &str, count: u64) {
    if count > 0 {
        *counts.entry(name.to_owned()).or_default() += count;
    }
}

impl Simulation {
    /// The counts of a transaction if it is committed next.
    pub(super) fn counts_of(&self, sent: &[Sent]) -> Counts {
        let mut counts = Counts::new();
        add(&mut counts, "commits_total", 1);
        for record in sent {
            count_record(record, &mut counts);
        }
        let (committed_log, producers) = (self.committed_log(), self.producers());
        for (task, from, to) in committed_log.repartition_reads_of(sent) {
            let commands = self.erasures().between(TaskId(task), from, to);
            add(&mut counts, "task_commands_total/erase", commands);
        }
        let none = Reading::default();
        for (input_key, position) in committed_log.read_positions_of(sent) {
            if let Some(produced) = producers.produced.get(&input_key) {
                let reading = committed_log.readings.get(&input_key).unwrap_or(&none);
                produced.count(reading, position, &mut counts);
            }
        }
        counts
    }

    /// Checks that the counters equal what was committed. Aborted or repeated work must not be counted.
    pub(super) fn check_counters(&self) {
        let repeats = self.repeats();
        let committed_log = self.committed_log();
        let mut found = gathered(&self.registry);
        let duplicates = found.remove("duplicates_total").unwrap_or(0);
        assert_eq!(found, committed_log.acknowledged, "counters");
        // A worker that dies right after a commit has not counted it, and the duplicates of a customer who has expired
        // or was erased count as new.
        let is_forgetful = self.scenario.has_expiry() || !self.erasures().is_empty();
        if committed_log.unacknowledged == 0 && !is_forgetful {
            assert_eq!(duplicates, repeats, "duplicates");
        }
        assert!(
            duplicates <= repeats,
            "{duplicates} duplicates counted, at most {repeats} expected"
        );
    }
}

fn count_record(record: &Sent, counts: &mut Counts) {
    match record.topic {
        Topic::DeadLetters => add(counts, "dead_letters_total", 1),
        // Without a key it holds watermarks.
        Topic::Repartition if record.key.is_some() => add(counts, "forwarded_events_total", 1),
        // Without a key it is a lineage step.
        Topic::SegmentChanges if record.key.is_some() => {
            let value = record.value.as_deref().expect("a change");
            let change: Value = serde_json::from_slice(value).expect("JSON");
            let cause = change["cause"].as_str().expect("a cause");
            add(counts, &format!("changes_total/{cause}"), 1);
        }
        _ => {}
    }
}

/// The current values of the counters.
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
                "changes_total" | "task_commands_total" => {
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
