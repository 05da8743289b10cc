//! The window: the recently sampled customers that a model is learnt from, each as of its sampling.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::iter::zip;

use flockwise_kmeans::Points;
use ndarray::{Array2, ArrayView1};

use super::input::MiniBatch;
use super::outlier_filter::drop_outliers;

/// Half-lives after which a sample is forgotten. Its weight is a sixteenth by then.
pub(super) const KEPT_HALF_LIVES: i64 = 4;

/// The largest number that is accepted: sums of many squares stay finite.
const LARGEST: f64 = 1e120;

/// A window over the mini-batches. Its contents do not depend on their order. A new trainer that reads them again,
/// and one that hears the tasks in another order, have the same contents.
#[derive(Clone, Debug)]
pub(super) struct Window {
    /// Samples by the instant at which they were drawn.
    drawn: BTreeMap<i64, Sample>,
    /// Number of vectors.
    vectors: usize,
    /// Number of vectors of each customer, by the hash of the id.
    of_customer: BTreeMap<u64, u32>,
    capacity: usize,
    dimensions: usize,
}

/// What all tasks have drawn at one instant.
#[derive(Clone, Debug)]
struct Sample {
    /// Offset of the first mini-batch.
    offset: i64,
    /// Hashes of the customers' ids, sorted.
    hashes: Vec<u64>,
    /// Their vectors, a row for each.
    values: Array2<f64>,
}

/// Vectors with their weights, customers and times. They are in the order of the times, then of the hashes.
pub(super) struct WeightedWindow {
    pub(super) points: Points,
    /// Hashes of the customers' ids.
    pub(super) customers: Vec<u64>,
    pub(super) at_ms: Vec<i64>,
}

impl Window {
    /// A window for at most `capacity` vectors, the latest ones.
    pub(super) fn new(dimensions: usize, capacity: usize) -> Self {
        Self {
            drawn: BTreeMap::new(),
            vectors: 0,
            of_customer: BTreeMap::new(),
            capacity,
            dimensions,
        }
    }

    /// Number of vectors. A customer who was sampled twice counts twice.
    pub(super) fn len(&self) -> usize {
        self.vectors
    }

    /// Number of different customers.
    pub(super) fn customers(&self) -> usize {
        self.of_customer.len()
    }

    /// The lowest offset of a mini-batch that the window has something of.
    pub(super) fn first_offset(&self) -> Option<i64> {
        self.drawn.values().map(|drawn| drawn.offset).min()
    }

    /// Takes in the vectors that fit the plan and whose numbers are usable.
    pub(super) fn take(&mut self, batch: MiniBatch, offset: i64) {
        let mut sample = batch.sample;
        sample.retain(|(_, vector)| {
            vector.len() == self.dimensions && vector.iter().all(|x| x.abs() <= LARGEST)
        });
        let drawn = self.drawn.entry(batch.at_ms);
        let drawn = drawn.or_insert_with(|| Sample::none(offset, self.dimensions));
        for customer in drawn.add(sample, offset) {
            self.vectors += 1;
            *self.of_customer.entry(customer).or_default() += 1;
        }
        while self.vectors > self.capacity && self.drawn.len() > 1 {
            self.drop_first();
        }
    }

    /// Forgets what is too old to count, and then the oldest until at most `kept` vectors are left.
    pub(super) fn forget(&mut self, now_ms: i64, half_life_ms: i64, kept: usize) {
        let bound_ms = now_ms.saturating_sub(half_life_ms.saturating_mul(KEPT_HALF_LIVES));
        let first_ms = |drawn: &BTreeMap<i64, Sample>| drawn.keys().next().copied();
        while first_ms(&self.drawn).is_some_and(|at_ms| at_ms < bound_ms) {
            self.drop_first();
        }
        while self.vectors > kept && self.drawn.len() > 1 {
            self.drop_first();
        }
    }

    fn drop_first(&mut self) {
        let Some((_, drawn)) = self.drawn.pop_first() else {
            return;
        };
        self.vectors -= drawn.hashes.len();
        for hash in drawn.hashes {
            if let Entry::Occupied(mut count) = self.of_customer.entry(hash) {
                *count.get_mut() -= 1;
                if *count.get() == 0 {
                    count.remove();
                }
            }
        }
    }

