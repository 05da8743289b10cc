//! Made-up streams whose groups are known: what happens to them happens at a known point.

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Dimensions of a point.
pub(crate) const DIMENSIONS: usize = 16;
/// Points of a stream.
pub(crate) const LENGTH: usize = 60_000;
/// Points of a mini-batch: what changes slowly does so in steps of one.
pub(crate) const BATCH: usize = 250;
/// Where it happens.
pub(crate) const EVENT: usize = 20_000;
/// Where a slow change ends.
const SETTLED: usize = 40_000;
/// Until here the first model finds its feet, and from there on the last one stands.
const STILL: (usize, usize) = (10_000, 50_000);

/// What happens to the groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Story {
    /// Nothing.
    Stationary,
    /// Every group moves by one standard deviation at once.
    Shift,
    /// Every group moves by eight, slowly.
    Drift,
    /// A new group comes.
    Birth,
    /// A group goes.
    Death,
    /// A group becomes two.
    Split,
    /// Two groups become one, slowly.
    Merge,
    /// A quarter of the groups goes, as many others come.
    Turnover,
}

impl Story {
    /// How it is called in tables.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Stationary => "stationary",
            Self::Shift => "shift of 1 sd",
            Self::Drift => "drift of 8 sd",
            Self::Birth => "birth",
            Self::Death => "death",
            Self::Split => "split",
            Self::Merge => "merge",
            Self::Turnover => "turnover",
        }
    }

    /// Where there is something to recover from: two groups on their way to be one are told apart by nobody.
    pub(crate) fn begins(self) -> usize {
        match self {
            Self::Merge => SETTLED,
            _ => EVENT,
        }
    }

    /// Does nothing happen, and has nothing for a while, between two points?
    pub(crate) fn is_still(self, from: usize, to: usize) -> bool {
        let is_before = to <= EVENT || self == Self::Stationary;
        from >= STILL.1 || (from >= STILL.0 && is_before)
    }

    /// Groups whose segments' ids a group of the end may carry: itself, or what it has come from.
    pub(crate) fn ancestors(self, group: usize, k: usize) -> Vec<usize> {
        match self {
            Self::Split if group == k => vec![0],
            Self::Merge if group == 1 => vec![0, 1],
            _ => vec![group],
        }
    }
}

#[derive(Clone, Debug)]
struct Group {
    centre: Vec<f64>,
    deviation: f64,
    size: f64,
    label: usize,
}

/// A stream from a seed.
#[derive(Clone)]
pub(crate) struct Stream {
    story: Story,
    groups: Vec<Group>,
    now: Vec<Group>,
    directions: Vec<Vec<f64>>,
    random: ChaCha8Rng,
    at: usize,
    k: usize,
}

impl Stream {
    pub(crate) fn new(story: Story, k: usize, seed: u64) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let groups = (0..k + k.div_ceil(4))
            .map(|label| group(label, &mut random))
            .collect::<Vec<_>>();
        let directions = groups.iter().map(|_| unit(&mut random)).collect();
        Self {
            story,
            now: groups[..k].to_vec(),
            groups,
            directions,
            random,
            at: 0,
            k,
        }
    }

    /// Groups there are at the end.
    pub(crate) fn last_k(&self) -> usize {
        match self.story {
            Story::Birth | Story::Split => self.k + 1,
            Story::Death | Story::Merge => self.k - 1,
            _ => self.k,
        }
    }

    /// The next points, with their groups.
    pub(crate) fn draw_batch(&mut self) -> Vec<(Vec<f64>, usize)> {
        self.now = self.now();
        self.at += BATCH;
        self.draw(BATCH)
    }

    /// Points as they are now, beside the stream.
    pub(crate) fn probe(&self, count: usize) -> Vec<(Vec<f64>, usize)> {
        let mut probe = self.clone();
        probe.random = ChaCha8Rng::seed_from_u64(self.at as u64);
        probe.draw(count)
    }

    fn draw(&mut self, count: usize) -> Vec<(Vec<f64>, usize)> {
        let random = &mut self.random;
        let total: f64 = self.now.iter().map(|group| group.size).sum();
        let mut point = || {
            let group = pick(&self.now, random.random::<f64>() * total);
            let centre = group.centre.iter();
            let point = centre.map(|x| x + group.deviation * normal(random));
            (point.collect(), group.label)
        };
        (0..count).map(|_| point()).collect()
    }

    /// Groups as they are at this point.
    fn now(&self) -> Vec<Group> {
        let (k, has_happened) = (self.k, self.at >= EVENT);
        let progress = (self.at as f64 - EVENT as f64) / (SETTLED - EVENT) as f64;
        let progress = progress.clamp(0.0, 1.0);
        let mut now = self.groups[..k].to_vec();
        match self.story {
            Story::Stationary => {}
            Story::Drift => self.moved(&mut now, 8.0 * progress),
            Story::Merge => merge(&mut now, progress),
            _ if !has_happened => {}
            Story::Shift => self.moved(&mut now, 1.0),
            Story::Birth => now.push(self.groups[k].clone()),
            Story::Death => drop(now.remove(0)),
            Story::Split => split(&mut now, &self.directions[0]),
            Story::Turnover => {
                let changed = k.div_ceil(4);
                now.drain(..changed);
                now.extend_from_slice(&self.groups[k..k + changed]);
            }
        }
        now
    }

    fn moved(&self, now: &mut [Group], deviations: f64) {
        for (group, direction) in now.iter_mut().zip(&self.directions) {
            for (x, part) in group.centre.iter_mut().zip(direction) {
                *x += deviations * group.deviation * part;
            }
        }
    }
}

