//! The structure of segments: they are born, split, merged, retired, and moved to where they are of more use.

mod bisector;
mod merge;
mod split;

use std::collections::{BTreeMap, BTreeSet};

use flockwise_kmeans::{Fit, Points, lloyd, squared};
use ndarray::{Array1, Array2, Axis};

use super::scaled_space::ScaledSpace;
use crate::lineage::Step;
use crate::policy::LearningPolicy;
use crate::segmentation::{RetiredCentroid, Segmentation};
use bisector::Bisector;

/// A segment is retired once this many of its customers should have been sampled and none was. For a segment that
/// still has customers, chance leaves all of them out once in e^14 looks, a million.
const MISSED: f64 = 14.0;

/// Sampled customers in the scaled space, in the order of the instants at which they were sampled.
pub(super) struct SampledCustomers {
    pub(super) points: Points,
    /// The customer of each sample, by the hash of the id.
    pub(super) customers: Vec<u64>,
    /// When each was sampled, milliseconds since the epoch.
    pub(super) at_ms: Vec<i64>,
    /// Samples from before this time are older than a half-life; milliseconds since the epoch.
    pub(super) old_ms: i64,
}

/// Bounds of the number of segments, and the seed of k-means.
#[derive(Clone, Copy)]
pub(super) struct SegmentLimits {
    pub(super) k_min: usize,
    pub(super) k_max: usize,
    pub(super) seed: u64,
}

impl SegmentLimits {
    pub(super) fn of(policy: &LearningPolicy) -> Self {
        Self {
            k_min: policy.k_min,
            k_max: policy.k_max,
            seed: policy.seed,
        }
    }
}

/// Segments on the way from one version to the next.
pub(super) struct StructureLearner {
    sampled: SampledCustomers,
    bounds: SegmentLimits,
    /// Ids of pinned segments.
    pinned: BTreeSet<u32>,
    /// Centroids of the former version, scaled.
    former: BTreeMap<u32, Array1<f64>>,
    pub(super) ids: Vec<u32>,
    pub(super) fit: Fit,
    pub(super) next_id: u32,
    pub(super) steps: Vec<Step>,
    /// Centroids that segments have left since the former version, scaled.
    pub(super) retired_centroids: Vec<RetiredCentroid>,
}

impl StructureLearner {
    /// Starts from the former version.
    pub(super) fn new(
        sampled: SampledCustomers,
        bounds: SegmentLimits,
        segmentation: &Segmentation,
        space: &ScaledSpace<'_>,
    ) -> Self {
        let segments = &segmentation.segments;
        let centroids = space.centroids(segments);
        let ids: Vec<u32> = segments.iter().map(|segment| segment.id).collect();
        let rows = centroids.rows().into_iter().map(|row| row.to_owned());
        let former = ids.iter().copied().zip(rows).collect();
        let pinned = segments.iter().filter(|segment| segment.is_pinned);
        Self {
            fit: lloyd(&sampled.points, centroids),
            sampled,
            bounds,
            ids,
            pinned: pinned.map(|segment| segment.id).collect(),
            former,
            next_id: segmentation.next_id,
            steps: Vec::new(),
            retired_centroids: Vec::new(),
        }
    }

    /// Starts a first version from the result of k-means. Ids count from 1.
    pub(super) fn first(sampled: SampledCustomers, bounds: SegmentLimits, fit: Fit) -> Self {
        let ids: Vec<u32> = (1..).take(fit.k()).collect();
        Self {
            sampled,
            bounds,
            pinned: BTreeSet::new(),
            former: BTreeMap::new(),
            next_id: ids.len() as u32 + 1,
            ids,
            fit,
            steps: Vec::new(),
            retired_centroids: Vec::new(),
        }
    }

