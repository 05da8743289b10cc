//! The customers that a model is learnt from: those sampled lately, each as of then.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, VecDeque};

use flockwise_kmeans::Points;

use super::MiniBatch;
use super::faults::silence_faults;

/// Half-lives after which a sampled customer is forgotten: the weight is a sixteenth by then.
pub(super) const KEPT_HALF_LIVES: i64 = 4;

/// The largest number that is taken in: sums of the squares of many are finite.
const LARGEST: f64 = 1e120;

/// A window over the mini-batches. What it holds follows from the batches alone, from the one at
/// [`Window::first_offset`] on, so that a new trainer reads them again and is level.
#[derive(Clone, Debug)]
pub(super) struct Window {
    batches: VecDeque<Kept>,
    /// Vectors held.
    vectors: usize,
    /// How many of them are of each customer, by the hash of the id.
    of_customer: BTreeMap<u64, u32>,
    capacity: usize,
    dimensions: usize,
}

#[derive(Clone, Debug)]
struct Kept {
    offset: i64,
    at_ms: i64,
    hashes: Vec<u64>,
    values: Vec<f64>,
}

/// Vectors with their weights, whose they are, and when they were sampled, in the order in which they came.
pub(super) struct Weighed {
    pub(super) points: Points,
    /// Hashes of their ids.
    pub(super) customers: Vec<u64>,
    pub(super) at_ms: Vec<i64>,
}

impl Window {
    /// Holds so many customers at most, those sampled last.
    pub(super) fn new(dimensions: usize, capacity: usize) -> Self {
        Self {
            batches: VecDeque::new(),
            vectors: 0,
            of_customer: BTreeMap::new(),
            capacity,
            dimensions,
        }
    }

    /// Vectors that it holds: a customer who was sampled twice counts twice.
    pub(super) fn len(&self) -> usize {
        self.vectors
    }

    /// Different customers that it holds.
    pub(super) fn customers(&self) -> usize {
        self.of_customer.len()
    }

    /// Where the oldest mini-batch lies that it holds something of.
    pub(super) fn first_offset(&self) -> Option<i64> {
        self.batches.front().map(|kept| kept.offset)
    }

    /// Takes in what fits the plan and can be reckoned with.
    pub(super) fn take(&mut self, batch: MiniBatch, offset: i64) {
        let mut kept = Kept {
            offset,
            at_ms: batch.at_ms,
            hashes: Vec::with_capacity(batch.sample.len()),
            values: Vec::with_capacity(batch.sample.len() * self.dimensions),
        };
        for (customer, vector) in batch.sample {
            if vector.len() == self.dimensions && vector.iter().all(|x| x.abs() <= LARGEST) {
                *self.of_customer.entry(customer).or_default() += 1;
                kept.hashes.push(customer);
                kept.values.extend_from_slice(&vector);
            }
        }
        self.vectors += kept.hashes.len();
        self.batches.push_back(kept);
        while self.vectors > self.capacity && self.batches.len() > 1 {
            self.drop_first();
        }
    }

    /// Forgets what is too old to count, and all but so many.
    pub(super) fn forget(&mut self, now_ms: i64, half_life_ms: i64, kept: usize) {
        let bound_ms = now_ms.saturating_sub(half_life_ms.saturating_mul(KEPT_HALF_LIVES));
        while self
            .batches
            .front()
            .is_some_and(|kept| kept.at_ms < bound_ms)
        {
            self.drop_first();
        }
        while self.vectors > kept && self.batches.len() > 1 {
            self.drop_first();
        }
    }

    fn drop_first(&mut self) {
        let Some(kept) = self.batches.pop_front() else {
            return;
        };
        self.vectors -= kept.hashes.len();
        for hash in kept.hashes {
            if let Entry::Occupied(mut count) = self.of_customer.entry(hash) {
                *count.get_mut() -= 1;
                if *count.get() == 0 {
                    count.remove();
                }
            }
        }
    }

    /// Everything it holds, weighed by age; faults weigh nothing.
    pub(super) fn weighed(&self, now_ms: i64, half_life_ms: i64) -> Weighed {
        let mut weighed = Weighed {
            points: Points::new(self.dimensions),
            customers: Vec::with_capacity(self.vectors),
            at_ms: Vec::with_capacity(self.vectors),
        };
        for kept in &self.batches {
            let age_ms = now_ms.saturating_sub(kept.at_ms).max(0);
            if age_ms > half_life_ms.saturating_mul(KEPT_HALF_LIVES) {
                continue;
            }
            let weight = (-(age_ms as f64) / half_life_ms as f64).exp2();
            weighed.customers.extend_from_slice(&kept.hashes);
            for vector in kept.values.chunks_exact(self.dimensions) {
                weighed.points.push(vector, weight);
                weighed.at_ms.push(kept.at_ms);
            }
        }
        silence_faults(&mut weighed.points);
        weighed
    }

    /// Each customer once, as sampled last, in the order of the hashes of their ids: so that the first ones
    /// are a fair sample. Faults weigh nothing.
    pub(super) fn each_once(&self, at_most: usize) -> Points {
        let mut last: Vec<(u64, usize, &[f64])> = self
            .batches
            .iter()
            .flat_map(|kept| {
                kept.hashes
                    .iter()
                    .zip(kept.values.chunks_exact(self.dimensions))
            })
            .enumerate()
            .map(|(place, (hash, vector))| (*hash, place, vector))
            .collect();
        last.sort_unstable_by_key(|(hash, place, _)| (*hash, std::cmp::Reverse(*place)));
        last.dedup_by_key(|(hash, _, _)| *hash);
        let mut points = Points::new(self.dimensions);
        for (_, _, vector) in last.into_iter().take(at_most) {
            points.push(vector, 1.0);
        }
        silence_faults(&mut points);
        points
    }
}
