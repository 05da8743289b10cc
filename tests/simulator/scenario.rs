//! What a seed decides before the first step: sizes, settings and fault rates.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use flockwise_config::Config;
use flockwise_core::dedup::IdMemory;
use flockwise_core::model::ModelVersion;
use flockwise_core::policy::{DecisionPolicy, LearningPolicy, TimePolicy};
use flockwise_runtime::pipeline::Pipeline;
use flockwise_runtime::store::MAX_CHECKPOINT_AGE;
use flockwise_runtime::topics::Topics;

use super::fault_rates::{FaultRates, rates};
use super::seeded_random::SeededRandom;
use super::variations::Variations;
use crate::scenario_pipeline::{AT_ONCE, config, model, pipeline};

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;

/// How producers assign events to partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keying {
    /// By the customer id, with the pipeline's partitioner.
    Matching,
    /// By the customer id, with another partitioner.
    Other,
    /// At random, except orders and their reversals.
    Scattered,
}

/// Where the model comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Learning {
    /// It is imported and never changes.
    Fixed,
    /// It is imported, and the trainer learns further versions.
    Imported,
    /// The trainer learns the first version after the warm-up.
    WarmUp,
}

/// The settings that a seed draws.
#[derive(Clone, Debug)]
pub(super) struct Scenario {
    pub(super) seed: u64,
    pub(super) instances: usize,
    /// Workers of each instance.
    pub(super) shards: usize,
    pub(super) state_partitions: u32,
    /// Number of partitions of each input: at the start and at the end.
    pub(super) input_partitions: Vec<(u32, u32)>,
    pub(super) keying: Keying,
    /// True if all of a customer's events are in one partition.
    pub(super) is_orderly: bool,
    pub(super) learning: Learning,
    pub(super) decision: DecisionPolicy,
    pub(super) time: TimePolicy,
    pub(super) policy: LearningPolicy,
    pub(super) commit_interval: Duration,
    pub(super) events: u64,
    pub(super) customers: u32,
    pub(super) repeats_percent: u64,
    pub(super) bad_percent: u64,
    /// Number of steps with faults.
    pub(super) steps: u64,
    /// The most that the clock advances in a step, ms.
    pub(super) tick_ms: u64,
    pub(super) session: Duration,
    pub(super) transaction: Duration,
    pub(super) is_static: bool,
    pub(super) idle_percent: u32,
    pub(super) most_records: usize,
    pub(super) rates: FaultRates,
    /// Number of neighbouring tasks on each side of each own task that an instance keeps standbys of.
    pub(super) standbys: usize,
    /// Probability that a step also polls an instance's standbys, percent.
    pub(super) follow_percent: u64,
    /// The lag, in offsets, up to which a worker takes over a standby without comparing it with its checkpoint.
    pub(super) warm_within: i64,
    /// How long a checkpoint or standby is trusted after its last commit. The changelog keeps tombstones for as long.
    pub(super) trusted: Duration,
    /// True if the events have a gap of a year in the middle.
    pub(super) has_gap: bool,
    pub(super) variations: Variations,
}

impl Scenario {
    pub(super) fn draw(seed: u64) -> Self {
        let random = SeededRandom::new(seed);
        let state_partitions = random.scale(1, 6) as u32;
        let learning = random.one_of(&[
            Learning::Fixed,
            Learning::Fixed,
            Learning::Imported,
            Learning::WarmUp,
        ]);
        let keying = random.one_of(&[Keying::Matching, Keying::Other, Keying::Scattered]);
        let input_partitions = input_partitions(&random, state_partitions);
        let is_orderly = keying != Keying::Scattered
            && input_partitions.len() == 1
            && input_partitions.iter().all(|(first, last)| first == last);
        let session = random.ms(3_000, 20_000);
        // If the transaction timeout exceeds the session timeout, a worker that the group has removed in the middle
        // of a commit can still end it.
        let longer = session * u32::from(random.percent(40));
        let mut drawn = Self {
            seed,
            instances: random.between(1, 4) as usize,
            shards: random.between(1, 2) as usize,
            state_partitions,
            input_partitions,
            keying,
            is_orderly,
            learning,
            decision: DecisionPolicy {
                margin: random.one_of(&[0.0, 0.0, 0.1]),
                patience: random.one_of(&[0.0, 0.0, 0.4]),
                dwell: random.one_of(&[1, 1, 2]),
                cooldown_ms: random.one_of(&[0, 0, DAY_MS]),
            },
            time: TimePolicy {
                lateness_ms: random.one_of(&[30 * DAY_MS, HOUR_MS, DAY_MS]),
                max_ahead_ms: Some(36_500 * DAY_MS),
                sweep_ms: (learning != Learning::Fixed || random.percent(40))
                    .then(|| random.one_of(&[HOUR_MS, 6 * HOUR_MS, DAY_MS])),
                remembered_ids: IdMemory {
                    least: if is_orderly {
                        random.one_of(&[256, 16, 2])
                    } else {
                        256
                    },
                    span_ms: random.one_of(&[0, HOUR_MS, 600_000]),
                },
                forget_ms: None,
            },
            policy: LearningPolicy {
                k_min: 2,
                k_max: random.between(2, 3) as usize,
                half_life_ms: 7 * DAY_MS,
                warm_up_customers: random.between(3, 12) as usize,
                warm_up_ms: random.one_of(&[0, 2 * DAY_MS]),
                churn_budget: random.one_of(&[1.0, 1.0, 0.2, 0.0]),
                learn: learning != Learning::Fixed,
                seed: random.number(),
            },
            commit_interval: random.ms(10, 1_000),
            events: random.scale(40, 240),
            customers: random.scale(3, 40) as u32,
            repeats_percent: random.one_of(&[0, 5, 20]),
            bad_percent: random.one_of(&[0, 3]),
            steps: random.scale(100, 600),
            tick_ms: random.one_of(&[10, 100, 1_000]),
            session,
            transaction: longer + random.ms(1_000, 15_000),
            is_static: random.percent(50),
            idle_percent: random.one_of(&[0, 10, 40]),
            most_records: random.scale(1, 60) as usize,
            rates: rates(&random),
            standbys: random.one_of(&[0, 0, 1, 1, 2]),
            follow_percent: random.scale(2, 100),
            warm_within: random.one_of(&[0, 30, 10_000]),
            trusted: MAX_CHECKPOINT_AGE,
            has_gap: false,
            variations: Variations::default(),
        };
        drawn.draw_expiry(&SeededRandom::new(!seed));
        drawn.draw_variations(&SeededRandom::new(seed.rotate_left(32)));
        drawn
    }

