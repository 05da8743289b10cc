//! What a seed stands for: the sizes, the settings, and what may go wrong how often.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use flockwise_config::Config;
use flockwise_core::model::ModelParts;
use flockwise_core::policy::{DecisionPolicy, LearningPolicy, TimePolicy};
use flockwise_runtime::pipeline::Pipeline;
use flockwise_runtime::store::MAX_COPY_AGE;
use flockwise_runtime::topics::Topics;

use super::dice::Dice;
use super::rates::{Rates, rates};
use super::twists::Twists;
use crate::pipeline::{AT_ONCE, config, model, pipeline};

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;

/// How producers spread events over partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keying {
    /// As the pipeline does.
    Well,
    /// By the customer, but otherwise.
    Otherwise,
    /// Anyhow, but for orders and what takes them back.
    Scattered,
}

/// Where the model comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Learning {
    /// It is imported and stays.
    Fixed,
    /// It is imported and goes on learning.
    Imported,
    /// It is learnt from a warm-up.
    Learnt,
}

/// One seed's world before anything happens in it.
#[derive(Clone, Debug)]
pub(super) struct Scenario {
    pub(super) seed: u64,
    pub(super) instances: usize,
    /// Of each instance.
    pub(super) shards: usize,
    pub(super) state_partitions: u32,
    /// Of each input, first and in the end.
    pub(super) input_partitions: Vec<(u32, u32)>,
    pub(super) keying: Keying,
    /// All of a customer's events are in one partition.
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
    /// Steps in which things go wrong.
    pub(super) steps: u64,
    /// How far the clock moves in a step, at most.
    pub(super) tick_ms: u64,
    pub(super) session: Duration,
    pub(super) transaction: Duration,
    pub(super) is_static: bool,
    pub(super) idle_percent: u32,
    pub(super) most_records: usize,
    pub(super) rates: Rates,
    /// Tasks on either side that each instance keeps warm, for each of its own.
    pub(super) standbys: usize,
    /// Of a hundred steps, so many are also ones of an instance's standbys.
    pub(super) follow_percent: u64,
    /// What an instance takes over without a look at its disk is no further behind than this.
    pub(super) warm_within: i64,
    /// What is kept of a task elsewhere than in its changelog is trusted for so long, and the changelog keeps
    /// tombstones for so long.
    pub(super) trusted: Duration,
    /// In the middle nothing happens for a year.
    pub(super) has_gap: bool,
    pub(super) twists: Twists,
}

