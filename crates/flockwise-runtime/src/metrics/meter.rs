//! The counters and gauges of one worker between two exports.

use std::collections::BTreeMap;
use std::mem::take;
use std::time::Duration;

use flockwise_codec::decode::Reason;
use flockwise_core::decide::{Cause, Suppression};
use flockwise_core::feature_inputs::FeatureInputs;
use flockwise_core::lineage::Step;
use flockwise_core::task::{DuplicateBy, TaskCommand};
use flockwise_core::trainer::WarmUp;
use prometheus::IntCounter;

use super::abort_reasons::Abort;
use super::all_metrics::Metrics;
use super::counters::Counters;
use super::gauges::Gauges;
use super::metric_options::set;

/// Changes of segment by cause, segment left and segment reached.
pub type SegmentMoves = BTreeMap<(Cause, Option<u32>, Option<u32>), u64>;

/// The counts of one transaction. A commit adds them to the totals and an abort drops them, so that work that is done
/// again counts once.
#[derive(Debug, Default)]
pub struct Counts {
    /// Events read from the inputs, including rejected ones.
    pub events: u64,
    /// Segment changes to publish, by `Cause as usize`.
    pub changes: [u64; Cause::ALL.len()],
    /// Segment changes in the backfill that are not published.
    pub changes_withheld: u64,
    /// Segment changes suppressed by the decision policy, by `Suppression as usize`.
    pub suppressed_changes: [u64; Suppression::ALL.len()],
    /// Records rejected, by `Reason as usize`.
    pub dead_letters: [u64; Reason::ALL.len()],
    /// Events skipped as duplicates, in the order of [`DuplicateBy::NAMES`].
    pub duplicates: [u64; DuplicateBy::NAMES.len()],
    /// Input records without a value: deletions in a compacted topic, which are not events.
    pub tombstones: u64,
    /// Events forwarded to another task.
    pub forwarded_events: u64,
    /// Commands applied, in the order of [`TaskCommand::NAMES`].
    pub task_commands: [u64; TaskCommand::NAMES.len()],
    /// Scorings by the sweep.
    pub sweep_scorings: u64,
    /// Scorings by the sweep that found an outlier.
    pub sweep_outliers: u64,
    /// Lineage steps, in the order of [`Step::NAMES`].
    pub segment_steps: [u64; Step::NAMES.len()],
    /// Drift alarms.
    pub drift_alarms: u64,
    /// What the features found in the events.
    pub inputs: FeatureInputs,
    /// Published segment changes by cause, from and to.
    pub moves: SegmentMoves,
    /// For each event that a task counted or rejected, but not for a forwarded one: the timestamp of the input record,
    /// milliseconds since the epoch.
    pub received_ms: Vec<i64>,
}

impl Counts {
    /// Adds the counts of another, except moves and timestamps.
    fn merge(&mut self, other: &Self) {
        let merge_one = |total: &mut u64, count: u64| *total += count;
        merge_one(&mut self.events, other.events);
        merge_each(&mut self.changes, &other.changes);
        merge_one(&mut self.changes_withheld, other.changes_withheld);
        merge_each(&mut self.suppressed_changes, &other.suppressed_changes);
        merge_each(&mut self.dead_letters, &other.dead_letters);
        merge_each(&mut self.duplicates, &other.duplicates);
        merge_one(&mut self.tombstones, other.tombstones);
        merge_one(&mut self.forwarded_events, other.forwarded_events);
        merge_each(&mut self.task_commands, &other.task_commands);
        merge_one(&mut self.sweep_scorings, other.sweep_scorings);
        merge_one(&mut self.sweep_outliers, other.sweep_outliers);
        merge_each(&mut self.segment_steps, &other.segment_steps);
        merge_one(&mut self.drift_alarms, other.drift_alarms);
        self.inputs.add(&other.inputs);
    }

    /// Counts a step of the lineage.
    pub fn count_step(&mut self, step: Step) {
        let kind = Step::NAMES.iter().position(|name| *name == step.name());
        self.segment_steps[kind.unwrap_or(0)] += 1;
    }

