//! What a version of the model would do to customers, before it does it.

use std::collections::BTreeMap;

use flockwise_kmeans::{Points, Scratch};

use crate::model::Model;

/// Flows that a review names, at most.
const FLOWS: usize = 10;

/// What one version does to the customers sampled lately, against the one in use.
#[derive(Clone, Debug, PartialEq)]
pub struct Impact {
    /// Share of them whom it would move, 0 to 1: another segment is nearer than theirs by more than the margin, or
    /// theirs is gone. An estimate: patience, dwell and cooldown keep some, and who was kept by them before may go.
    pub moved: f64,
    /// Share of them whose nearest segment is another, moved or not, 0 to 1.
    pub other_nearest: f64,
    /// From where to where, the largest first.
    pub flows: Vec<Flow>,
    /// Quantisation error with the segments in use: the mean squared distance to the nearest centroid, scaled
    /// as the new version scales.
    pub error_before: f64,
    /// And with the new ones.
    pub error_after: f64,
}

/// Customers who go from one segment to another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Flow {
    /// Segment id.
    pub from: u32,
    /// Segment id.
    pub to: u32,
    /// Share of all customers, 0 to 1.
    pub share: f64,
}

/// Reviews `next` against `now` on feature vectors with weights: everybody is in the segment that is nearest now, and
/// leaves it where another is nearer by more than `margin`, a share of the distance.
#[must_use]
pub fn impact(now: &Model, next: &Model, margin: f64, sampled: &Points) -> Impact {
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
    found.impact()
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
    fn impact(self) -> Impact {
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
        // Not a sum, which is -0 of nothing.
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
