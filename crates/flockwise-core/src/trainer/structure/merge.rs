//! Merges: two segments become one.

use flockwise_kmeans::{Fit, Separation};

use super::{StructureLearner, nearest_other};
use crate::lineage::Step;

/// Number of newest members whose separation counts as the present one, as a multiple of what a segment needs.
const NEWEST: usize = 12;

impl StructureLearner {
    /// Merges pairs that are no more apart than one group cut in two, the closest first, unless k-means needs
    /// both.
    pub(super) fn merge(&mut self) {
        while self.ids.len() > self.bounds.k_min.max(1) {
            let Some((gone, kept, merged)) = self.closest_to_merge() else {
                return;
            };
            self.steps.push(Step::Merged {
                segment: self.ids[gone],
                into: self.ids[kept],
            });
            self.ids.remove(gone);
            self.fit = merged;
        }
    }

    /// The segment to merge, the one to merge it into, and the fit without the former. A merge that would be
    /// undone is not made: it must not leave a segment that is two and was not before.
    fn closest_to_merge(&self) -> Option<(usize, usize, Fit)> {
        let members = self.fit.members();
        let mut ones: Vec<(usize, usize, f64)> = neighbours(&self.fit)
            .into_iter()
            .filter(|(a, b)| !(self.is_pinned(*a) && self.is_pinned(*b)))
            .filter_map(|(a, b)| Some((a, b, self.oneness(&members[a], &members[b])?)))
            .collect();
        ones.sort_by(|left, right| left.2.total_cmp(&right.2));
        ones.into_iter().find_map(|(a, b, _)| {
            let is_first_less = self.fit.weights[a] < self.fit.weights[b];
            let goes_first = self.is_pinned(b) || (is_first_less && !self.is_pinned(a));
            let (gone, kept) = if goes_first { (a, b) } else { (b, a) };
            let merged = self.without(gone);
            let stays = self.is_of_use(&merged) || self.twos(&merged) > self.twos(&self.fit);
            (!stays).then_some((gone, kept, merged))
        })
    }

    /// Whether one segment more is worth what one more is worth on average, measured by the loss without it. The
    /// error of k segments in d dimensions falls like k^(-2/d) (Zador 1982), by a share of 2 / dk for each.
    /// K-means makes several segments of a large group. If they were merged, they would come back and displace the
    /// segment of a smaller group.
    fn is_of_use(&self, without: &Fit) -> bool {
        let spread = (self.sampled.points.dimensions() * self.ids.len()) as f64;
        without.inertia > (1.0 + 2.0 / spread) * self.fit.inertia
    }

    /// How little separates two segments; `None` if they are not one. To be one, all members and the newest ones
    /// must agree on it, and a split of both together must not follow.
    pub(super) fn oneness(&self, left: &[usize], right: &[usize]) -> Option<f64> {
        let points = &self.sampled.points;
        let separation = Separation::between(points, left, right)?;
        if !separation.is_one() {
            return None;
        }
        let mut both = [left, right].concat();
        both.sort_unstable();
        let since = both[both.len().saturating_sub(NEWEST * self.fewest())];
        let newest = |members: &[usize]| -> Vec<usize> {
            members
                .iter()
                .copied()
                .filter(|member| *member >= since)
                .collect()
        };
        let now = Separation::between(points, &newest(left), &newest(right));
        let is_one = now.is_none_or(|now| now.gain() < 0.0);
        (is_one && self.bisector().two(&both).is_none()).then(|| separation.gain())
    }

    fn twos(&self, fit: &Fit) -> usize {
        let members = fit.members();
        let is_two = |members: &&Vec<usize>| self.bisector().two(members).is_some();
        members.iter().filter(is_two).count()
    }
}

/// Each centroid with weight and the one nearest to it. Each pair occurs once.
pub(super) fn neighbours(fit: &Fit) -> Vec<(usize, usize)> {
    let mut pairs: Vec<(usize, usize)> = (0..fit.k())
        .filter(|index| fit.weights[*index] > 0.0)
        .filter_map(|index| {
            nearest_other(fit, index).map(|other| (index.min(other), index.max(other)))
        })
        .collect();
    pairs.sort_unstable();
    pairs.dedup();
    pairs
}
