//! What the metrics must say: what was committed by those who heard of it, counted beside the product.

use std::collections::BTreeMap;

use flockwise_runtime::topics::{Source, Topic};
use prometheus::Registry;
use prometheus::proto::{LabelPair, Metric};
use serde_json::Value;

use super::ledger::Sent;
use super::world::World;

/// Counts by the name of a counter, with the value of its label if it has one.
pub(super) type Counts = BTreeMap<String, u64>;

/// Where the records of a partition are, by what should become of them.
#[derive(Debug, Default)]
pub(super) struct Produced {
    events: Vec<i64>,
    tombstones: Vec<i64>,
}

impl Produced {
    /// A record was produced.
    pub(super) fn note(&mut self, offset: i64, is_tombstone: bool) {
        match is_tombstone {
            true => self.tombstones.push(offset),
            false => self.events.push(offset),
        }
    }

    fn count(&self, from: i64, to: i64, counts: &mut Counts) {
        let within = |offsets: &[i64]| {
            let below = |offset| offsets.partition_point(|known| *known < offset);
            (below(to) - below(from)) as u64
        };
        add(counts, "events_total", within(&self.events));
        add(counts, "tombstones_total", within(&self.tombstones));
    }
}

/// Adds to a count; one that is zero is left out.
fn add(counts: &mut Counts, name: &str, count: u64) {
    if count > 0 {
        *counts.entry(name.to_owned()).or_default() += count;
    }
}

impl World {
    /// What a transaction is to count, should it be committed next.
    pub(super) fn counts_of(&self, sent: &[Sent], positions: &[(Source, i64)]) -> Counts {
        let mut counts = Counts::new();
        add(&mut counts, "commits_total", 1);
        for record in sent {
            count_record(record, &mut counts);
        }
        let (ledger, feed) = (self.ledger(), self.feed());
        for (source, position) in positions {
            let Topic::Input(input) = source.topic else {
                continue;
            };
            let before = ledger.positions.get(source).copied().unwrap_or(0);
            if let Some(produced) = feed.produced.get(&(input, source.partition)) {
                produced.count(before, *position, &mut counts);
            }
        }
        counts
    }

    /// The counters say what was committed, and nothing that was taken back or done again.
    pub(super) fn check_counters(&self) {
        let ledger = self.ledger();
        let mut found = gathered(&self.registry);
        let duplicates = found.remove("duplicates_total").unwrap_or(0);
        assert_eq!(found, ledger.heard, "counters, and what was committed");
        let (unheard, repeats) = (ledger.unheard, self.repeats());
        drop(ledger);
        // Who died in the moment of a commit has counted nothing of it, and a customer who was let go of is new.
        if unheard == 0 && !self.scenario.lets_go() {
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
