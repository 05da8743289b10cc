//! Groups of normally distributed points with unequal sizes and deviations, at a given spacing.

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::agreement::adjusted_rand;

/// Dimensions of a point.
pub(crate) const DIMENSIONS: usize = 16;

/// A point and the label of its group.
pub(crate) type Point = (Vec<f64>, usize);

/// How near groups are to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spacing {
    /// The nearest true centre is almost always that of the point's group.
    Apart,
    /// The nearest true centre is that of another group for about one point in 200, which is the best that any
    /// algorithm can do.
    Near,
}

/// Number of points on which the spacing is measured, and of bisection steps of the scale.
const MEASURED_POINTS: usize = 10_000;
const BISECTIONS: usize = 20;

impl Spacing {
    /// When a group splits, the distance of each half from the old centre, in standard deviations of the group.
    pub(crate) fn half_gap(self) -> f64 {
        match self {
            Self::Apart => 5.0,
            Self::Near => 3.5,
        }
    }

    /// The adjusted Rand index of assigning points to the nearest true centre.
    fn upper_bound(self) -> f64 {
        match self {
            Self::Apart => 0.999,
            Self::Near => 0.99,
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Group {
    pub(crate) centre: Vec<f64>,
    /// Standard deviation in every dimension.
    pub(crate) deviation: f64,
    pub(crate) size: f64,
    pub(crate) label: usize,
}

/// Draws `count` groups with a given spacing.
pub(crate) fn groups(count: usize, spacing: Spacing, random: &mut impl Rng) -> Vec<Group> {
    let mut groups: Vec<Group> = (0..count).map(|label| group(label, random)).collect();
    let scale = scale(&groups, spacing.upper_bound());
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

/// The scale of the centres at which the groups have a given adjusted Rand index.
fn scale(groups: &[Group], index: f64) -> f64 {
    let (mut low, mut high) = (0.0, 4.0);
    for _ in 0..BISECTIONS {
        let middle = 0.5 * (low + high);
        let mut scaled = groups.to_vec();
        spread(&mut scaled, middle);
        // The same points at every scale, so that the index rises with the scale.
        let points = draw(&scaled, MEASURED_POINTS, &mut ChaCha8Rng::seed_from_u64(0));
        if upper_bound(&scaled, &points) < index {
            low = middle;
        } else {
            high = middle;
        }
    }
    high
}

/// The adjusted Rand index of assigning points to the nearest true centre.
pub(crate) fn upper_bound(groups: &[Group], points: &[Point]) -> f64 {
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

/// Draws points from the groups, in proportion to their sizes.
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

/// The group at a position along the cumulated sizes.
fn pick(groups: &[Group], mut position: f64) -> &Group {
    let found = groups.iter().find(|group| {
        position -= group.size;
        position < 0.0
    });
    found.unwrap_or(&groups[groups.len() - 1])
}

/// A uniformly distributed unit vector.
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
                let best = upper_bound(&groups, &draw(&groups, 10_000, &mut random));
                let off = (best - spacing.upper_bound()).abs();
                assert!(off < slack, "{count}: {best}");
            }
        }
    }
}