    /// Merges, splits and relocates until nothing changes, at most `rounds` times. No segment is retired: the
    /// samples of a first version are not in the order of time.
    pub(super) fn refine(&mut self, rounds: usize) {
        for _ in 0..rounds {
            let before = self.steps.len();
            self.merge();
            self.split();
            self.relocate();
            if self.steps.len() == before {
                return;
            }
        }
    }

    /// Derives the segments of the next version.
    pub(super) fn organise(&mut self) {
        self.retire();
        self.merge();
        self.split();
        self.relocate();
    }

    fn is_pinned(&self, index: usize) -> bool {
        self.pinned.contains(&self.ids[index])
    }

    /// The weight of each sampled customer; zero for those at retired centroids.
    pub(super) fn weights(&self) -> &[f64] {
        self.sampled.points.weights()
    }

    /// The number of customers that a segment needs: as many as it takes to span its space.
    fn fewest(&self) -> usize {
        fewest(self.sampled.points.dimensions())
    }

    /// If no customers come any more, those that came before no longer count, and the segment is retired if
    /// allowed.
    fn retire(&mut self) {
        for index in (0..self.ids.len()).rev() {
            if self.is_deserted(index) {
                self.give_up(index);
                if self.ids.len() > self.bounds.k_min && !self.is_pinned(index) {
                    let segment = self.ids[index];
                    self.steps.push(Step::Retired { segment });
                    self.remove(index);
                }
            }
        }
    }

    /// Since its last customer was sampled, [`MISSED`] more should have been, at its share until then.
    fn is_deserted(&self, index: usize) -> bool {
        let counts = |place: &usize| self.sampled.points.weight(*place) > 0.0;
        let is_own = |place: &usize| self.fit.labels[*place] == index && counts(place);
        let places = 0..self.fit.labels.len();
        let Some(last) = places.clone().rev().find(is_own) else {
            return true;
        };
        let until_last: f64 = (0..=last)
            .map(|place| self.sampled.points.weight(place))
            .sum();
        let since = places.skip(last + 1).filter(counts).count() as f64;
        since * self.fit.weights[index] >= MISSED * until_last
    }

    fn give_up(&mut self, index: usize) {
        let until_ms = self.sampled.at_ms.last().copied().unwrap_or(i64::MIN);
        self.remember_retired(index, until_ms);
        for place in 0..self.fit.labels.len() {
            if self.fit.labels[place] == index {
                self.sampled.points.set_weight(place, 0.0);
            }
        }
        self.fit.weights[index] = 0.0;
    }

    fn remember_retired(&mut self, index: usize, until_ms: i64) {
        self.retired_centroids.push(RetiredCentroid {
            centroid: self.fit.centroids.row(index).to_vec(),
            until_ms,
        });
    }

    fn bisector(&self) -> Bisector<'_> {
        Bisector {
            points: &self.sampled.points,
            customers: &self.sampled.customers,
            fewest: self.fewest(),
            seed: self.bounds.seed,
        }
    }

    fn remove(&mut self, index: usize) {
        self.fit = self.without(index);
        self.ids.remove(index);
    }

    /// The fit of all other centroids without this one.
    fn without(&self, index: usize) -> Fit {
        lloyd(&self.sampled.points, self.centroids_without(index))
    }

    fn centroids_without(&self, index: usize) -> Array2<f64> {
        let mut centroids = self.fit.centroids.clone();
        centroids.remove_index(Axis(0), index);
        centroids
    }

    fn drop_centroid(&mut self, index: usize) {
        self.fit.centroids.remove_index(Axis(0), index);
        self.fit.weights.remove(index);
        self.ids.remove(index);
    }
}

/// The number of customers that it takes to span a space.
pub(super) fn fewest(dimensions: usize) -> usize {
    dimensions + 1
}

fn nearest_other(fit: &Fit, index: usize) -> Option<usize> {
    let distance = |other: &usize| squared(fit.centroids.row(index), fit.centroids.row(*other));
    (0..fit.k())
        .filter(|other| *other != index)
        .min_by(|left, right| distance(left).total_cmp(&distance(right)))
}
