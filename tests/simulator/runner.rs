//! One seed after the other.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use super::client::LETS_GO;
use super::disk::TAKES_OVER;
use super::scenario::Scenario;
use super::story::Story;
use super::world::{START_MS, World};

/// The environment's names for what to play.
const SEED: &str = "FLOCKWISE_SIMULATOR_SEED";
const SEEDS: &str = "FLOCKWISE_SIMULATOR_SEEDS";

/// In so many worlds everything that is to happen at all has happened.
const MANY: u64 = 100;

/// Plays one seed and says what it came to: the same for the same seed.
///
/// # Panics
/// Where something did not hold, with what happened last and how to play it again.
pub fn run(seed: u64) -> u64 {
    play(seed).digest()
}

fn play(seed: u64) -> Rc<Story> {
    let story = Rc::new(Story::default());
    let scenario = Scenario::draw(seed);
    let shards = scenario.shards;
    let told = format!("{scenario:?}");
    let play = || {
        let world = World::new(scenario, Rc::clone(&story));
        (0..world.scenario.steps).for_each(|_| world.step());
        world.calm_down();
        world.judge();
    };
    if let Err(reason) = catch_unwind(AssertUnwindSafe(play)) {
        let reason = text(&*reason);
        let steps = story.tell(START_MS, |seat| World::name(shards, seat));
        panic!(
            "seed {seed}: {reason}\n{told}\nwhat happened last:\n{steps}\
             seed {seed} failed; play it again with\n  \
             {SEED}={seed} cargo test -p flockwise-tests --test simulator -- replay_one --nocapture"
        );
    }
    story
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
    let (mut totals, mut warm, mut letting_go) = (BTreeMap::new(), 0, 0);
    for seed in seeds.clone() {
        let story = play(seed);
        story.add_to(&mut totals);
        warm += u64::from(story.has(TAKES_OVER));
        letting_go += u64::from(story.has(LETS_GO));
    }
    eprintln!("seeds {seeds:?} hold; in them, so often: {totals:#?}");
    eprintln!("in {warm} of them a standby is taken over, in {letting_go} customers are let go of");
    let count = seeds.end.saturating_sub(seeds.start);
    assert!(count < MANY || warm > 0, "no standby is ever taken over");
    assert!(count < MANY || letting_go > 0, "nobody is ever let go of");
}

/// Plays the seed that the environment names, if it names one.
///
/// # Panics
/// As [`run`].
pub fn replay() {
    if let Ok(seed) = std::env::var(SEED) {
        let seed = number(SEED, &seed);
        let digest = run(seed);
        eprintln!("seed {seed} holds ({digest:016x})");
    }
}

fn number(name: &str, text: &str) -> u64 {
    let number = text.parse();
    number.unwrap_or_else(|_| panic!("{name}: {text} is no number"))
}