    fn add_to(&mut self, counters: &Counters) {
        add(&counters.events, &mut self.events);
        add_each(&counters.changes, &mut self.changes);
        add(&counters.changes_withheld, &mut self.changes_withheld);
        add_each(&counters.suppressed_changes, &mut self.suppressed_changes);
        add_each(&counters.dead_letters, &mut self.dead_letters);
        add_each(&counters.duplicates, &mut self.duplicates);
        add(&counters.tombstones, &mut self.tombstones);
        add(&counters.forwarded_events, &mut self.forwarded_events);
        add_each(&counters.task_commands, &mut self.task_commands);
        add(&counters.sweep_scorings, &mut self.sweep_scorings);
        add(&counters.sweep_outliers, &mut self.sweep_outliers);
        add_each(&counters.segment_steps, &mut self.segment_steps);
        add(&counters.drift_alarms, &mut self.drift_alarms);
    }
}

/// The meter of one worker: counters since the last export, and current gauges.
#[derive(Debug, Default)]
pub struct WorkerMeter {
    /// Transactions committed.
    pub commits: u64,
    /// Transactions aborted, by `Abort as usize`.
    pub aborts: [u64; Abort::ALL.len()],
    /// Tasks taken over from a standby.
    pub standby_takeovers: u64,
    /// Rebalance notifications received: assignments, revocations and losses.
    pub rebalances: u64,
    /// Changelog records read to restore tasks.
    pub restored_records: u64,
    /// For each event, the time from the timestamp of its record to the commit.
    pub end_to_end: Vec<Duration>,
    /// Duration of each commit.
    pub commit: Vec<Duration>,
    /// Customers in the worker's tasks.
    pub customers: u64,
    /// Memory that the tasks' state takes, bytes.
    pub state_bytes: u64,
    /// Halted partitions.
    pub halted: u64,
    /// Input partitions whose next record has a schema that is not known.
    pub awaiting_schema: u64,
    /// Event time from the earliest next event to the latest processed event of the input partitions, milliseconds.
    pub skew_ms: i64,
    /// Version of the model in use; 0: none.
    pub model_version: u64,
    /// Segments of the model in use.
    pub segments: u64,
    /// Version that is held for approval; 0: none.
    pub held_version: u64,
    /// Share of all customers that the latest version moves, or would move if approved; from 0 to 1.
    pub moved_share: f64,
    /// Tasks that run.
    pub tasks_running: u64,
    /// Tasks that have not read all events from before the pipeline's first start.
    pub tasks_behind: u64,
    /// Progress of warm-up; all 0 without warm-up, and on workers that do not host the trainer.
    pub warm_up: WarmUp,
    /// Tasks that are being restored.
    pub tasks_restoring: u64,
    committed: Counts,
    moves: SegmentMoves,
    inputs: FeatureInputs,
    duplicates: [u64; DuplicateBy::NAMES.len()],
    worker: String,
    /// Names of the features.
    features: Vec<String>,
}