/// The first group goes to the second.
fn merge(now: &mut [Group], progress: f64) {
    let target = now[1].centre.clone();
    for (x, to) in now[0].centre.iter_mut().zip(target) {
        *x += (to - *x) * progress;
    }
    if progress >= 1.0 {
        now[0].label = now[1].label;
    }
}

/// The first group becomes two halves, ten standard deviations apart.
fn split(now: &mut Vec<Group>, direction: &[f64]) {
    let mut other = now[0].clone();
    other.label = now.len();
    for (group, side) in [(&mut now[0], -5.0), (&mut other, 5.0)] {
        group.size /= 2.0;
        for (x, part) in group.centre.iter_mut().zip(direction) {
            *x += side * group.deviation * part;
        }
    }
    now.push(other);
}

/// The group at a place along the sizes of all.
fn pick(groups: &[Group], mut place: f64) -> &Group {
    let found = groups.iter().find(|group| {
        place -= group.size;
        place < 0.0
    });
    found.unwrap_or(&groups[groups.len() - 1])
}

fn group(label: usize, random: &mut impl Rng) -> Group {
    Group {
        centre: (0..DIMENSIONS).map(|_| 4.0 * normal(random)).collect(),
        deviation: 0.5 + random.random::<f64>(),
        size: 0.5 + 1.5 * random.random::<f64>(),
        label,
    }
}

fn unit(random: &mut impl Rng) -> Vec<f64> {
    let direction: Vec<f64> = (0..DIMENSIONS).map(|_| normal(random)).collect();
    let length = direction.iter().map(|x| x * x).sum::<f64>().sqrt();
    direction.iter().map(|x| x / length).collect()
}

/// A standard normal number (Box and Muller 1958).
fn normal(random: &mut impl Rng) -> f64 {
    let (u, v) = (1.0 - random.random::<f64>(), random.random::<f64>());
    (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;

    fn played(story: Story, seed: u64) -> Vec<(Vec<f64>, usize)> {
        let mut stream = Stream::new(story, 8, seed);
        (0..LENGTH / BATCH)
            .flat_map(|_| stream.draw_batch())
            .collect()
    }

    #[test]
    fn a_seed_gives_the_same_stream_whoever_looks_at_it() {
        for story in Story::value_variants() {
            let mut watched = Stream::new(*story, 8, 3);
            let again: Vec<_> = (0..LENGTH / BATCH)
                .flat_map(|_| {
                    watched.probe(10);
                    watched.draw_batch()
                })
                .collect();
            assert!(again == played(*story, 3), "{story:?}");
        }
        assert!(played(Story::Stationary, 3) != played(Story::Stationary, 4));
    }

    #[test]
    fn as_many_groups_come_and_go_as_are_told() {
        for story in Story::value_variants() {
            let points = played(*story, 0);
            let groups = |points: &[(Vec<f64>, usize)]| {
                let labels = points.iter().map(|(_, label)| *label);
                labels.collect::<std::collections::BTreeSet<_>>().len()
            };
            assert_eq!(groups(&points[..EVENT]), 8, "{story:?}");
            let last = Stream::new(*story, 8, 0).last_k();
            assert_eq!(groups(&points[SETTLED..]), last, "{story:?}");
        }
    }
}
