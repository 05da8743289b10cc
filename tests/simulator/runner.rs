//! One seed after the other, on each core.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use super::client::LETS_GO;
use super::disk::{MAY_NOT_WRITE, TAKES_OVER};
use super::faults::{RECREATES, TRUNCATES};
use super::latest_starts::BEGINS_LATE;
use super::scenario::Scenario;
use super::setup::REFUSED;
use super::trace::Trace;
use super::world::{START_MS, World};

/// The environment's names for what to play.
const SEED: &str = "FLOCKWISE_SIMULATOR_SEED";
const SEEDS: &str = "FLOCKWISE_SIMULATOR_SEEDS";

/// How many threads play; default: one for each core.
const THREADS: &str = "FLOCKWISE_SIMULATOR_THREADS";

/// Where it is set, a seed that fails does not end a sweep.
const KEEP_GOING: &str = "FLOCKWISE_SIMULATOR_KEEP_GOING";

/// What must happen in some of many worlds.
const HAPPEN: [&str; 7] = [
    BEGINS_LATE,
    LETS_GO,
    MAY_NOT_WRITE,
    RECREATES,
    REFUSED,
    TAKES_OVER,
    TRUNCATES,
];

/// In so many worlds everything that is to happen at all has happened.
const MANY: u64 = 1_000;

/// Plays one seed and says what it came to: the same for the same seed.
///
/// # Panics
/// Where something did not hold, with what happened last and how to play it again.
pub fn run(seed: u64) -> u64 {
    play(seed).digest()
}

fn play(seed: u64) -> Rc<Trace> {
    let trace = Rc::new(Trace::default());
    let scenario = Scenario::draw(seed);
    let (shards, traits) = (scenario.shards, scenario.traits());
    let told = format!("{scenario:?}");
    let play = || {
        let world = World::new(scenario, Rc::clone(&trace));
        (0..world.scenario.steps).for_each(|_| world.step());
        world.calm_down();
        world.judge();
    };
    if let Err(reason) = catch_unwind(AssertUnwindSafe(play)) {
        let reason = text(&*reason);
        let steps = trace.tell(START_MS, |slot| World::name(shards, slot));
        panic!(
            "seed {seed}: {reason}\nin a world with {}\n{told}\nwhat happened last:\n{steps}\
             seed {seed} failed; play it again with\n  \
             {SEED}={seed} cargo test -p flockwise-tests --test simulator -- replay_one --nocapture",
            traits.join(", ")
        );
    }
    trace
}

fn text(reason: &(dyn std::any::Any + Send)) -> String {
    let text = reason.downcast_ref::<String>().cloned();
    text.or_else(|| reason.downcast_ref::<&str>().map(|text| (*text).to_owned()))
        .unwrap_or_else(|| "a panic".to_owned())
}

/// Plays so many seeds from 0 on, or those that the environment says: so many, or `FROM..TO`.
///
/// # Panics
/// As [`run`], and where in many of them something never happens that should.
pub fn sweep(seeds: u64) {
    let wanted = std::env::var(SEEDS).unwrap_or_else(|_| seeds.to_string());
    let (from, to) = wanted.split_once("..").unwrap_or(("0", &wanted));
    let seeds = number(SEEDS, from)..number(SEEDS, to);
    let next = AtomicU64::new(seeds.start);
    let mut all = SeedShare::default();
    thread::scope(|scope| {
        let play_some = || play_some(&next, seeds.end);
        let threads: Vec<_> = (0..threads()).map(|_| scope.spawn(play_some)).collect();
        for thread in threads {
            match thread.join() {
                Ok(share) => all.merge(share),
                Err(reason) => resume_unwind(reason),
            }
        }
    });
    all.tell();
    let (failed, count) = (&all.failed, seeds.end.saturating_sub(seeds.start));
    assert!(failed.is_empty(), "these seeds fail: {failed:?}");
    assert_eq!(all.seeds, count, "seeds played");
    eprintln!("seeds {seeds:?} hold");
    if count >= MANY {
        all.check();
    }
}

fn threads() -> u64 {
    let cores = || thread::available_parallelism().map_or(1, |cores| cores.get() as u64);
    std::env::var(THREADS).map_or_else(|_| cores(), |wanted| number(THREADS, &wanted))
}

/// Plays seeds that no other thread has played, up to the end or the first one that fails.
fn play_some(next: &AtomicU64, end: u64) -> SeedShare {
    let mut share = SeedShare::default();
    let take = || Some(next.fetch_add(1, Ordering::Relaxed)).filter(|seed| *seed < end);
    while let Some(seed) = take() {
        match catch_unwind(|| play(seed)) {
            Ok(trace) => share.add(seed, &trace),
            Err(reason) if std::env::var_os(KEEP_GOING).is_none() => {
                next.store(end, Ordering::Relaxed);
                resume_unwind(reason)
            }
            Err(_) => share.failed.push(seed),
        }
    }
    share
}

/// What many worlds have, and what happens in them.
#[derive(Default)]
struct SeedShare {
    seeds: u64,
    failed: Vec<u64>,
    /// Worlds that have something: see [`Scenario::traits`].
    traits: BTreeMap<&'static str, u64>,
    /// Worlds in which something happens, and how often it does in all.
    happenings: BTreeMap<&'static str, [u64; 2]>,
}

impl SeedShare {
    fn add(&mut self, seed: u64, trace: &Trace) {
        self.seeds += 1;
        for name in Scenario::draw(seed).traits() {
            *self.traits.entry(name).or_default() += 1;
        }
        for (what, count) in trace.counts() {
            let [worlds, times] = self.happenings.entry(what).or_default();
            *worlds += 1;
            *times += count;
        }
    }

    fn merge(&mut self, other: Self) {
        self.seeds += other.seeds;
        self.failed.extend(other.failed);
        for (name, worlds) in other.traits {
            *self.traits.entry(name).or_default() += worlds;
        }
        for (what, [worlds, times]) in other.happenings {
            let sums = self.happenings.entry(what).or_default();
            sums[0] += worlds;
            sums[1] += times;
        }
    }

    fn tell(&self) {
        let percent = |worlds: u64| worlds as f64 * 100.0 / self.seeds as f64;
        for (name, worlds) in &self.traits {
            eprintln!("{:5.1} % of seeds have {name}", percent(*worlds));
        }
        for (what, [worlds, times]) in &self.happenings {
            let percent = percent(*worlds);
            eprintln!("{percent:5.1} % of seeds: {what} ({times} times)");
        }
    }

    /// What is to happen now and then has happened.
    fn check(&self) {
        for what in HAPPEN {
            assert!(self.happenings.contains_key(what), "never: {what}");
        }
    }
}

/// Plays the seed that the environment names, if it names one.
///
/// # Panics
/// As [`run`].
pub fn replay() {
    if let Ok(seed) = std::env::var(SEED) {
        let seed = number(SEED, &seed);
        let digest = run(seed);
        let traits = Scenario::draw(seed).traits().join(", ");
        eprintln!("seed {seed} holds ({digest:016x}), a world with {traits}");
    }
}

fn number(name: &str, text: &str) -> u64 {
    let number = text.parse();
    number.unwrap_or_else(|_| panic!("{name}: {text} is no number"))
}
