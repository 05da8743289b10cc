//! Splits: one segment becomes two, or moves to where it is of more use.

use std::cmp::Ordering;

use flockwise_kmeans::{Fit, Separation, lloyd, removal_costs, squared};
use ndarray::Array1;

use super::bisector::Cut;
use super::merge::neighbours;
use super::{StructureLearner, nearest_other};
use crate::lineage::Step;

/// What a segment must gain elsewhere, as a multiple of what it costs where it was. Above 1, so that two places of
/// equal worth do not take turns.
const WORTH_MOVING: f64 = 1.5;

impl StructureLearner {
    /// Splits segments that are two groups, the clearest first.
    pub(super) fn split(&mut self) {
        while self.ids.len() < self.bounds.k_max {
            let members = self.fit.members();
            let clearest = (0..self.ids.len())
                .filter_map(|index| Some((index, self.bisector().two(&members[index])?)))
                .max_by(|left, right| left.1.clarity().total_cmp(&right.1.clarity()));
            let Some((index, cut)) = clearest else { return };
            if !self.stays_two(index, &cut) {
                return;
            }
            self.take_apart(index, &members[index], cut);
        }
    }

    /// Whether a split lasts: no pair of the new fit is one that was not before.
    fn stays_two(&self, index: usize, cut: &Cut) -> bool {
        self.ones(&self.in_two(index, cut, 0)) <= self.ones(&self.fit)
    }

    /// The fit with this segment split: one half takes its place, the other is at the end.
    fn in_two(&self, index: usize, cut: &Cut, in_place: usize) -> Fit {
        let mut centroids = self.fit.centroids.clone();
        centroids.row_mut(index).assign(&cut.centroids[in_place]);
        centroids
            .push_row(cut.centroids[1 - in_place].view())
            .expect("all centroids have the dimensions of the points");
        lloyd(&self.sampled.points, centroids)
    }

    fn ones(&self, fit: &Fit) -> usize {
        let members = fit.members();
        let is_one = |(a, b): &(usize, usize)| self.oneness(&members[*a], &members[*b]).is_some();
        neighbours(fit).iter().filter(|pair| is_one(pair)).count()
    }

    /// If there is no room for another segment, moves the one of least use to where one more is of most use, if
    /// that is worth it and there are enough customers for a segment. A few far-off customers are not enough.
    pub(super) fn relocate(&mut self) {
        if self.ids.len() < self.bounds.k_max {
            return;
        }
        for _ in 0..self.ids.len() {
            let costs = removal_costs(&self.sampled.points, &self.fit);
            let movable = (0..costs.len()).filter(|index| !self.is_pinned(*index));
            let least = movable.min_by(|a, b| costs[*a].total_cmp(&costs[*b]));
            let Some(least) = least.filter(|_| costs.len() > 1) else {
                return;
            };
            let members = self.fit.members();
            let best = (0..self.ids.len())
                .filter(|index| *index != least)
                .filter_map(|index| Some((index, self.bisector().whole(&members[index])?)))
                .filter(|(_, cut)| self.bisector().are_enough(cut))
                .max_by(|left, right| left.1.gain.total_cmp(&right.1.gain));
            let Some((index, cut)) = best.filter(|best| best.1.gain > WORTH_MOVING * costs[least])
            else {
                return;
            };
            self.move_to(least, index, &members[index], cut);
        }
    }

    fn move_to(&mut self, gone: usize, index: usize, members: &[usize], cut: Cut) {
        let segment = self.ids[gone];
        let into = nearest_other(&self.fit, gone).filter(|_| self.fit.weights[gone] > 0.0);
        self.steps.push(match into {
            Some(into) => Step::Merged {
                segment,
                into: self.ids[into],
            },
            None => Step::Retired { segment },
        });
        self.drop_centroid(gone);
        self.take_apart(index - usize::from(gone < index), members, cut);
    }

    /// Splits a segment. The half with more customers from more than a half-life ago keeps the id; if both have as
    /// many, the half nearer to the former centroid. Members older than the cut that belong to neither half no
    /// longer count.
    fn take_apart(&mut self, index: usize, members: &[usize], cut: Cut) {
        let known = self.former.get(&self.ids[index]);
        let was = known.cloned();
        let was = was.unwrap_or_else(|| self.fit.centroids.row(index).to_owned());
        let kept = usize::from(self.is_second_older(&cut, &was));
        let older: Vec<usize> = members
            .iter()
            .copied()
            .take_while(|member| *member < cut.first_member())
            .collect();
        let is_left = Separation::between(&self.sampled.points, &older, &cut.members[kept])
            .is_some_and(|separation| separation.is_two());
        if is_left {
            self.remember_retired(index, self.sampled.at_ms[cut.first_member()]);
            for member in older {
                self.sampled.points.set_weight(member, 0.0);
            }
        }
        let into = self.next_id;
        self.ids.push(into);
        self.next_id += 1;
        self.fit = self.in_two(index, &cut, kept);
        let is_new = self.old_share(self.ids.len() - 1) < 0.5 * self.old_share(index);
        self.steps.push(if is_new {
            Step::Born { segment: into }
        } else {
            Step::Split {
                segment: self.ids[index],
                into,
            }
        });
    }

    fn is_second_older(&self, cut: &Cut, was: &Array1<f64>) -> bool {
        let old = cut.members.each_ref().map(|side| {
            let old = side
                .iter()
                .filter(|member| self.sampled.at_ms[**member] < self.sampled.old_ms)
                .filter(|member| self.sampled.points.weight(**member) > 0.0);
            old.count()
        });
        match old[1].cmp(&old[0]) {
            Ordering::Equal => squared(&cut.centroids[1], was) < squared(&cut.centroids[0], was),
            older => older == Ordering::Greater,
        }
    }

    /// The share of a segment's customers who were sampled more than a half-life ago.
    fn old_share(&self, index: usize) -> f64 {
        let labels = self.fit.labels.iter().enumerate();
        let (mut old, mut all) = (0.0, 0.0_f64);
        for (place, _) in labels.filter(|(_, label)| **label == index) {
            all += 1.0;
            old += f64::from(u8::from(self.sampled.at_ms[place] < self.sampled.old_ms));
        }
        old / all.max(1.0)
    }
}
