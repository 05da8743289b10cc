//! The impact of a segmentation: an estimate of what it does to customers, made before it is used.

use std::collections::BTreeMap;

use flockwise_kmeans::{Points, Scratch};

use super::scorer::SegmentScorer;

/// Maximum number of flows in an impact.
const FLOWS: usize = 10;

/// What the segments of one version do to the recently sampled customers, compared with those in use.
#[derive(Clone, Debug, PartialEq)]
pub struct Impact {
    /// Share of the customers that it would move, 0 to 1: another segment is nearer than theirs by more than the
    /// margin, or theirs is gone. An estimate: patience, dwell and cooldown hold some back, and may release some
    /// that they held before.
    pub moved: f64,
    /// Share of the customers whose nearest segment changes, whether they move or not, 0 to 1.
    pub other_nearest: f64,
    /// The moves from segment to segment, the largest first.
    pub flows: Vec<Flow>,
    /// Quantisation error with the segments in use: the mean squared distance to the nearest centroid, in the
    /// scaled space of the new version.
    pub error_before: f64,
    /// Quantisation error with the new segments.
    pub error_after: f64,
}

/// Customers who move from one segment to another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Flow {
    /// Id of the previous segment.
    pub from: u32,
    /// Id of the new segment.
    pub to: u32,
    /// Share of the sampled customers, 0 to 1.
    pub share: f64,
}

/// Compares `next` with `now` on weighted feature vectors. Each customer is taken to be in the segment that is
/// nearest now, and moves if another is nearer by more than `margin`, a share of the distance.
#[must_use]
pub fn impact(now: &SegmentScorer, next: &SegmentScorer, margin: f64, sampled: &Points) -> Impact {
    let mut found = WeightedCounts::default();
    let mut scratch = Scratch::default();
    let (mut seen_now, mut seen_next) = (Vec::new(), Vec::new());
    for (vector, weight) in sampled.iter().filter(|(_, weight)| *weight > 0.0) {
        now.scaled(vector, &mut seen_now);
        next.scaled(vector, &mut seen_next);
        let from = &now.segments()[now.score(&seen_now, &mut scratch).0];
        let (nearest, distance) = next.score(&seen_next, &mut scratch);
        found.total += weight;
        found.error_after += weight * distance * distance;
        let former = from.centroid.iter().zip(next.scale()).zip(&seen_next);
        let squared = former.map(|((centroid, scale), x)| (centroid * scale - x).powi(2));
        found.error_before += weight * squared.sum::<f64>();
        let to = next.segments()[nearest].id;
        if from.id == to {
            continue;
        }
        found.other_nearest += weight;
        let own = next.index_of(from.id);
        let own = own.map(|own| next.nearest().squared_distance(&seen_next, own).sqrt());
        if own.is_none_or(|own| distance < own * (1.0 - margin)) {
            *found.flows.entry((from.id, to)).or_default() += weight;
        }
    }
    found.into_impact()
}

#[derive(Default)]
struct WeightedCounts {
    total: f64,
    other_nearest: f64,
    error_before: f64,
    error_after: f64,
    flows: BTreeMap<(u32, u32), f64>,
}

impl WeightedCounts {
    fn into_impact(self) -> Impact {
        let share = |weight: f64| {
            if self.total > 0.0 {
                weight / self.total
            } else {
                0.0
            }
        };
        let mut flows: Vec<Flow> = self
            .flows
            .iter()
            .map(|((from, to), weight)| Flow {
                from: *from,
                to: *to,
                share: share(*weight),
            })
            .collect();
        // Folds from 0.0: an empty `sum()` is -0.0.
        let moved = flows.iter().fold(0.0, |moved, flow| moved + flow.share);
        flows.sort_by(|left, right| right.share.total_cmp(&left.share));
        flows.truncate(FLOWS);
        Impact {
            moved,
            other_nearest: share(self.other_nearest),
            flows,
            error_before: share(self.error_before),
            error_after: share(self.error_after),
        }
    }
}