impl WorkerMeter {
    /// A meter at zero for the worker with this number, in a pipeline with these features.
    #[must_use]
    pub fn new<'a>(worker: usize, features: impl Iterator<Item = &'a str>) -> Self {
        Self {
            worker: worker.to_string(),
            features: features.map(str::to_owned).collect(),
            ..Self::default()
        }
    }

    /// Adds the counts of a transaction that has committed, and sets them to zero. `now_ms` is the time of the commit;
    /// `None` in a replay, which has no latencies.
    pub fn commit(&mut self, counts: &mut Counts, now_ms: Option<i64>) {
        let committed = take(counts);
        if let Some(now_ms) = now_ms {
            let since = |ms: &i64| Duration::from_millis(now_ms.saturating_sub(*ms).max(0) as u64);
            self.end_to_end
                .extend(committed.received_ms.iter().map(since));
        }
        for (step, count) in &committed.moves {
            *self.moves.entry(*step).or_default() += count;
        }
        self.inputs.add(&committed.inputs);
        merge_each(&mut self.duplicates, &committed.duplicates);
        self.committed.merge(&committed);
        // The next transaction uses its allocation.
        counts.received_ms = committed.received_ms;
        counts.received_ms.clear();
    }

    /// Counts of work outside transactions. An abort does not drop them.
    pub fn beside_transactions(&mut self) -> &mut Counts {
        &mut self.committed
    }

    /// How customers moved since the worker started, as committed.
    #[must_use]
    pub fn moves(&self) -> &SegmentMoves {
        &self.moves
    }

    /// What the features have found since the worker started, as committed.
    #[must_use]
    pub fn inputs(&self) -> &FeatureInputs {
        &self.inputs
    }

    /// Events that were skipped as duplicates since the worker started, as committed.
    #[must_use]
    pub fn duplicates(&self) -> [u64; DuplicateBy::NAMES.len()] {
        self.duplicates
    }

    /// Adds the counters to the metrics, resets them to zero, and sets the gauges.
    pub fn export(&mut self, metrics: &Metrics) {
        self.add_to(&metrics.counters);
        self.set_gauges(&metrics.gauges);
        metrics.end_to_end_latency.record(self.end_to_end.drain(..));
        metrics.commit_latency.record(self.commit.drain(..));
    }

    fn add_to(&mut self, counters: &Counters) {
        self.committed.add_to(counters);
        let inputs = take(&mut self.committed.inputs);
        for (feature, counts) in self.features.iter().zip(inputs.counts()) {
            counters.add_input(feature, counts);
        }
        add(&counters.commits, &mut self.commits);
        add_each(&counters.aborts, &mut self.aborts);
        add(&counters.standby_takeovers, &mut self.standby_takeovers);
        add(&counters.rebalances, &mut self.rebalances);
        add(&counters.restored_records, &mut self.restored_records);
    }

    fn set_gauges(&self, gauges: &Gauges) {
        let worker = self.worker.as_str();
        set(&gauges.customers, &[worker], self.customers);
        set(&gauges.state_bytes, &[worker], self.state_bytes);
        set(&gauges.halted, &[worker], self.halted);
        set(&gauges.awaiting_schema, &[worker], self.awaiting_schema);
        let skew_seconds = self.skew_ms as f64 / 1000.0;
        gauges.skew.with_label_values(&[worker]).set(skew_seconds);
        set(&gauges.model_version, &[worker], self.model_version);
        set(&gauges.segments, &[worker], self.segments);
        set(&gauges.held_version, &[worker], self.held_version);
        let moved = gauges.moved_share.with_label_values(&[worker]);
        moved.set(self.moved_share);
        set(&gauges.tasks_behind, &[worker], self.tasks_behind);
        let (seconds, warm_up) = (|ms: i64| (ms / 1000) as u64, &self.warm_up);
        set(
            &gauges.warm_up_customers,
            &[worker],
            warm_up.customers as u64,
        );
        set(
            &gauges.warm_up_customers_wanted,
            &[worker],
            warm_up.customers_wanted as u64,
        );
        set(&gauges.warm_up_span, &[worker], seconds(warm_up.span_ms));
        set(
            &gauges.warm_up_span_wanted,
            &[worker],
            seconds(warm_up.span_wanted_ms),
        );
        set(&gauges.tasks, &[worker, "running"], self.tasks_running);
        set(&gauges.tasks, &[worker, "restoring"], self.tasks_restoring);
    }
}

fn add(counter: &IntCounter, count: &mut u64) {
    counter.inc_by(take(count));
}

fn add_each<const N: usize>(counters: &[IntCounter; N], counts: &mut [u64; N]) {
    for (counter, count) in counters.iter().zip(counts) {
        add(counter, count);
    }
}

fn merge_each<const N: usize>(totals: &mut [u64; N], counts: &[u64; N]) {
    for (total, count) in totals.iter_mut().zip(counts) {
        *total += count;
    }
}
