//! Variations that only some seeds have, each with a stated probability.

use super::scenario::{Learning, Scenario};
use super::seeded_random::SeededRandom;

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;
const DAY_MS: i64 = 24 * HOUR_MS;

/// Probability of each variation, percent, if no other setting excludes it.
const BACKLOG: u64 = 12;
const MINUTE_SWEEP: u64 = 8;
const CLOCKS: u64 = 25;
const CONTENTION: u64 = 10;
const STALE_METADATA: u64 = 50;
/// Of the seeds with two inputs.
const ROLLED: u64 = 60;
const RECREATED: u64 = 10;
/// Of the seeds without expiry and without recreated inputs.
const TRUNCATED: u64 = 18;
/// Of the seeds without a backlog and without truncation.
const LATEST: u64 = 19;
/// Of the seeds in which changes do not follow from events alone, and no input is recreated.
const ERASED: u64 = 30;

/// The variations of a seed.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Variations {
    /// All records are produced before the first instance starts.
    pub(super) backlog: bool,
    /// Faults set the clocks of instances, and events more than an hour ahead of the clock are rejected.
    pub(super) clocks: bool,
    /// Workers pause while they write a checkpoint, and others replace them.
    pub(super) contention: bool,
    /// Brokers with outdated metadata do not list partitions that an input has gained.
    pub(super) stale_metadata: bool,
    /// Instances start with fewer inputs, with the inputs in another order, or with another partitioner.
    pub(super) rolled: bool,
    /// Inputs are deleted and recreated. Records that were not read before are lost.
    pub(super) recreated: bool,
    /// Input partitions lose their latest records and then grow again.
    pub(super) truncated: bool,
    /// Records exist before the pipeline first starts, and it starts after them.
    pub(super) latest: bool,
    /// Commands erase customers.
    pub(super) erased: bool,
}

impl Scenario {
    /// Draws the variations.
    pub(super) fn draw_variations(&mut self, random: &SeededRandom) {
        self.variations.backlog = random.percent(BACKLOG);
        let is_swept_by_the_minute = random.percent(MINUTE_SWEEP);
        if is_swept_by_the_minute && self.time.sweep_ms.is_some() {
            self.time.sweep_ms = Some(MINUTE_MS);
        }
        self.variations.clocks = random.percent(CLOCKS);
        if self.variations.clocks {
            self.rates.set_clock = random.scale(2, 30);
            self.time.max_ahead_ms = Some(HOUR_MS);
        }
        self.variations.contention = random.percent(CONTENTION);
        if self.variations.contention {
            self.draw_contention(random);
        }
        self.variations.rolled = self.input_partitions.len() > 1 && random.percent(ROLLED);
        if self.variations.rolled {
            self.rates.leave = self.rates.leave.max(random.between(10, 40));
        }
        self.variations.stale_metadata = self.grows() && random.percent(STALE_METADATA);
        self.variations.recreated = random.percent(RECREATED);
        if self.variations.recreated {
            self.rates.recreate = random.scale(2, 20);
        }
        let may_lose = !self.has_expiry() && !self.variations.recreated;
        self.variations.truncated = may_lose && random.percent(TRUNCATED);
        if self.variations.truncated {
            self.rates.truncate = random.scale(4, 60);
            // A lost event may have been the latest of its partition. Whether another is late would then depend on
            // whether the lost one was read.
            self.time.lateness_ms = 100 * DAY_MS;
        }
        let may_begin_late = !self.variations.backlog && !self.variations.truncated;
        self.variations.latest = may_begin_late && random.percent(LATEST);
        // Workers may still hold records of an input that was recreated.
        let may_erase = !self.is_exact() && !self.variations.recreated;
        self.variations.erased = may_erase && random.percent(ERASED);
    }

    /// Makes time pass fast, so that checkpoints are written often, and makes workers pause more often.
    fn draw_contention(&mut self, random: &SeededRandom) {
        self.tick_ms = 1_000;
        self.steps = self.steps.max(400);
        self.idle_percent = self.idle_percent.min(10);
        self.rates.pause = self.rates.pause.max(random.between(60, 200));
    }

    /// Names of the properties that this seed has. [`super::runner::sweep`] counts them.
    pub(super) fn traits(&self) -> Vec<&'static str> {
        let variations = self.variations;
        let traits = [
            (self.input_partitions.len() > 1, "two inputs"),
            (self.grows(), "inputs gain partitions"),
            (self.has_expiry(), "customers expire"),
            (self.has_gap, "a year without events"),
            (self.learning != Learning::Fixed, "the model learns"),
            (self.is_exact(), "changes follow from events alone"),
            (self.standbys > 0, "standbys"),
            (self.time.sweep_ms == Some(MINUTE_MS), "a sweep of a minute"),
            (variations.backlog, "a backlog of months"),
            (variations.clocks, "clocks that jump"),
            (variations.contention, "contention for checkpoints"),
            (variations.stale_metadata, "brokers with old metadata"),
            (variations.rolled, "configurations rolled in and out"),
            (variations.recreated, "inputs that are recreated"),
            (variations.truncated, "inputs that are truncated"),
            (variations.latest, "a start at the latest record"),
            (variations.erased, "customers erased on command"),
        ];
        let has = traits.iter().filter(|(has, _)| *has);
        has.map(|(_, name)| *name).collect()
    }
}
