//! The nearest centroid: single precision to rule out, double precision to decide.

use crate::kernel::{Kernel, LANES};

/// Centroids laid out for looking up the nearest one.
#[derive(Clone, Debug)]
pub struct Nearest {
    dimensions: usize,
    count: usize,
    /// `count` × `dimensions`, row by row: what decides.
    exact: Vec<f64>,
    /// The kernel's layout; lanes without a centroid are infinitely far.
    blocks: Vec<f32>,
    /// Largest Euclidean norm among the centroids.
    reach: f32,
    kernel: Kernel,
}

/// A centroid and its squared distance.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hit {
    /// Index of the centroid.
    pub centroid: usize,
    /// Squared Euclidean distance.
    pub squared: f64,
}

/// Memory that look-ups reuse.
#[derive(Clone, Debug, Default)]
pub struct Scratch {
    point: Vec<f32>,
    squared: Vec<f32>,
}

impl Nearest {
    /// `centroids`: `count` × `dimensions`, row by row, finite.
    ///
    /// # Panics
    /// Without a centroid, or where the length is no multiple of `dimensions`.
    #[must_use]
    pub fn new(centroids: &[f64], dimensions: usize) -> Self {
        Self::with_kernel(centroids, dimensions, Kernel::detect())
    }

    /// As [`Nearest::new`], with a kernel of [`Kernel::available`].
    ///
    /// # Panics
    /// As [`Nearest::new`].
    #[must_use]
    pub fn with_kernel(centroids: &[f64], dimensions: usize, kernel: Kernel) -> Self {
        assert!(
            dimensions > 0 && !centroids.is_empty(),
            "at least one centroid and one dimension"
        );
        assert_eq!(
            centroids.len() % dimensions,
            0,
            "rows of {dimensions} numbers"
        );
        let count = centroids.len() / dimensions;
        Self {
            dimensions,
            count,
            exact: centroids.to_vec(),
            blocks: blocks(centroids, dimensions, count),
            reach: centroids
                .chunks_exact(dimensions)
                .map(norm)
                .fold(0.0, f32::max),
            kernel,
        }
    }

    /// Number of centroids.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count
    }

    /// Never: there is at least one.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The nearest centroid of a point of `dimensions` numbers; of equally near ones the first.
    ///
    /// The result is that of an exhaustive search in double precision.
    #[must_use]
    pub fn nearest(&self, point: &[f64], scratch: &mut Scratch) -> Hit {
        debug_assert_eq!(point.len(), self.dimensions);
        scratch.point.clear();
        scratch
            .point
            .extend(point.iter().map(|coordinate| *coordinate as f32));
        scratch
            .squared
            .resize(self.count.next_multiple_of(LANES), 0.0);
        self.kernel
            .squared_distances(&scratch.point, &self.blocks, &mut scratch.squared);
        let least = least(&scratch.squared);
        if !least.is_finite() {
            return self.best(point, 0..self.count);
        }
        let limit = self.limit(least);
        let candidates = (0..self.count).filter(|index| scratch.squared[*index] <= limit);
        self.best(point, candidates)
    }

    /// Largest single-precision squared distance that may still be the least in truth.
    ///
    /// Rounding point and centroid to single precision moves their gap by at most half an ulp of each
    /// norm, the point's being at most that of the farthest centroid and the distance together; the sum
    /// of `d` squares is off by at most about `d` ulps of itself.
    fn limit(&self, least: f32) -> f32 {
        let relative = 1.0 + f32::EPSILON * (2 * self.dimensions + 8) as f32;
        let distance = least.sqrt() * relative;
        let moved = f32::EPSILON * (distance + 2.0 * self.reach);
        let distance = distance + 2.0 * moved;
        distance * distance * relative
    }

    /// Squared distance to one centroid, in double precision.
    #[must_use]
    pub fn squared_distance(&self, point: &[f64], centroid: usize) -> f64 {
        let start = centroid * self.dimensions;
        squared_distance(point, &self.exact[start..start + self.dimensions])
    }

    /// The nearest centroid but one, if there are two.
    #[must_use]
    pub fn nearest_but(&self, point: &[f64], excluded: usize) -> Option<Hit> {
        (self.count > 1)
            .then(|| self.best(point, (0..self.count).filter(|index| *index != excluded)))
    }

    fn best(&self, point: &[f64], candidates: impl Iterator<Item = usize>) -> Hit {
        let mut best = Hit {
            centroid: 0,
            squared: f64::INFINITY,
        };
        for centroid in candidates {
            let squared = self.squared_distance(point, centroid);
            if squared < best.squared {
                best = Hit { centroid, squared };
            }
        }
        best
    }
}

/// Squared Euclidean distance of two points of equal length.
pub(crate) fn squared_distance(left: &[f64], right: &[f64]) -> f64 {
    left.iter()
        .zip(right)
        .map(|(left, right)| (left - right) * (left - right))
        .sum()
}

/// The least of blocks of [`LANES`] numbers, lane by lane, so that no comparison waits for the one before.
fn least(squared: &[f32]) -> f32 {
    let mut lanes = [f32::INFINITY; LANES];
    for block in squared.as_chunks::<LANES>().0 {
        for (lane, squared) in lanes.iter_mut().zip(block) {
            *lane = if *squared < *lane { *squared } else { *lane };
        }
    }
    lanes.into_iter().fold(f32::INFINITY, f32::min)
}

fn norm(point: &[f64]) -> f32 {
    point.iter().map(|x| x * x).sum::<f64>().sqrt() as f32
}

fn blocks(centroids: &[f64], dimensions: usize, count: usize) -> Vec<f32> {
    let mut blocks = vec![f32::INFINITY; count.next_multiple_of(LANES) * dimensions];
    for (index, centroid) in centroids.chunks_exact(dimensions).enumerate() {
        let start = index / LANES * LANES * dimensions + index % LANES;
        for (dimension, coordinate) in centroid.iter().enumerate() {
            blocks[start + dimension * LANES] = *coordinate as f32;
        }
    }
    blocks
}
