//! What only some worlds have, each in a stated share of the seeds.

use super::scenario::{Learning, Scenario};
use super::seeded_random::SeededRandom;

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;
const DAY_MS: i64 = 24 * HOUR_MS;

/// Seeds of a hundred that have it, where nothing else rules it out.
const BACKLOG: u64 = 12;
const MINUTE_SWEEP: u64 = 8;
const CLOCKS: u64 = 25;
const CONTENTION: u64 = 10;
const STALE_METADATA: u64 = 50;
/// Of those with two inputs.
const ROLLED: u64 = 60;
const RECREATED: u64 = 10;
/// Of those where no customers are let go of and no inputs are recreated.
const TRUNCATED: u64 = 18;
/// Of those without a backlog and where nothing is truncated.
const LATEST: u64 = 19;

/// What a world has besides the common.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Variations {
    /// Everything was produced before the first instance starts.
    pub(super) backlog: bool,
    /// The clocks of instances are set, and events from an hour ahead of the clock are refused.
    pub(super) clocks: bool,
    /// Workers stand still while they write a local copy, and others take their place.
    pub(super) contention: bool,
    /// Brokers leave partitions out that an input has gained.
    pub(super) stale_metadata: bool,
    /// Instances start with fewer inputs, with the inputs in another order, and as another pipeline.
    pub(super) rolled: bool,
    /// Inputs are deleted and made again: what was not read of the earlier ones is lost.
    pub(super) recreated: bool,
    /// Input partitions lose their latest records and grow again.
    pub(super) truncated: bool,
    /// There are records before the pipeline first starts, and it begins behind them.
    pub(super) latest: bool,
}

impl Scenario {
    /// Draws what only some worlds have.
    pub(super) fn twist(&mut self, random: &SeededRandom) {
        self.variations.backlog = random.percent(BACKLOG);
        let is_swept_by_the_minute = random.percent(MINUTE_SWEEP);
        if is_swept_by_the_minute && self.time.sweep_ms.is_some() {
            self.time.sweep_ms = Some(MINUTE_MS);
        }
        self.variations.clocks = random.percent(CLOCKS);
        if self.variations.clocks {
            self.rates.jump = random.scale(2, 30);
            self.time.max_ahead_ms = Some(HOUR_MS);
        }
        self.variations.contention = random.percent(CONTENTION);
        if self.variations.contention {
            self.contend(random);
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
        let may_lose = !self.lets_go() && !self.variations.recreated;
        self.variations.truncated = may_lose && random.percent(TRUNCATED);
        if self.variations.truncated {
            self.rates.truncate = random.scale(4, 60);
            // A lost event may have been the latest of its partition: whether one is late then depends on whether
            // the lost one was read.
            self.time.lateness_ms = 100 * DAY_MS;
        }
        let may_begin_late = !self.variations.backlog && !self.variations.truncated;
        self.variations.latest = may_begin_late && random.percent(LATEST);
    }

    /// Time passes fast, so that copies are written often, and workers stand still for long.
    fn contend(&mut self, random: &SeededRandom) {
        self.tick_ms = 1_000;
        self.steps = self.steps.max(400);
        self.idle_percent = self.idle_percent.min(10);
        self.rates.pause = self.rates.pause.max(random.between(60, 200));
    }

    /// What this world has, by names under which [`super::runner::sweep`] counts.
    pub(super) fn traits(&self) -> Vec<&'static str> {
        let variations = self.variations;
        let traits = [
            (self.input_partitions.len() > 1, "two inputs"),
            (self.grows(), "inputs gain partitions"),
            (self.lets_go(), "customers are let go of"),
            (self.has_gap, "a year without events"),
            (self.learning != Learning::Fixed, "the model learns"),
            (self.is_exact(), "changes follow from events alone"),
            (self.standbys > 0, "standbys"),
            (self.time.sweep_ms == Some(MINUTE_MS), "a sweep of a minute"),
            (variations.backlog, "a backlog of months"),
            (variations.clocks, "clocks that jump"),
            (variations.contention, "contention for local copies"),
            (variations.stale_metadata, "brokers with old metadata"),
            (variations.rolled, "configurations rolled in and out"),
            (variations.recreated, "inputs that are recreated"),
            (variations.truncated, "inputs that are truncated"),
            (variations.latest, "a start at the latest record"),
        ];
        let has = traits.iter().filter(|(has, _)| *has);
        has.map(|(_, name)| *name).collect()
    }
}
