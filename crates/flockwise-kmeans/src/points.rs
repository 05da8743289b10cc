//! A weighted sample held in memory.

use std::iter::zip;

use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis, Zip};

const ROW_MAJOR: &str = "points are in row-major order";

/// Points in `d` dimensions. A point's weight is the number of equal points that it stands for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Points {
    /// A row for each point, in row-major order.
    values: Array2<f64>,
    weights: Vec<f64>,
}

impl Points {
    /// An empty sample in `dimensions` dimensions.
    #[must_use]
    pub fn new(dimensions: usize) -> Self {
        Self::with_weights(Array2::zeros((0, dimensions)), Vec::new())
    }

    /// A point for each row of `values`, in row-major order, and its weight.
    ///
    /// # Panics
    /// If there are not as many weights as rows.
    #[must_use]
    pub fn with_weights(values: Array2<f64>, weights: Vec<f64>) -> Self {
        assert_eq!(values.nrows(), weights.len(), "a point needs one weight");
        Self { values, weights }
    }

    /// Appends a point.
    ///
    /// # Panics
    /// If it has another number of dimensions.
    pub fn push<'a>(&mut self, point: impl Into<ArrayView1<'a, f64>>, weight: f64) {
        self.values
            .push_row(point.into())
            .expect("a point needs one number per dimension");
        self.weights.push(weight);
    }

    /// Number of points.
    #[must_use]
    pub fn len(&self) -> usize {
        self.weights.len()
    }

    /// Whether it has no points.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.weights.is_empty()
    }

    /// Number of dimensions.
    #[must_use]
    pub fn dimensions(&self) -> usize {
        self.values.ncols()
    }

    /// The coordinates of all points, a row for each.
    #[must_use]
    pub fn values(&self) -> ArrayView2<'_, f64> {
        self.values.view()
    }

    /// The coordinates of a point.
    #[must_use]
    pub fn point(&self, index: usize) -> &[f64] {
        slice(self.values.row(index))
    }

    /// The weight of a point.
    #[must_use]
    pub fn weight(&self, index: usize) -> f64 {
        self.weights[index]
    }

    /// All weights, in the order of the points.
    #[must_use]
    pub fn weights(&self) -> &[f64] {
        &self.weights
    }

    /// Changes the weight of a point.
    pub fn set_weight(&mut self, index: usize, weight: f64) {
        self.weights[index] = weight;
    }

    /// All points with their weights.
    pub fn iter(&self) -> impl Iterator<Item = (&[f64], f64)> {
        // Faster than `rows()`, whose length the compiler does not trust.
        let values = self.values.as_slice().expect(ROW_MAJOR);
        let rows = values.chunks_exact(self.dimensions().max(1));
        rows.zip(self.weights.iter().copied())
    }

    /// The weighted mean of `members`; zeros if their weights add up to zero.
    #[must_use]
    pub fn mean(&self, members: &[usize]) -> Array1<f64> {
        let mut mean = Array1::zeros(self.dimensions());
        let total: f64 = members.iter().map(|member| self.weight(*member)).sum();
        if total > 0.0 {
            // The second pass corrects the rounding of the first: the mean of equal points is exactly that point.
            for _ in 0..2 {
                let mut off = Array1::zeros(self.dimensions());
                for member in members {
                    let share = self.weight(*member) / total;
                    Zip::from(&mut off)
                        .and(self.values.row(*member))
                        .and(&mean)
                        .for_each(|off, x, mean| *off += share * (x - mean));
                }
                mean += &off;
            }
        }
        mean
    }

    /// A sample of `members` alone.
    #[must_use]
    pub fn of(&self, members: &[usize]) -> Self {
        Self {
            values: self.values.select(Axis(0), members),
            weights: members.iter().map(|member| self.weight(*member)).collect(),
        }
    }
}

/// Squared Euclidean distance of two points.
#[must_use]
pub fn squared<'a>(
    left: impl Into<ArrayView1<'a, f64>>,
    right: impl Into<ArrayView1<'a, f64>>,
) -> f64 {
    let columns = zip(slice(left.into()), slice(right.into()));
    columns.map(|(a, b)| (a - b) * (a - b)).sum()
}

/// The coordinates of a row side by side, as loops over many points need them.
#[inline]
pub(crate) fn slice(row: ArrayView1<'_, f64>) -> &[f64] {
    row.to_slice().expect(ROW_MAJOR)
}