    /// All vectors, weighted by age. Faults have no weight.
    pub(super) fn weighed(&self, now_ms: i64, half_life_ms: i64) -> WeightedWindow {
        let mut weighed = WeightedWindow {
            points: Points::new(self.dimensions),
            customers: Vec::with_capacity(self.vectors),
            at_ms: Vec::with_capacity(self.vectors),
        };
        for (at_ms, drawn) in &self.drawn {
            let age_ms = now_ms.saturating_sub(*at_ms).max(0);
            if age_ms > half_life_ms.saturating_mul(KEPT_HALF_LIVES) {
                continue;
            }
            let weight = (-(age_ms as f64) / half_life_ms as f64).exp2();
            weighed.customers.extend_from_slice(&drawn.hashes);
            for vector in drawn.values.rows() {
                weighed.points.push(vector, weight);
                weighed.at_ms.push(*at_ms);
            }
        }
        drop_outliers(&mut weighed.points);
        weighed
    }

    /// Each customer once, as last sampled, in the order of the hashes of their ids, so that the first ones are a
    /// fair sample. Faults have no weight.
    pub(super) fn each_once(&self, at_most: usize) -> Points {
        let mut last: Vec<(u64, usize, ArrayView1<'_, f64>)> = self
            .drawn
            .values()
            .flat_map(|drawn| zip(&drawn.hashes, drawn.values.rows()))
            .enumerate()
            .map(|(place, (hash, vector))| (*hash, place, vector))
            .collect();
        last.sort_unstable_by_key(|(hash, place, _)| (*hash, std::cmp::Reverse(*place)));
        last.dedup_by_key(|(hash, _, _)| *hash);
        let mut points = Points::new(self.dimensions);
        for (_, _, vector) in last.into_iter().take(at_most) {
            points.push(vector, 1.0);
        }
        drop_outliers(&mut points);
        points
    }
}

impl Sample {
    fn none(offset: i64, dimensions: usize) -> Self {
        Self {
            offset,
            hashes: Vec::new(),
            values: Array2::zeros((0, dimensions)),
        }
    }

    /// Adds what another task has drawn; returns the customers that are new here. A customer drawn again at the
    /// same instant, as when history is read again after a reset, counts as drawn last.
    fn add(&mut self, sample: Vec<(u64, Vec<f64>)>, offset: i64) -> Vec<u64> {
        let known = zip(&self.hashes, self.values.rows());
        let known = known.map(|(hash, vector)| (*hash, vector.to_vec()));
        let mut all: BTreeMap<u64, Vec<f64>> = known.collect();
        let mut added = Vec::new();
        for (customer, vector) in sample {
            if all.insert(customer, vector).is_none() {
                added.push(customer);
            }
        }
        self.offset = self.offset.min(offset);
        self.hashes = all.keys().copied().collect();
        let shape = (all.len(), self.values.ncols());
        self.values = Array2::from_shape_vec(shape, all.into_values().flatten().collect())
            .expect("the vectors fit the plan");
        added
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(at_ms: i64, sample: &[(u64, f64)]) -> MiniBatch {
        let sample = sample.iter().map(|(hash, x)| (*hash, vec![*x]));
        let sample = sample.collect();
        MiniBatch { at_ms, sample }
    }

    fn held(window: &Window) -> Vec<(i64, u64, f64)> {
        let weighed = window.weighed(10, 1_000_000);
        let customers = weighed.at_ms.into_iter().zip(weighed.customers);
        let all = customers.enumerate();
        all.map(|(place, (at_ms, hash))| (at_ms, hash, weighed.points.point(place)[0]))
            .collect()
    }

    #[test]
    fn history_that_is_read_again_counts_once() {
        let mut window = Window::new(1, 100);
        for offset in [0, 10] {
            window.take(batch(5, &[(3, 0.3), (1, 0.1)]), offset);
            window.take(batch(5, &[(2, 0.2)]), offset + 1);
            window.take(batch(6, &[(1, 0.6)]), offset + 2);
        }
        let expected = [(5, 1, 0.1), (5, 2, 0.2), (5, 3, 0.3), (6, 1, 0.6)];
        assert_eq!(held(&window), expected);
        assert_eq!((window.len(), window.customers()), (4, 3));
        assert_eq!(window.first_offset(), Some(0));
        window.take(batch(5, &[(2, 0.9)]), 20);
        assert_eq!(held(&window)[1], (5, 2, 0.9));
        window.forget(6, 1, 1);
        assert_eq!((window.len(), window.customers()), (1, 1));
    }
}
