//! Centroids in single precision, as a search reads them.

use crate::lanes::{LANES, Row};

/// Groups of rows that are searched at a time. In each group, all its rows of one dimension come before
/// those of the next, so that a search reads straight through.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    /// Group by group.
    pub(crate) rows: Vec<Row>,
    /// Rows that hold one coordinate of all centroids.
    pub(crate) height: usize,
    /// Rows in each group but the last, which may have fewer.
    pub(crate) group: usize,
}

impl Layout {
    /// Lanes without a centroid are infinitely far.
    pub(crate) fn new(centroids: &[f64], dimensions: usize, group: usize) -> Self {
        let height = (centroids.len() / dimensions).div_ceil(LANES);
        let mut rows = vec![Row([f32::INFINITY; LANES]); height * dimensions];
        for (index, centroid) in centroids.chunks_exact(dimensions).enumerate() {
            let (row, lane) = (index / LANES, index % LANES);
            let first = row / group * group;
            let width = group.min(height - first);
            for (dimension, x) in centroid.iter().enumerate() {
                rows[first * dimensions + dimension * width + row - first].0[lane] = *x as f32;
            }
        }
        Self {
            rows,
            height,
            group,
        }
    }
}
