//! How a segment is cut in two, and whether it is two.

use std::collections::BTreeSet;

use flockwise_kmeans::{Points, Separation, bisect, squared};
use ndarray::Array1;

/// Minimum number of members to examine, as a multiple of what a segment needs: enough for two segments and some
/// to spare.
const LOOKED_AT: usize = 3;

/// A segment cut in two.
pub(super) struct Cut {
    pub(super) centroids: [Array1<f64>; 2],
    /// The members of each side, in the order in which they were sampled.
    pub(super) members: [Vec<usize>; 2],
    /// By how much the inertia falls.
    pub(super) gain: f64,
    separation: Separation,
}

impl Cut {
    /// How certain it is that the sides are two groups, nats.
    pub(super) fn clarity(&self) -> f64 {
        self.separation.count * (self.separation.gain() - self.separation.penalty())
    }

    /// The member of both sides that was sampled first.
    pub(super) fn first_member(&self) -> usize {
        let firsts = self.members.iter().filter_map(|side| side.first());
        firsts.min().copied().unwrap_or(0)
    }
}

/// Cuts segments in two.
pub(super) struct Bisector<'p> {
    pub(super) points: &'p Points,
    /// The customer of each point, by the hash of the id.
    pub(super) customers: &'p [u64],
    /// Number of customers that a segment needs.
    pub(super) fewest: usize,
    pub(super) seed: u64,
}

impl Bisector<'_> {
    /// The best cut of members who are two groups. Old samples can hide what a segment is now. So it examines all
    /// members, then the newer half, then the newer half of that and so on, as ADWIN (Bifet and Gavaldà 2007) cuts
    /// adaptive windows.
    pub(super) fn two(&self, members: &[usize]) -> Option<Cut> {
        let mut newest = members;
        while newest.len() >= LOOKED_AT * self.fewest {
            let cut = self.whole(newest).filter(|cut| self.is_two(cut, newest));
            if cut.is_some() {
                return cut;
            }
            newest = &newest[newest.len().div_ceil(2)..];
        }
        None
    }

    /// The best cut of members, whether they are two groups or not.
    pub(super) fn whole(&self, members: &[usize]) -> Option<Cut> {
        let own = self.points.of(members);
        let weight: f64 = own.weights().iter().sum();
        if weight <= 0.0 {
            return None;
        }
        let cut = bisect(&own, self.seed);
        let mean = self.points.mean(members);
        let inertia: f64 = own
            .iter()
            .map(|(point, weight)| weight * squared(point, &mean))
            .sum();
        let side = |side: bool| -> Vec<usize> {
            let own = members.iter().zip(&cut.is_second);
            own.filter(|(_, is_second)| **is_second == side)
                .map(|(member, _)| *member)
                .collect()
        };
        let members = [side(false), side(true)];
        let separation = Separation::between(self.points, &members[0], &members[1])?;
        Some(Cut {
            centroids: cut.centroids,
            members,
            gain: inertia - cut.inertia,
            separation,
        })
    }

    fn is_two(&self, cut: &Cut, members: &[usize]) -> bool {
        cut.separation.is_two() && self.is_counted(cut) && self.is_alive(cut, members)
    }

    /// Whether both sides have as many members as a segment needs, by Kish's effective number.
    fn is_counted(&self, cut: &Cut) -> bool {
        let share = cut.separation.share.min(1.0 - cut.separation.share);
        cut.separation.count * share >= self.fewest as f64
    }

    /// Whether both sides have enough members and enough different customers for a segment: one who is sampled
    /// again and again counts once.
    pub(super) fn are_enough(&self, cut: &Cut) -> bool {
        let has_customers = |members: &Vec<usize>| {
            let mut seen = BTreeSet::new();
            let mut heard = members
                .iter()
                .filter(|member| self.points.weight(**member) > 0.0);
            heard.any(|member| {
                seen.insert(self.customers[*member]);
                seen.len() >= self.fewest
            })
        };
        self.is_counted(cut) && cut.members.iter().all(has_customers)
    }

    /// Whether both sides are still sampled. It takes as many of the newest members as should include enough of a
    /// side for a segment; the side must have at least half of that. The trail of a segment that moves is a group
    /// of its own, but no customers come there any more.
    fn is_alive(&self, cut: &Cut, members: &[usize]) -> bool {
        cut.members.iter().all(|side| {
            let newest = (self.fewest * members.len()).div_ceil(side.len().max(1));
            let since = members[members.len().saturating_sub(newest)];
            let coming = side.iter().rev().take_while(|member| **member >= since);
            2 * coming.count() >= self.fewest
        })
    }
}