impl Scenario {
    pub(super) fn draw(seed: u64) -> Self {
        let dice = Dice::new(seed);
        let state_partitions = dice.scale(1, 6) as u32;
        let learning = dice.one_of(&[
            Learning::Fixed,
            Learning::Fixed,
            Learning::Imported,
            Learning::Learnt,
        ]);
        let keying = dice.one_of(&[Keying::Well, Keying::Otherwise, Keying::Scattered]);
        let input_partitions = input_partitions(&dice, state_partitions);
        let is_orderly = keying != Keying::Scattered
            && input_partitions.len() == 1
            && input_partitions.iter().all(|(first, last)| first == last);
        let session = dice.ms(3_000, 20_000);
        // Where it is the longer one, whoever is left behind amid a commit may end it all the same.
        let longer = session * u32::from(dice.percent(40));
        let mut drawn = Self {
            seed,
            instances: dice.between(1, 4) as usize,
            shards: dice.between(1, 2) as usize,
            state_partitions,
            input_partitions,
            keying,
            is_orderly,
            learning,
            decision: DecisionPolicy {
                margin: dice.one_of(&[0.0, 0.0, 0.1]),
                patience: dice.one_of(&[0.0, 0.0, 0.4]),
                dwell: dice.one_of(&[1, 1, 2]),
                cooldown_ms: dice.one_of(&[0, 0, DAY_MS]),
            },
            time: TimePolicy {
                lateness_ms: dice.one_of(&[30 * DAY_MS, HOUR_MS, DAY_MS]),
                max_ahead_ms: Some(36_500 * DAY_MS),
                sweep_ms: (learning != Learning::Fixed || dice.percent(40))
                    .then(|| dice.one_of(&[HOUR_MS, 6 * HOUR_MS, DAY_MS])),
                remembered_ids: if is_orderly {
                    dice.one_of(&[256, 16, 2])
                } else {
                    256
                },
                forget_ms: None,
            },
            policy: LearningPolicy {
                k_min: 2,
                k_max: dice.between(2, 3) as usize,
                half_life_ms: 7 * DAY_MS,
                warm_up_customers: dice.between(3, 12) as usize,
                warm_up_ms: dice.one_of(&[0, 2 * DAY_MS]),
                churn_budget: dice.one_of(&[1.0, 1.0, 0.2, 0.0]),
                learn: learning != Learning::Fixed,
                seed: dice.number(),
            },
            commit_interval: dice.ms(10, 1_000),
            events: dice.scale(40, 240),
            customers: dice.scale(3, 40) as u32,
            repeats_percent: dice.one_of(&[0, 5, 20]),
            bad_percent: dice.one_of(&[0, 3]),
            steps: dice.scale(100, 600),
            tick_ms: dice.one_of(&[10, 100, 1_000]),
            session,
            transaction: longer + dice.ms(1_000, 15_000),
            is_static: dice.percent(50),
            idle_percent: dice.one_of(&[0, 10, 40]),
            most_records: dice.scale(1, 60) as usize,
            rates: rates(&dice),
            standbys: dice.one_of(&[0, 0, 1, 1, 2]),
            follow_percent: dice.scale(2, 100),
            warm_within: dice.one_of(&[0, 30, 10_000]),
            trusted: MAX_COPY_AGE,
            has_gap: false,
            twists: Twists::default(),
        };
        drawn.let_some_go(&Dice::new(!seed));
        drawn.twist(&Dice::new(seed.rotate_left(32)));
        drawn
    }

    /// In a share of the worlds customers are let go of, and come back.
    fn let_some_go(&mut self, dice: &Dice) {
        if !dice.percent(40) {
            return;
        }
        let forget_ms = dice.one_of(&[2, 5, 15]) * DAY_MS;
        let time = &mut self.time;
        time.forget_ms = Some(forget_ms);
        time.lateness_ms = time.lateness_ms.min(forget_ms);
        let sweep_ms = dice.one_of(&[HOUR_MS, 6 * HOUR_MS, DAY_MS]);
        time.sweep_ms = time.sweep_ms.or(Some(sweep_ms));
        self.trusted = dice.ms(1_000, 100_000);
        self.has_gap = dice.percent(50);
        self.rates.compact = self.rates.compact.max(dice.one_of(&[0, 30, 100]));
    }

    /// Is anybody ever let go of?
    pub(super) fn lets_go(&self) -> bool {
        self.time.forget_ms.is_some()
    }

    /// Do the changes follow from each customer's events alone?
    pub(super) fn is_exact(&self) -> bool {
        self.learning == Learning::Fixed && self.time.sweep_ms.is_none() && self.is_orderly
    }

    /// Does an input gain partitions on the way?
    pub(super) fn grows(&self) -> bool {
        let mut inputs = self.input_partitions.iter();
        inputs.any(|(first, last)| first < last)
    }

    /// May an event be left out that was seen before?
    pub(super) fn forgets(&self) -> bool {
        self.time.remembered_ids < 256
    }

    /// A pipeline that reads some of the inputs, in this order.
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

    pub(super) fn import(&self) -> Option<ModelParts> {
        (self.learning != Learning::Learnt).then(model)
    }
}

/// The first input is in the one format, the second in the other.
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

fn input_partitions(dice: &Dice, state_partitions: u32) -> Vec<(u32, u32)> {
    let inputs = if dice.percent(25) { 2 } else { 1 };
    let mut counts = Vec::new();
    for _ in 0..inputs {
        let first = match dice.percent(50) {
            true => state_partitions,
            false => dice.between(1, 7) as u32,
        };
        let more = match dice.percent(25) {
            true => dice.between(1, 3) as u32,
            false => 0,
        };
        counts.push((first, first + more));
    }
    counts
}
