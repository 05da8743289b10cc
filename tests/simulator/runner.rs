//! Simulates seeds, one after another on each core.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use super::client::EXPIRES;
use super::disk::{MAY_NOT_WRITE, TAKES_OVER};
use super::erasures::ERASES;
use super::faults::{RECREATES, TRUNCATES};
use super::latest_starts::BEGINS_LATE;
use super::rolling_configurations::REFUSED;
use super::scenario::Scenario;
use super::simulation::{START_MS, Simulation};
use super::trace::Trace;

/// Environment variables: one seed to replay, and the seeds of a sweep (a count, or `FROM..TO`).
const SEED: &str = "FLOCKWISE_SIMULATOR_SEED";
const SEEDS: &str = "FLOCKWISE_SIMULATOR_SEEDS";

/// Environment variable: number of threads of a sweep. The default is one per core.
const THREADS: &str = "FLOCKWISE_SIMULATOR_THREADS";

/// Environment variable: if set, a failing seed does not end the sweep.
const KEEP_GOING: &str = "FLOCKWISE_SIMULATOR_KEEP_GOING";

/// Trace events that must occur in a sweep of at least [`MIN_SEEDS_FOR_EVENTS`] seeds.
const EXPECTED_EVENTS: [&str; 8] = [
    BEGINS_LATE,
    ERASES,
    EXPIRES,
    MAY_NOT_WRITE,
    RECREATES,
    REFUSED,
    TAKES_OVER,
    TRUNCATES,
];

/// Number of seeds from which on every one of [`EXPECTED_EVENTS`] must have occurred.
const MIN_SEEDS_FOR_EVENTS: u64 = 1_000;

/// Simulates one seed and returns the digest of its trace, which is always the same for a seed.
///
/// # Panics
/// If a check fails. The message holds the last trace events and the command that replays the seed.
pub fn run(seed: u64) -> u64 {
    play(seed).digest()
}

fn play(seed: u64) -> Rc<Trace> {
    let trace = Rc::new(Trace::default());
    let scenario = Scenario::draw(seed);
    let (shards, traits) = (scenario.shards, scenario.traits());
    let settings = format!("{scenario:?}");
    let play = || {
        let simulation = Simulation::new(scenario, Rc::clone(&trace));
        (0..simulation.scenario.steps).for_each(|_| simulation.step());
        simulation.drain();
        simulation.check_results();
    };
    if let Err(reason) = catch_unwind(AssertUnwindSafe(play)) {
        let reason = text(&*reason);
        let steps = trace.format(START_MS, |slot| Simulation::name(shards, slot));
        panic!(
            "seed {seed}: {reason}\nproperties: {}\n{settings}\nlast trace events:\n{steps}\
             seed {seed} failed; replay it with\n  \
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

/// Simulates this number of seeds from 0 on, or those in `FLOCKWISE_SIMULATOR_SEEDS`: a count or `FROM..TO`.
///
/// # Panics
/// As [`run`], and if an expected trace event never occurs in a large sweep.
pub fn sweep(seeds: u64) {
    let wanted = std::env::var(SEEDS).unwrap_or_else(|_| seeds.to_string());
    let (from, to) = wanted.split_once("..").unwrap_or(("0", &wanted));
    let seeds = number(SEEDS, from)..number(SEEDS, to);
    let next = AtomicU64::new(seeds.start);
    let mut all = SweepStats::default();
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
    all.print();
    let (failed, count) = (&all.failed, seeds.end.saturating_sub(seeds.start));
    assert!(failed.is_empty(), "these seeds fail: {failed:?}");
    assert_eq!(all.seeds, count, "seeds played");
    eprintln!("seeds {seeds:?} hold");
    if count >= MIN_SEEDS_FOR_EVENTS {
        all.check();
    }
}

fn threads() -> u64 {
    let cores = || thread::available_parallelism().map_or(1, |cores| cores.get() as u64);
    std::env::var(THREADS).map_or_else(|_| cores(), |wanted| number(THREADS, &wanted))
}

/// Simulates seeds that no other thread has taken, up to the end or the first one that fails.
fn play_some(next: &AtomicU64, end: u64) -> SweepStats {
    let mut share = SweepStats::default();
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

/// Statistics of the seeds that one thread has simulated.
#[derive(Default)]
struct SweepStats {
    seeds: u64,
    failed: Vec<u64>,
    /// Number of seeds with each property: see [`Scenario::traits`].
    traits: BTreeMap<&'static str, u64>,
    /// For each trace event, the number of seeds in which it occurs and its total number.
    events: BTreeMap<&'static str, [u64; 2]>,
}

impl SweepStats {
    fn add(&mut self, seed: u64, trace: &Trace) {
        self.seeds += 1;
        for name in Scenario::draw(seed).traits() {
            *self.traits.entry(name).or_default() += 1;
        }
        for (what, count) in trace.counts() {
            let [seeds, times] = self.events.entry(what).or_default();
            *seeds += 1;
            *times += count;
        }
    }

    fn merge(&mut self, other: Self) {
        self.seeds += other.seeds;
        self.failed.extend(other.failed);
        for (name, seeds) in other.traits {
            *self.traits.entry(name).or_default() += seeds;
        }
        for (what, [seeds, times]) in other.events {
            let sums = self.events.entry(what).or_default();
            sums[0] += seeds;
            sums[1] += times;
        }
    }

    fn print(&self) {
        let percent = |seeds: u64| seeds as f64 * 100.0 / self.seeds as f64;
        for (name, seeds) in &self.traits {
            eprintln!("{:5.1} % of seeds have {name}", percent(*seeds));
        }
        for (what, [seeds, times]) in &self.events {
            let percent = percent(*seeds);
            eprintln!("{percent:5.1} % of seeds: {what} ({times} times)");
        }
    }

    /// Checks that every expected trace event has occurred.
    fn check(&self) {
        for what in EXPECTED_EVENTS {
            assert!(
                self.events.contains_key(what),
                "no seed has the trace event: {what}"
            );
        }
    }
}

/// Simulates `FLOCKWISE_SIMULATOR_SEED`, if it is set.
///
/// # Panics
/// As [`run`].
pub fn replay() {
    if let Ok(seed) = std::env::var(SEED) {
        let seed = number(SEED, &seed);
        let digest = run(seed);
        let traits = Scenario::draw(seed).traits().join(", ");
        eprintln!("seed {seed} holds ({digest:016x}); properties: {traits}");
    }
}

fn number(name: &str, text: &str) -> u64 {
    let number = text.parse();
    number.unwrap_or_else(|_| panic!("{name}: {text} is not a number"))
}
