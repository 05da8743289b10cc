//! The nearest centroid: single precision to rule out, double precision to decide.

use crate::bound::Bound;
use crate::kernel::Kernel;
use crate::lanes::{Lanes, Portable, Row};
use crate::layout::Layout;
use crate::search::{Groups, OneGroup, Query};

/// Centroids laid out for looking up the nearest one.
#[derive(Clone, Debug)]
pub struct Nearest {
    dimensions: usize,
    /// One after the other: what decides.
    exact: Vec<f64>,
    layout: Layout,
    bound: Bound,
    kernel: Kernel,
    /// Sums can stay in registers: there is one group, and no compiler that has to find that out.
    one_group: bool,
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
    sums: Vec<Row>,
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
    /// As [`Nearest::new`], and where this processor cannot run the kernel.
    #[must_use]
    pub fn with_kernel(centroids: &[f64], dimensions: usize, kernel: Kernel) -> Self {
        assert!(
            Kernel::available().contains(&kernel),
            "this processor has no {kernel:?}"
        );
        assert!(
            dimensions > 0 && !centroids.is_empty(),
            "at least one centroid and one dimension"
        );
        assert_eq!(
            centroids.len() % dimensions,
            0,
            "rows of {dimensions} numbers"
        );
        let layout = Layout::new(centroids, dimensions, kernel.rows());
        Self {
            dimensions,
            exact: centroids.to_vec(),
            one_group: layout.height <= layout.group && kernel != Kernel::Portable,
            layout,
            bound: Bound::new(centroids, dimensions),
            kernel,
        }
    }

    /// Number of centroids.
    #[must_use]
    pub fn len(&self) -> usize {
        self.exact.len() / self.dimensions
    }

    /// Never: there is at least one.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.exact.is_empty()
    }

    /// The nearest centroid of a finite point of `dimensions` numbers; of equally near ones the first.
    ///
    /// The result is that of an exhaustive search in double precision, whatever the kernel. Where no
    /// squared distance is a finite number of double precision, it is the first centroid, infinitely far.
    ///
    /// # Panics
    /// Where the point has another number of dimensions.
    #[must_use]
    pub fn nearest(&self, point: &[f64], scratch: &mut Scratch) -> Hit {
        assert_eq!(point.len(), self.dimensions, "coordinates of a point");
        let look = Query {
            point,
            centroids: &self.exact,
            layout: &self.layout,
            bound: self.bound,
        };
        let hit = match self.layout.height {
            1 if self.one_group => self.kernel.run(OneGroup::<1>(look)),
            2 if self.one_group => self.kernel.run(OneGroup::<2>(look)),
            3 if self.one_group => self.kernel.run(OneGroup::<3>(look)),
            4 if self.one_group => self.kernel.run(OneGroup::<4>(look)),
            _ => self.kernel.run(Groups(look, &mut scratch.sums)),
        };
        hit.unwrap_or_else(|| self.best(point, 0, 0..self.len()))
    }

    /// Squared distance to one centroid, in double precision.
    #[must_use]
    pub fn squared_distance(&self, point: &[f64], centroid: usize) -> f64 {
        let start = centroid * self.dimensions;
        Portable::squared_distance(point, &self.exact[start..start + self.dimensions])
    }

    /// The nearest centroid but one, if there are two: the first of the others, infinitely far, where no
    /// squared distance is finite.
    #[must_use]
    pub fn nearest_but(&self, point: &[f64], excluded: usize) -> Option<Hit> {
        let others = (0..self.len()).filter(|index| *index != excluded);
        (self.len() > 1).then(|| self.best(point, usize::from(excluded == 0), others))
    }

    /// The nearest of the candidates, in ascending order, the first of which is given.
    #[cold]
    fn best(&self, point: &[f64], first: usize, candidates: impl Iterator<Item = usize>) -> Hit {
        let mut best = Best::new(point, &self.exact);
        best.hit.centroid = first;
        for centroid in candidates {
            best.try_one::<Portable>(centroid);
        }
        best.hit
    }
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

    /// Candidates come in ascending order: of equally near ones the first stays.
    #[inline(always)]
    pub(crate) fn try_one<L: Lanes>(&mut self, centroid: usize) {
        let dimensions = self.point.len();
        let start = centroid * dimensions;
        let squared = L::squared_distance(self.point, &self.centroids[start..start + dimensions]);
        if squared < self.hit.squared {
            self.hit = Hit { centroid, squared };
        }
    }
}
