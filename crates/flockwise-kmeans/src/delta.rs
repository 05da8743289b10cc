//! Mergeable sufficient statistics of a mini-batch.

/// What a mini-batch says of `k` centroids in `d` dimensions: merging two is addition, so the order in
/// which shards' deltas arrive does not matter but for rounding.
#[derive(Clone, Debug, PartialEq)]
pub struct Delta {
    /// Points nearest to each centroid, `k`.
    pub counts: Vec<f64>,
    /// Their coordinates' sums, `k` × `d`.
    pub sums: Vec<f64>,
    /// Their coordinates' squares' sums, `k` × `d`.
    pub squares: Vec<f64>,
    dimensions: usize,
}

impl Delta {
    /// Nothing seen of `k` centroids in `d` dimensions.
    #[must_use]
    pub fn new(k: usize, dimensions: usize) -> Self {
        Self {
            counts: vec![0.0; k],
            sums: vec![0.0; k * dimensions],
            squares: vec![0.0; k * dimensions],
            dimensions,
        }
    }

    /// Dimensions of a point.
    #[must_use]
    pub fn dimensions(&self) -> usize {
        self.dimensions
    }

    /// Adds a point to its nearest centroid.
    pub fn add(&mut self, centroid: usize, point: &[f64]) {
        self.counts[centroid] += 1.0;
        let row = centroid * self.dimensions..(centroid + 1) * self.dimensions;
        for (sum, x) in self.sums[row.clone()].iter_mut().zip(point) {
            *sum += x;
        }
        for (square, x) in self.squares[row].iter_mut().zip(point) {
            *square += x * x;
        }
    }

    /// Adds another mini-batch over the same centroids.
    ///
    /// # Panics
    /// Where the shapes differ.
    pub fn merge(&mut self, other: &Self) {
        assert_eq!(
            (self.counts.len(), self.dimensions),
            (other.counts.len(), other.dimensions),
            "deltas of one shape"
        );
        add(&mut self.counts, &other.counts);
        add(&mut self.sums, &other.sums);
        add(&mut self.squares, &other.squares);
    }

    /// Points in it.
    #[must_use]
    pub fn total(&self) -> f64 {
        self.counts.iter().sum()
    }

    /// Moves a centroid of a given weight (points it stands for) to the mean of what it stood for and
    /// what the mini-batch adds (Sculley 2010, with per-centroid counts that the caller lets decay).
    /// Returns the new weight.
    pub fn move_centroid(&self, index: usize, weight: f64, centroid: &mut [f64]) -> f64 {
        let added = self.counts[index];
        let total = weight + added;
        if added > 0.0 {
            let sums = &self.sums[index * self.dimensions..];
            for (x, sum) in centroid.iter_mut().zip(sums) {
                *x += (sum - added * *x) / total;
            }
        }
        total
    }
}

fn add(into: &mut [f64], from: &[f64]) {
    for (into, from) in into.iter_mut().zip(from) {
        *into += from;
    }
}