    /// In 40 % of the seeds customers expire and return.
    fn draw_expiry(&mut self, random: &SeededRandom) {
        if !random.percent(40) {
            return;
        }
        let forget_ms = random.one_of(&[2, 5, 15]) * DAY_MS;
        let time = &mut self.time;
        time.forget_ms = Some(forget_ms);
        time.lateness_ms = time.lateness_ms.min(forget_ms);
        let sweep_ms = random.one_of(&[HOUR_MS, 6 * HOUR_MS, DAY_MS]);
        time.sweep_ms = time.sweep_ms.or(Some(sweep_ms));
        self.trusted = random.ms(1_000, 100_000);
        self.has_gap = random.percent(50);
        self.rates.compact = self.rates.compact.max(random.one_of(&[0, 30, 100]));
    }

    /// True if customers expire.
    pub(super) fn has_expiry(&self) -> bool {
        self.time.forget_ms.is_some()
    }

    /// True if each customer's changes depend only on that customer's events.
    pub(super) fn is_exact(&self) -> bool {
        self.learning == Learning::Fixed && self.time.sweep_ms.is_none() && self.is_orderly
    }

    /// True if an input gains partitions during the run.
    pub(super) fn grows(&self) -> bool {
        let mut inputs = self.input_partitions.iter();
        inputs.any(|(first, last)| first < last)
    }

    /// True if the dedup memory is so small that a duplicate may be counted.
    pub(super) fn dedup_forgets(&self) -> bool {
        self.time.remembered_ids.least < 256
    }

    /// The pipeline that reads these inputs, in this order.
    pub(super) fn pipeline_of(&self, inputs: &[u16]) -> Pipeline {
        let topics = Topics {
            app: "sim".to_owned(),
            inputs: inputs.iter().map(|input| format!("in{input}")).collect(),
            state_partitions: self.state_partitions,
        };
        let mut pipeline = pipeline(configured(inputs), topics, self.import());
        let task = Arc::make_mut(&mut pipeline.task);
        task.decision = self.decision;
        task.time = self.time;
        task.learning = self.policy;
        pipeline.commit_interval = self.commit_interval;
        pipeline
    }

    pub(super) fn import(&self) -> Option<ModelVersion> {
        (self.learning != Learning::WarmUp).then(model)
    }
}

/// The first input has the format `segment`, the second `native`.
fn configured(inputs: &[u16]) -> &'static Config {
    type Lazy = LazyLock<Config>;
    static FIRST: Lazy = LazyLock::new(|| config(&["segment"], &[AT_ONCE]));
    static SECOND: Lazy = LazyLock::new(|| config(&["native"], &[AT_ONCE]));
    static BOTH: Lazy = LazyLock::new(|| config(&["segment", "native"], &[AT_ONCE]));
    static SWAPPED: Lazy = LazyLock::new(|| config(&["native", "segment"], &[AT_ONCE]));
    match inputs {
        [0] => &FIRST,
        [1] => &SECOND,
        [0, ..] => &BOTH,
        _ => &SWAPPED,
    }
}

fn input_partitions(random: &SeededRandom, state_partitions: u32) -> Vec<(u32, u32)> {
    let inputs = if random.percent(25) { 2 } else { 1 };
    let mut counts = Vec::new();
    for _ in 0..inputs {
        let first = match random.percent(50) {
            true => state_partitions,
            false => random.between(1, 7) as u32,
        };
        let more = match random.percent(25) {
            true => random.between(1, 3) as u32,
            false => 0,
        };
        counts.push((first, first + more));
    }
    counts
}
