//! The counters, which all workers share.

use flockwise_codec::decode::Reason;
use flockwise_core::decide::{Cause, Suppression};
use flockwise_core::feature_inputs::InputCounts;
use flockwise_core::lineage::Step;
use flockwise_core::task::{DuplicateBy, TaskCommand};
use prometheus::{CounterVec, IntCounter, IntCounterVec};

use super::abort_reasons::{Abort, Restart};
use super::metric_options::options;
use super::registrar::Registrar;

#[derive(Clone, Debug)]
pub(super) struct Counters {
    pub(super) events: IntCounter,
    pub(super) changes: [IntCounter; Cause::ALL.len()],
    pub(super) changes_withheld: IntCounter,
    pub(super) suppressed_changes: [IntCounter; Suppression::ALL.len()],
    pub(super) dead_letters: [IntCounter; Reason::ALL.len()],
    pub(super) duplicates: [IntCounter; DuplicateBy::NAMES.len()],
    pub(super) tombstones: IntCounter,
    pub(super) forwarded_events: IntCounter,
    pub(super) task_commands: [IntCounter; TaskCommand::NAMES.len()],
    pub(super) commits: IntCounter,
    pub(super) aborts: [IntCounter; Abort::ALL.len()],
    pub(super) restarts: [IntCounter; Restart::ALL.len()],
    pub(super) rebalances: IntCounter,
    pub(super) restored_records: IntCounter,
    pub(super) sweep_scorings: IntCounter,
    pub(super) sweep_outliers: IntCounter,
    pub(super) standby_takeovers: IntCounter,
    pub(super) segment_steps: [IntCounter; Step::NAMES.len()],
    pub(super) drift_alarms: IntCounter,
    pub(super) held_back: CounterVec,
    pub(super) feature_events: IntCounterVec,
    pub(super) feature_values: IntCounterVec,
}

impl Counters {
    /// Adds what a feature found.
    pub(super) fn add_input(&self, feature: &str, counts: &InputCounts) {
        if counts.events == 0 {
            return;
        }
        let events = self.feature_events.with_label_values(&[feature]);
        events.inc_by(counts.events);
        for (kind, count) in InputCounts::KINDS.iter().zip(counts.values()) {
            if count > 0 {
                let values = self.feature_values.with_label_values(&[feature, kind]);
                values.inc_by(count);
            }
        }
    }

    pub(super) fn register(registrar: &Registrar<'_>) -> prometheus::Result<Self> {
        let one = |name, help| registrar.counter(name, help);
        let held_back = options(
            "alignment_wait_seconds_total",
            "Time for which events of other partitions were held back to wait for this partition.",
        );
        let feature_events = options(
            "feature_events_total",
            "Events that matched the feature's event names and conditions.",
        );
        let feature_values = options(
            "feature_values_total",
            "Values at the feature's pointer, by kind; `used` are numbers, also as text.",
        );
        Ok(Self {
            feature_events: registrar.keep(IntCounterVec::new(feature_events, &["feature"])?)?,
            feature_values: registrar
                .keep(IntCounterVec::new(feature_values, &["feature", "kind"])?)?,
            held_back: registrar.keep(CounterVec::new(held_back, &["topic", "partition"])?)?,
            events: one(
                "events_total",
                "Events read from the inputs, including those that became dead letters.",
            )?,
            changes: registrar.counters(
                ("changes_total", "Segment changes published."),
                ("cause", Cause::ALL.map(Cause::name)),
            )?,
            changes_withheld: one(
                "changes_withheld_total",
                "Segment changes from before the pipeline's first start, which were not published.",
            )?,
            suppressed_changes: registrar.counters(
                (
                    "suppressed_changes_total",
                    "Segment changes suppressed by the decision policy.",
                ),
                ("reason", Suppression::ALL.map(Suppression::name)),
            )?,
            dead_letters: registrar.counters(
                (
                    "dead_letters_total",
                    "Records rejected and written to the dead-letter topic.",
                ),
                ("reason", Reason::ALL.map(Reason::name)),
            )?,
            duplicates: registrar.counters(
                (
                    "duplicates_total",
                    "Events skipped, because their event id or order id was seen before.",
                ),
                ("by", DuplicateBy::NAMES),
            )?,
            tombstones: one(
                "tombstones_total",
                "Input records skipped because they have no value (deletions in a compacted \
                 topic).",
            )?,
            forwarded_events: one(
                "forwarded_events_total",
                "Events forwarded to the task that owns their customer.",
            )?,
            task_commands: registrar.counters(
                ("task_commands_total", "Commands that tasks have applied."),
                ("command", TaskCommand::NAMES),
            )?,
            commits: one("commits_total", "Transactions committed.")?,
            aborts: registrar.counters(
                ("aborts_total", "Transactions aborted."),
                ("reason", Abort::ALL.map(Abort::name)),
            )?,
            restarts: registrar.counters(
                ("worker_restarts_total", "Worker restarts with new clients."),
                ("reason", Restart::ALL.map(Restart::name)),
            )?,
            rebalances: one(
                "rebalances_total",
                "Rebalance notifications (partitions assigned, revoked or lost) received by the \
                 workers.",
            )?,
            restored_records: one(
                "restored_records_total",
                "Changelog records read to restore tasks.",
            )?,
            sweep_scorings: one(
                "sweep_scorings_total",
                "Scorings of customers by the sweep.",
            )?,
            sweep_outliers: one(
                "sweep_outliers_total",
                "Scorings by the sweep that found the customer to be an outlier.",
            )?,
            standby_takeovers: one(
                "standby_takeovers_total",
                "Tasks taken over from a standby.",
            )?,
            segment_steps: registrar.counters(
                (
                    "segment_steps_total",
                    "Lineage steps: segments born, split, merged or retired.",
                ),
                ("step", Step::NAMES),
            )?,
            drift_alarms: one(
                "drift_alarms_total",
                "Drift alarms of features and of the quantisation error.",
            )?,
        })
    }
}
