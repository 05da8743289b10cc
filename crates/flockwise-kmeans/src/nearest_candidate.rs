//! The best candidate of a search.

use crate::simd_lanes::Lanes;

/// A centroid and its squared distance.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hit {
    /// Index of the centroid.
    pub centroid: usize,
    /// Squared Euclidean distance.
    pub squared: f64,
}

/// The nearest of the candidates so far, in double precision.
pub(crate) struct Best<'a> {
    point: &'a [f64],
    centroids: &'a [f64],
    pub(crate) hit: Hit,
}

impl<'a> Best<'a> {
    #[inline(always)]
    pub(crate) fn new(point: &'a [f64], centroids: &'a [f64]) -> Self {
        let hit = Hit {
            centroid: 0,
            squared: f64::INFINITY,
        };
        Self {
            point,
            centroids,
            hit,
        }
    }

    /// Tries a candidate. Candidates come in ascending order, so of equally near ones the first stays.
    #[inline(always)]
    pub(crate) fn try_one(&mut self, lanes: impl Lanes, centroid: usize) {
        let dimensions = self.point.len();
        let start = centroid * dimensions;
        let squared =
            lanes.squared_distance(self.point, &self.centroids[start..start + dimensions]);
        if squared < self.hit.squared {
            self.hit = Hit { centroid, squared };
        }
    }
}
