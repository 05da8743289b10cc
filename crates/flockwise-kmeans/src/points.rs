//! A weighted sample held in memory.

/// Points in `d` dimensions, each of a weight: how many of its kind it stands for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Points {
    values: Vec<f64>,
    weights: Vec<f64>,
    dimensions: usize,
}

impl Points {
    /// None yet.
    #[must_use]
    pub fn new(dimensions: usize) -> Self {
        Self {
            values: Vec::new(),
            weights: Vec::new(),
            dimensions,
        }
    }

    /// Adds a point.
    ///
    /// # Panics
    /// Where it has another number of dimensions.
    pub fn push(&mut self, point: &[f64], weight: f64) {
        assert_eq!(point.len(), self.dimensions, "one number a dimension");
        self.values.extend_from_slice(point);
        self.weights.push(weight);
    }

    /// Points in it.
    #[must_use]
    pub fn len(&self) -> usize {
        self.weights.len()
    }

    /// Without any.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.weights.is_empty()
    }

    /// Dimensions of a point.
    #[must_use]
    pub fn dimensions(&self) -> usize {
        self.dimensions
    }

    /// A point.
    #[must_use]
    pub fn point(&self, index: usize) -> &[f64] {
        &self.values[index * self.dimensions..][..self.dimensions]
    }

    /// How many it stands for.
    #[must_use]
    pub fn weight(&self, index: usize) -> f64 {
        self.weights[index]
    }

    /// All weights, in the order of the points.
    #[must_use]
    pub fn weights(&self) -> Vec<f64> {
        self.weights.clone()
    }

    /// Lets a point stand for another number.
    pub fn set_weight(&mut self, index: usize, weight: f64) {
        self.weights[index] = weight;
    }

    /// Points and weights.
    pub fn iter(&self) -> impl Iterator<Item = (&[f64], f64)> {
        (0..self.len()).map(|index| (self.point(index), self.weight(index)))
    }

    /// The mean of some of them; zeros where they weigh nothing.
    #[must_use]
    pub fn mean(&self, members: &[usize]) -> Vec<f64> {
        let mut mean = vec![0.0; self.dimensions];
        let total: f64 = members.iter().map(|member| self.weight(*member)).sum();
        if total > 0.0 {
            // What the first sum is off by, the second one finds: the mean of equal points is that point.
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

    /// Some of them.
    #[must_use]
    pub fn of(&self, members: &[usize]) -> Self {
        let mut some = Self::new(self.dimensions);
        for member in members {
            some.push(self.point(*member), self.weight(*member));
        }
        some
    }
}

/// Squared Euclidean distance.
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
