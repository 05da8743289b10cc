//! Synthetic streams with known groups, which change at a known point.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::groups::{Group, Point, Spacing, draw, groups, unit, upper_bound};

/// Number of points of a stream.
pub(crate) const LENGTH: usize = 60_000;
/// Points of a mini-batch. Slow changes proceed by one step per mini-batch.
pub(crate) const BATCH: usize = 250;
/// The point at which the change begins.
pub(crate) const CHANGE: usize = 20_000;
/// The point at which a slow change ends.
const SETTLED: usize = 40_000;
/// The first model is stable from the first of these points on, and the last one from the second on.
const STABLE: (usize, usize) = (10_000, 50_000);

/// How the groups change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Scenario {
    /// They do not change.
    Stationary,
    /// Every group moves by one standard deviation at once.
    Shift,
    /// Every group moves slowly by eight standard deviations.
    Drift,
    /// A new group appears.
    Birth,
    /// A group disappears.
    Death,
    /// A group splits into two.
    Split,
    /// Two groups merge slowly into one.
    Merge,
    /// A quarter of the groups disappear, and as many new ones appear.
    Turnover,
}

impl Scenario {
    /// Its name in tables.
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

    /// How far every group moves, in its own standard deviations; `None` if groups do not move.
    fn deviations(self) -> Option<f64> {
        match self {
            Self::Shift => Some(1.0),
            Self::Drift => Some(8.0),
            _ => None,
        }
    }

    /// The point from which on recovery is measured. Two groups cannot be told apart while they merge.
    pub(crate) fn begins(self) -> usize {
        match self {
            Self::Merge => SETTLED,
            _ => CHANGE,
        }
    }

    /// True if the groups do not change between two points, and have not changed for a while.
    pub(crate) fn is_stable(self, from: usize, to: usize) -> bool {
        let is_before = to <= CHANGE || self == Self::Stationary;
        from >= STABLE.1 || (from >= STABLE.0 && is_before)
    }

    /// The earlier groups whose segment id a group may have at the end: itself, or the group that it came from.
    pub(crate) fn ancestors(self, group: usize, k: usize) -> Vec<usize> {
        match self {
            Self::Split if group == k => vec![0],
            Self::Merge if group == 1 => vec![0, 1],
            _ => vec![group],
        }
    }
}

/// A stream drawn from a seed.
#[derive(Clone)]
pub(crate) struct Stream {
    scenario: Scenario,
    spacing: Spacing,
    groups: Vec<Group>,
    now: Vec<Group>,
    directions: Vec<Vec<f64>>,
    random: ChaCha8Rng,
    at: usize,
    k: usize,
}

impl Stream {
    pub(crate) fn new(scenario: Scenario, k: usize, spacing: Spacing, seed: u64) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let groups = groups(k + k.div_ceil(4), spacing, &mut random);
        let directions = groups.iter().map(|_| unit(&mut random)).collect();
        Self {
            scenario,
            spacing,
            now: groups[..k].to_vec(),
            groups,
            directions,
            random,
            at: 0,
            k,
        }
    }

    /// Number of groups at the end.
    pub(crate) fn last_k(&self) -> usize {
        match self.scenario {
            Scenario::Birth | Scenario::Split => self.k + 1,
            Scenario::Death | Scenario::Merge => self.k - 1,
            _ => self.k,
        }
    }

    /// The next mini-batch of points.
    pub(crate) fn draw_batch(&mut self) -> Vec<Point> {
        self.now = self.now();
        self.at += BATCH;
        draw(&self.now, BATCH, &mut self.random)
    }

    /// Draws points from the current groups without advancing the stream.
    pub(crate) fn probe(&self, count: usize) -> Vec<Point> {
        draw(
            &self.now,
            count,
            &mut ChaCha8Rng::seed_from_u64(self.at as u64),
        )
    }

    /// The adjusted Rand index of assigning points to the nearest current centre.
    pub(crate) fn upper_bound(&self, points: &[Point]) -> f64 {
        upper_bound(&self.now, points)
    }

    /// The vector by which a group has moved at the end; `None` if all groups do not move together.
    pub(crate) fn displacement(&self, group: usize) -> Option<Vec<f64>> {
        let deviations = self.scenario.deviations()?;
        let length = deviations * self.groups[group].deviation;
        let direction = self.directions[group].iter();
        Some(direction.map(|part| length * part).collect())
    }

    /// The groups at the current point.
    fn now(&self) -> Vec<Group> {
        let (k, has_happened) = (self.k, self.at >= CHANGE);
        let progress = (self.at as f64 - CHANGE as f64) / (SETTLED - CHANGE) as f64;
        let progress = progress.clamp(0.0, 1.0);
        let mut now = self.groups[..k].to_vec();
        match self.scenario {
            Scenario::Stationary => {}
            Scenario::Drift => self.moved(&mut now, progress),
            Scenario::Merge => merge(&mut now, progress),
            _ if !has_happened => {}
            Scenario::Shift => self.moved(&mut now, 1.0),
            Scenario::Birth => now.push(self.groups[k].clone()),
            Scenario::Death => drop(now.remove(0)),
            Scenario::Split => split(&mut now, &self.directions[0], self.spacing.half_gap()),
            Scenario::Turnover => {
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
            for (x, shift) in group.centre.iter_mut().zip(displacement) {
                *x += progress * shift;
            }
        }
    }
}

/// Moves the first group towards the second.
fn merge(now: &mut [Group], progress: f64) {
    let target = now[1].centre.clone();
    for (x, to) in now[0].centre.iter_mut().zip(target) {
        *x += (to - *x) * progress;
    }
    if progress >= 1.0 {
        now[0].label = now[1].label;
    }
}

/// Splits the first group into two halves, each `gap` standard deviations from the old centre.
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

    fn played(scenario: Scenario, seed: u64) -> Vec<Point> {
        let mut stream = Stream::new(scenario, 8, Spacing::Near, seed);
        (0..LENGTH / BATCH)
            .flat_map(|_| stream.draw_batch())
            .collect()
    }

    #[test]
    fn a_seed_gives_the_same_stream_whoever_looks_at_it() {
        for scenario in Scenario::value_variants() {
            let mut watched = Stream::new(*scenario, 8, Spacing::Near, 3);
            let again: Vec<_> = (0..LENGTH / BATCH)
                .flat_map(|_| {
                    watched.probe(10);
                    watched.draw_batch()
                })
                .collect();
            assert!(again == played(*scenario, 3), "{scenario:?}");
        }
        assert!(played(Scenario::Stationary, 3) != played(Scenario::Stationary, 4));
    }

    #[test]
    fn as_many_groups_come_and_go_as_are_told() {
        for scenario in Scenario::value_variants() {
            let points = played(*scenario, 0);
            let groups = |points: &[Point]| {
                let labels = points.iter().map(|(_, label)| *label);
                labels.collect::<std::collections::BTreeSet<_>>().len()
            };
            assert_eq!(groups(&points[..CHANGE]), 8, "{scenario:?}");
            let last = Stream::new(*scenario, 8, Spacing::Apart, 0).last_k();
            assert_eq!(groups(&points[SETTLED..]), last, "{scenario:?}");
        }
    }
}
