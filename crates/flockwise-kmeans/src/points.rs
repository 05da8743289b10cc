//! A weighted sample held in memory.

/// Points in `d` dimensions. A point's weight is the number of equal points that it stands for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Points {
    values: Vec<f64>,
    weights: Vec<f64>,
    dimensions: usize,
}

impl Points {
    /// An empty sample in `dimensions` dimensions.
    #[must_use]
    pub fn new(dimensions: usize) -> Self {
        Self {
            values: Vec::new(),
            weights: Vec::new(),
            dimensions,
        }
    }

    /// Appends a point.
    ///
    /// # Panics
    /// If it has another number of dimensions.
    pub fn push(&mut self, point: &[f64], weight: f64) {
        assert_eq!(
            point.len(),
            self.dimensions,
            "a point needs one number per dimension"
        );
        self.values.extend_from_slice(point);
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
        self.dimensions
    }

    /// The coordinates of a point.
    #[must_use]
    pub fn point(&self, index: usize) -> &[f64] {
        &self.values[index * self.dimensions..][..self.dimensions]
    }

    /// The weight of a point.
    #[must_use]
    pub fn weight(&self, index: usize) -> f64 {
        self.weights[index]
    }

    /// All weights, in the order of the points.
    #[must_use]
    pub fn weights(&self) -> Vec<f64> {
        self.weights.clone()
    }

    /// Changes the weight of a point.
    pub fn set_weight(&mut self, index: usize, weight: f64) {
        self.weights[index] = weight;
    }

    /// All points with their weights.
    pub fn iter(&self) -> impl Iterator<Item = (&[f64], f64)> {
        (0..self.len()).map(|index| (self.point(index), self.weight(index)))
    }

    /// The weighted mean of `members`; zeros if their weights add up to zero.
    #[must_use]
    pub fn mean(&self, members: &[usize]) -> Vec<f64> {
        let mut mean = vec![0.0; self.dimensions];
        let total: f64 = members.iter().map(|member| self.weight(*member)).sum();
        if total > 0.0 {
            // The second pass corrects the rounding of the first: the mean of equal points is exactly that point.
            for _ in 0..2 {
                let mut off = vec![0.0; self.dimensions];
                for member in members {
                    let share = self.weight(*member) / total;
                    let gaps = self.point(*member).iter().zip(&mean);
                    for (off, (x, mean)) in off.iter_mut().zip(gaps) {
                        *off += share * (x - mean);
                    }
                }
                add_scaled(&mut mean, &off, 1.0);
            }
        }
        mean
    }

    /// A sample of `members` alone.
    #[must_use]
    pub fn of(&self, members: &[usize]) -> Self {
        let mut some = Self::new(self.dimensions);
        for member in members {
            some.push(self.point(*member), self.weight(*member));
        }
        some
    }
}

/// Squared Euclidean distance of two points.
#[must_use]
pub fn squared(left: &[f64], right: &[f64]) -> f64 {
    left.iter().zip(right).map(|(a, b)| (a - b) * (a - b)).sum()
}

/// `into += factor × from`.
pub(crate) fn add_scaled(into: &mut [f64], from: &[f64], factor: f64) {
    for (into, from) in into.iter_mut().zip(from) {
        *into += from * factor;
    }
}
