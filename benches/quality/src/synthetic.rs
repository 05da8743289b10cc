//! Made-up streams whose groups are known: what happens to them happens at a known point.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::groups::{Group, Point, Spacing, at_best, draw, groups, unit};

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

    /// How far every group moves, in its own standard deviations.
    fn deviations(self) -> Option<f64> {
        match self {
            Self::Shift => Some(1.0),
            Self::Drift => Some(8.0),
            _ => None,
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

/// A stream from a seed.
#[derive(Clone)]
pub(crate) struct Stream {
    story: Story,
    spacing: Spacing,
    groups: Vec<Group>,
    now: Vec<Group>,
    directions: Vec<Vec<f64>>,
    random: ChaCha8Rng,
    at: usize,
    k: usize,
}

impl Stream {
    pub(crate) fn new(story: Story, k: usize, spacing: Spacing, seed: u64) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let groups = groups(k + k.div_ceil(4), spacing, &mut random);
        let directions = groups.iter().map(|_| unit(&mut random)).collect();
        Self {
            story,
            spacing,
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
    pub(crate) fn draw_batch(&mut self) -> Vec<Point> {
        self.now = self.now();
        self.at += BATCH;
        draw(&self.now, BATCH, &mut self.random)
    }

    /// Points as they are now, beside the stream.
    pub(crate) fn probe(&self, count: usize) -> Vec<Point> {
        draw(
            &self.now,
            count,
            &mut ChaCha8Rng::seed_from_u64(self.at as u64),
        )
    }

    /// The adjusted Rand index of who knows where the groups are now.
    pub(crate) fn at_best(&self, points: &[Point]) -> f64 {
        at_best(&self.now, points)
    }

    /// By how much a group has moved in the end, in every dimension; none where it has not, or by itself.
    pub(crate) fn displacement(&self, group: usize) -> Option<Vec<f64>> {
        let deviations = self.story.deviations()?;
        let length = deviations * self.groups[group].deviation;
        let direction = self.directions[group].iter();
        Some(direction.map(|part| length * part).collect())
    }

    /// Groups as they are at this point.
    fn now(&self) -> Vec<Group> {
        let (k, has_happened) = (self.k, self.at >= EVENT);
        let progress = (self.at as f64 - EVENT as f64) / (SETTLED - EVENT) as f64;
        let progress = progress.clamp(0.0, 1.0);
        let mut now = self.groups[..k].to_vec();
        match self.story {
            Story::Stationary => {}
            Story::Drift => self.moved(&mut now, progress),
            Story::Merge => merge(&mut now, progress),
            _ if !has_happened => {}
            Story::Shift => self.moved(&mut now, 1.0),
            Story::Birth => now.push(self.groups[k].clone()),
            Story::Death => drop(now.remove(0)),
            Story::Split => split(&mut now, &self.directions[0], self.spacing.half_gap()),
            Story::Turnover => {
                let changed = k.div_ceil(4);
                now.drain(..changed);
                now.extend_from_slice(&self.groups[k..k + changed]);
            }
        }
        now
    }

    fn moved(&self, now: &mut [Group], progress: f64) {
        for group in now {
            let displacement = self.displacement(group.label).unwrap_or_default();
            for (x, way) in group.centre.iter_mut().zip(displacement) {
                *x += progress * way;
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

/// The first group becomes two halves, each so many of its standard deviations from where it was.
fn split(now: &mut Vec<Group>, direction: &[f64], gap: f64) {
    let mut other = now[0].clone();
    other.label = now.len();
    for (group, side) in [(&mut now[0], -gap), (&mut other, gap)] {
        group.size /= 2.0;
        for (x, part) in group.centre.iter_mut().zip(direction) {
            *x += side * group.deviation * part;
        }
    }
    now.push(other);
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;

    fn played(story: Story, seed: u64) -> Vec<Point> {
        let mut stream = Stream::new(story, 8, Spacing::Near, seed);
        (0..LENGTH / BATCH)
            .flat_map(|_| stream.draw_batch())
            .collect()
    }

    #[test]
    fn a_seed_gives_the_same_stream_whoever_looks_at_it() {
        for story in Story::value_variants() {
            let mut watched = Stream::new(*story, 8, Spacing::Near, 3);
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
            let groups = |points: &[Point]| {
                let labels = points.iter().map(|(_, label)| *label);
                labels.collect::<std::collections::BTreeSet<_>>().len()
            };
            assert_eq!(groups(&points[..EVENT]), 8, "{story:?}");
            let last = Stream::new(*story, 8, Spacing::Apart, 0).last_k();
            assert_eq!(groups(&points[SETTLED..]), last, "{story:?}");
        }
    }
}
