//! Groups of normal points of unequal sizes and spreads, and how near they lie to each other.

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::agreement::adjusted_rand;

/// Dimensions of a point.
pub(crate) const DIMENSIONS: usize = 16;

/// A point, and the group that it is of.
pub(crate) type Point = (Vec<f64>, usize);

/// How near groups lie to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spacing {
    /// Who knows their centres hardly ever errs.
    Apart,
    /// Who knows their centres errs for one point in two hundred or so: nobody does better.
    Near,
}

/// Points that this is measured on, and halvings of the scale's interval.
const MEASURED_ON: usize = 10_000;
const HALVINGS: usize = 20;

impl Spacing {
    /// Distance of each half of a group that splits from where it was, in its own standard deviations.
    pub(crate) fn half_gap(self) -> f64 {
        match self {
            Self::Apart => 5.0,
            Self::Near => 3.5,
        }
    }

    /// The adjusted Rand index that the centres themselves come to.
    fn at_best(self) -> f64 {
        match self {
            Self::Apart => 0.999,
            Self::Near => 0.99,
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Group {
    pub(crate) centre: Vec<f64>,
    /// In every dimension.
    pub(crate) deviation: f64,
    pub(crate) size: f64,
    pub(crate) label: usize,
}

/// So many groups.
pub(crate) fn groups(count: usize, spacing: Spacing, random: &mut impl Rng) -> Vec<Group> {
    let mut groups: Vec<Group> = (0..count).map(|label| group(label, random)).collect();
    let scale = scale(&groups, spacing.at_best());
    spread(&mut groups, scale);
    groups
}

fn group(label: usize, random: &mut impl Rng) -> Group {
    Group {
        centre: (0..DIMENSIONS).map(|_| normal(random)).collect(),
        deviation: 0.5 + random.random::<f64>(),
        size: 0.5 + 1.5 * random.random::<f64>(),
        label,
    }
}

fn spread(groups: &mut [Group], scale: f64) {
    let coordinates = groups.iter_mut().flat_map(|group| &mut group.centre);
    coordinates.for_each(|x| *x *= scale);
}

/// The scale of the centres at which all groups together come to an index.
fn scale(groups: &[Group], index: f64) -> f64 {
    let (mut low, mut high) = (0.0, 4.0);
    for _ in 0..HALVINGS {
        let middle = 0.5 * (low + high);
        let mut scaled = groups.to_vec();
        spread(&mut scaled, middle);
        // The same points at every scale, for the index to rise with it.
        let points = draw(&scaled, MEASURED_ON, &mut ChaCha8Rng::seed_from_u64(0));
        if at_best(&scaled, &points) < index {
            low = middle;
        } else {
            high = middle;
        }
    }
    high
}

/// The adjusted Rand index of who knows the centres, and takes the nearest.
pub(crate) fn at_best(groups: &[Group], points: &[Point]) -> f64 {
    let nearest = points.iter().map(|(point, _)| {
        let distance = |group: &&Group| squared(&group.centre, point);
        let nearest = groups
            .iter()
            .min_by(|left, right| distance(left).total_cmp(&distance(right)));
        nearest.map_or(0, |group| group.label)
    });
    let labels: Vec<usize> = points.iter().map(|(_, label)| *label).collect();
    adjusted_rand(&nearest.collect::<Vec<_>>(), &labels)
}

fn squared(left: &[f64], right: &[f64]) -> f64 {
    let gaps = left.iter().zip(right).map(|(left, right)| left - right);
    gaps.map(|gap| gap * gap).sum()
}

/// Points of the groups, by their sizes.
pub(crate) fn draw(groups: &[Group], count: usize, random: &mut impl Rng) -> Vec<Point> {
    let total: f64 = groups.iter().map(|group| group.size).sum();
    let mut point = || {
        let group = pick(groups, random.random::<f64>() * total);
        let centre = group.centre.iter();
        let point = centre.map(|x| x + group.deviation * normal(random));
        (point.collect(), group.label)
    };
    (0..count).map(|_| point()).collect()
}

/// The group at a place along the sizes of all.
fn pick(groups: &[Group], mut place: f64) -> &Group {
    let found = groups.iter().find(|group| {
        place -= group.size;
        place < 0.0
    });
    found.unwrap_or(&groups[groups.len() - 1])
}

/// A direction, all being as likely.
pub(crate) fn unit(random: &mut impl Rng) -> Vec<f64> {
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
    use super::*;

    #[test]
    fn groups_are_told_apart_as_well_as_their_spacing_says() {
        for count in [5, 20] {
            let mut random = ChaCha8Rng::seed_from_u64(1);
            for (spacing, slack) in [(Spacing::Near, 0.006), (Spacing::Apart, 0.002)] {
                let groups = groups(count, spacing, &mut random);
                let best = at_best(&groups, &draw(&groups, 10_000, &mut random));
                let off = (best - spacing.at_best()).abs();
                assert!(off < slack, "{count}: {best}");
            }
        }
    }
}
