//! The nearest centroid: single precision rules candidates out, double precision decides.

use ndarray::ArrayView2;

use crate::centroid_layout::Layout;
use crate::instruction_sets::{Instructions, Kernel};
use crate::nearest_candidate::{Best, Hit};
use crate::nearest_simd::{Groups, OneGroup, Query};
use crate::simd_lanes::{LaneBlock, Lanes, Portable};
use crate::single_precision_bound::Bound;

/// Centroids laid out to find the nearest one.
#[derive(Clone, Debug)]
pub struct Nearest {
    dimensions: usize,
    /// The centroids in double precision, row by row. They decide.
    exact: Vec<f64>,
    layout: Layout,
    bound: Bound,
    instructions: Instructions,
    /// All rows are in one group and the sums can stay in registers. Always `false` for `Portable`, which leaves
    /// registers to the compiler.
    one_group: bool,
}

/// Memory that searches reuse.
#[derive(Clone, Debug, Default)]
pub struct Scratch {
    sums: Vec<LaneBlock>,
}

impl Nearest {
    /// Prepares a search among `centroids`: `count` × `dimensions` finite numbers.
    ///
    /// # Panics
    /// If there is no centroid or no dimension.
    #[must_use]
    pub fn new(centroids: ArrayView2<'_, f64>) -> Self {
        Self::with_kernel(centroids, Kernel::detect())
    }

    /// Like [`Nearest::new`], with one of the kernels in [`Kernel::available`].
    ///
    /// # Panics
    /// Like [`Nearest::new`], and if this processor cannot run the kernel.
    #[must_use]
    pub fn with_kernel(centroids: ArrayView2<'_, f64>, kernel: Kernel) -> Self {
        let instructions = kernel.instructions();
        let instructions =
            instructions.expect("this processor does not have the kernel's instructions");
        assert!(
            !centroids.is_empty(),
            "expected at least one centroid and one dimension"
        );
        let layout = Layout::new(centroids, instructions.rows());
        Self {
            dimensions: centroids.ncols(),
            exact: centroids.iter().copied().collect(),
            one_group: layout.height <= layout.group && kernel != Kernel::Portable,
            layout,
            bound: Bound::new(centroids),
            instructions,
        }
    }

    /// Number of centroids.
    #[must_use]
    pub fn len(&self) -> usize {
        self.exact.len() / self.dimensions
    }

    /// Always `false`: there is at least one centroid.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.exact.is_empty()
    }

    /// The centroid nearest to a finite point of `dimensions` numbers; the first of those that are equally near.
    ///
    /// The result equals that of an exhaustive search in double precision, whatever the kernel. If every squared
    /// distance overflows double precision, the result is the first centroid at an infinite distance.
    ///
    /// # Panics
    /// If the point has another number of dimensions.
    #[must_use]
    pub fn nearest(&self, point: &[f64], scratch: &mut Scratch) -> Hit {
        assert_eq!(
            point.len(),
            self.dimensions,
            "the point has another number of dimensions"
        );
        let look = Query {
            point,
            centroids: &self.exact,
            layout: &self.layout,
            bound: self.bound,
        };
        let hit = match self.layout.height {
            1 if self.one_group => self.instructions.run(OneGroup::<1>(look)),
            2 if self.one_group => self.instructions.run(OneGroup::<2>(look)),
            3 if self.one_group => self.instructions.run(OneGroup::<3>(look)),
            4 if self.one_group => self.instructions.run(OneGroup::<4>(look)),
            _ => self.instructions.run(Groups(look, &mut scratch.sums)),
        };
        hit.unwrap_or_else(|| self.best(point, 0, 0..self.len()))
    }

    /// Squared distance to one centroid, in double precision.
    #[must_use]
    pub fn squared_distance(&self, point: &[f64], centroid: usize) -> f64 {
        let start = centroid * self.dimensions;
        Portable.squared_distance(point, &self.exact[start..start + self.dimensions])
    }

    /// The nearest centroid other than `excluded`; `None` if there is only one. If no squared distance is finite,
    /// the first of the others at an infinite distance.
    #[must_use]
    pub fn nearest_but(&self, point: &[f64], excluded: usize) -> Option<Hit> {
        let others = (0..self.len()).filter(|index| *index != excluded);
        (self.len() > 1).then(|| self.best(point, usize::from(excluded == 0), others))
    }

    /// The nearest of the candidates, which come in ascending order; `first` is the first of them.
    #[cold]
    fn best(&self, point: &[f64], first: usize, candidates: impl Iterator<Item = usize>) -> Hit {
        let mut best = Best::new(point, &self.exact);
        best.hit.centroid = first;
        for centroid in candidates {
            best.try_one(Portable, centroid);
        }
        best.hit
    }
}
