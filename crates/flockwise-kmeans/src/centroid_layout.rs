//! Centroids in single precision, in the order in which a search reads them.

use ndarray::ArrayView2;

use crate::simd_lanes::{LANES, LaneBlock};

/// Centroids in groups of rows that are searched together. Within a group, all rows of one dimension precede those
/// of the next, so that a search reads memory sequentially.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    /// All rows, group by group.
    pub(crate) rows: Vec<LaneBlock>,
    /// Number of rows that hold one coordinate of all centroids.
    pub(crate) height: usize,
    /// Rows per group. The last group may have fewer.
    pub(crate) group: usize,
}

impl Layout {
    /// Lays out `centroids` (a row for each) in groups of `group` rows. Lanes without a centroid are infinitely far.
    pub(crate) fn new(centroids: ArrayView2<'_, f64>, group: usize) -> Self {
        let (count, dimensions) = centroids.dim();
        let height = count.div_ceil(LANES);
        let mut rows = vec![LaneBlock([f32::INFINITY; LANES]); height * dimensions];
        for ((index, dimension), x) in centroids.indexed_iter() {
            let (row, lane) = (index / LANES, index % LANES);
            let first = row / group * group;
            let width = group.min(height - first);
            rows[first * dimensions + dimension * width + row - first].0[lane] = *x as f32;
        }
        Self {
            rows,
            height,
            group,
        }
    }
}
