//! Segments are born, split, merged, retired and moved to where they are of more use.

mod cut;

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use flockwise_kmeans::{Fit, Points, Separation, lloyd, removal_costs, squared};

use super::space::Space;
use crate::lineage::Step;
use crate::model::{Ghost, ModelParts};
use cut::{Cut, Cutter};

/// What a segment moved elsewhere must gain, as a multiple of what it costs where it was: above 1, so that
/// two places of the same worth do not take it in turns.
const WORTH_MOVING: f64 = 1.5;
/// Members whose separation says how two segments lie to each other now, as a multiple of the fewest a
/// segment needs.
const NEWEST: usize = 12;

/// Sampled customers in the space where distances are taken, in the order in which they came.
pub(super) struct Sampled {
    pub(super) points: Points,
    /// Whose each is, by the hash of the id.
    pub(super) customers: Vec<u64>,
    /// When each was sampled.
    pub(super) at_ms: Vec<i64>,
    /// Those sampled before this are older than a half-life.
    pub(super) old_ms: i64,
}

/// Bounds, and what k-means is seeded with.
#[derive(Clone, Copy)]
pub(super) struct Bounds {
    pub(super) k_min: usize,
    pub(super) k_max: usize,
    pub(super) seed: u64,
}

/// Segments on the way from one version to the next.
pub(super) struct Organiser {
    sampled: Sampled,
    bounds: Bounds,
    /// Segments that a person wants to stay.
    pinned: BTreeSet<u32>,
    /// Where segments were in the former version, scaled.
    former: BTreeMap<u32, Vec<f64>>,
    pub(super) ids: Vec<u32>,
    pub(super) fit: Fit,
    pub(super) next_id: u32,
    pub(super) steps: Vec<Step>,
    /// Places that segments have left, scaled, since the former version.
    pub(super) ghosts: Vec<Ghost>,
}

impl Organiser {
    /// Starts from the former version.
    pub(super) fn new(
        sampled: Sampled,
        bounds: Bounds,
        model: &ModelParts,
        space: &Space<'_>,
    ) -> Self {
        let segments = model.segments.iter();
        let former = segments.map(|segment| (segment.id, space.scaled(&segment.centroid)));
        let former: BTreeMap<u32, Vec<f64>> = former.collect();
        let centroids = model
            .segments
            .iter()
            .flat_map(|segment| former[&segment.id].clone());
        let pinned = model.segments.iter().filter(|segment| segment.is_pinned);
        Self {
            fit: lloyd(&sampled.points, centroids.collect()),
            sampled,
            bounds,
            ids: model.segments.iter().map(|segment| segment.id).collect(),
            pinned: pinned.map(|segment| segment.id).collect(),
            former,
            next_id: model.next_id,
            steps: Vec::new(),
            ghosts: Vec::new(),
        }
    }

    /// A first version, from what k-means has found, its ids counted from 1.
    pub(super) fn first(sampled: Sampled, bounds: Bounds, fit: Fit) -> Self {
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
            ghosts: Vec::new(),
        }
    }

    /// Goes on until there is nothing more to do, so many times at most. Nobody has left yet: those sampled are in
    /// no order of time.
    pub(super) fn settle(&mut self, rounds: usize) {
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

    /// Goes to what the next version has.
    pub(super) fn organise(&mut self) {
        self.retire();
        self.merge();
        self.split();
        self.relocate();
    }

    fn is_pinned(&self, index: usize) -> bool {
        self.pinned.contains(&self.ids[index])
    }

    /// What each sampled customer stands for, those at places that were left nothing.
    pub(super) fn weights(&self) -> Vec<f64> {
        self.sampled
            .points
            .iter()
            .map(|(_, weight)| weight)
            .collect()
    }

    /// A segment needs as many customers as it takes to span its space.
    fn fewest(&self) -> usize {
        fewest(self.sampled.points.dimensions())
    }

    /// Where nobody comes any more, what was there counts no more, and the segment goes if it may.
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

    /// Of those sampled since its last one, as many should have been there as it takes to span its space:
    /// with so many expected, none comes by chance once in e^-(d + 1).
    fn is_deserted(&self, index: usize) -> bool {
        let labels = &self.fit.labels;
        let is_own =
            |place: &usize| labels[*place] == index && self.sampled.points.weight(*place) > 0.0;
        let Some(last) = (0..labels.len()).rev().find(is_own) else {
            return true;
        };
        let total: f64 = self.fit.weights.iter().sum();
        let since = (labels.len() - 1 - last) as f64;
        since * self.fit.weights[index] / total >= self.fewest() as f64
    }

    fn give_up(&mut self, index: usize) {
        let until_ms = self.sampled.at_ms.last().copied().unwrap_or(i64::MIN);
        self.haunt(index, until_ms);
        for place in 0..self.fit.labels.len() {
            if self.fit.labels[place] == index {
                self.sampled.points.set_weight(place, 0.0);
            }
        }
        self.fit.weights[index] = 0.0;
    }

    fn haunt(&mut self, index: usize, until_ms: i64) {
        self.ghosts.push(Ghost {
            centroid: self.fit.centroid(index).to_vec(),
            until_ms,
        });
    }

    /// Two that are no more apart than one cut in two become one, the closest first, unless k-means has use for both.
    fn merge(&mut self) {
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

    /// Which goes, into which, and all others without it. What would be undone is not done: none of those left is
    /// two that was not before.
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

    /// Is one segment more worth what one more is worth on average, by what is lost with it? The error of k segments
    /// in d dimensions falls like k^(-2/d) (Zador 1982), by a share of 2 / dk for each. Of a large group k-means makes
    /// several segments: merged, they would come back, where a smaller group gives way to them.
    fn is_of_use(&self, without: &Fit) -> bool {
        let spread = (self.sampled.points.dimensions() * self.ids.len()) as f64;
        without.inertia > (1.0 + 2.0 / spread) * self.fit.inertia
    }

    /// How little sets two apart, where they are one: all their members say so, the newest do, and together
    /// they would not be split.
    fn oneness(&self, left: &[usize], right: &[usize]) -> Option<f64> {
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
        (is_one && self.cutter().two(&both).is_none()).then(|| separation.gain())
    }

    /// With this segment in two, and all others where that leaves them, no two are one that were not before.
    fn stays_two(&self, index: usize, cut: &Cut) -> bool {
        let mut centroids = self.fit.centroids.clone();
        let dimensions = self.sampled.points.dimensions();
        centroids[index * dimensions..][..dimensions].copy_from_slice(&cut.centroids[0]);
        centroids.extend_from_slice(&cut.centroids[1]);
        self.ones(&lloyd(&self.sampled.points, centroids)) <= self.ones(&self.fit)
    }

    fn ones(&self, fit: &Fit) -> usize {
        let members = fit.members();
        let is_one = |(a, b): &(usize, usize)| self.oneness(&members[*a], &members[*b]).is_some();
        neighbours(fit).iter().filter(|pair| is_one(pair)).count()
    }

    fn twos(&self, fit: &Fit) -> usize {
        let members = fit.members();
        let is_two = |members: &&Vec<usize>| self.cutter().two(members).is_some();
        members.iter().filter(is_two).count()
    }

    fn cutter(&self) -> Cutter<'_> {
        Cutter {
            points: &self.sampled.points,
            customers: &self.sampled.customers,
            fewest: self.fewest(),
            seed: self.bounds.seed,
        }
    }

    /// One that is two becomes two, the clearest first.
    fn split(&mut self) {
        while self.ids.len() < self.bounds.k_max {
            let members = self.fit.members();
            let clearest = (0..self.ids.len())
                .filter_map(|index| Some((index, self.cutter().two(&members[index])?)))
                .max_by(|left, right| left.1.clarity().total_cmp(&right.1.clarity()));
            let Some((index, cut)) = clearest else { return };
            if !self.stays_two(index, &cut) {
                return;
            }
            self.take_apart(index, &members[index], cut);
        }
    }

    /// Where there is no room for another one, the segment of least use goes to where one more is of most use,
    /// as long as that is worth it and there are enough for a segment: a few who are far off are none.
    fn relocate(&mut self) {
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
                .filter_map(|index| Some((index, self.cutter().whole(&members[index])?)))
                .filter(|(_, cut)| self.cutter().are_enough(cut))
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

    /// The half with more of its customers of a half-life ago keeps its id; where both have as many, that which is nearer to
    /// where it was. What lies in neither, being older than
    /// what was cut, counts no more.
    fn take_apart(&mut self, index: usize, members: &[usize], cut: Cut) {
        let known = self.former.get(&self.ids[index]);
        let was = known.map_or_else(|| self.fit.centroid(index).to_vec(), Clone::clone);
        let kept = usize::from(self.is_second_older(&cut, &was));
        let older: Vec<usize> = members
            .iter()
            .copied()
            .take_while(|member| *member < cut.first_member())
            .collect();
        let is_left = Separation::between(&self.sampled.points, &older, &cut.members[kept])
            .is_some_and(|separation| separation.is_two());
        if is_left {
            self.haunt(index, self.sampled.at_ms[cut.first_member()]);
            for member in older {
                self.sampled.points.set_weight(member, 0.0);
            }
        }
        let into = self.next_id;
        self.ids.push(into);
        self.next_id += 1;
        let mut centroids = std::mem::take(&mut self.fit.centroids);
        let dimensions = was.len();
        centroids[index * dimensions..][..dimensions].copy_from_slice(&cut.centroids[kept]);
        centroids.extend_from_slice(&cut.centroids[1 - kept]);
        self.fit = lloyd(&self.sampled.points, centroids);
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

    fn is_second_older(&self, cut: &Cut, was: &[f64]) -> bool {
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

    /// The share of a segment's customers who were there a half-life ago.
    fn old_share(&self, index: usize) -> f64 {
        let labels = self.fit.labels.iter().enumerate();
        let (mut old, mut all) = (0.0, 0.0_f64);
        for (place, _) in labels.filter(|(_, label)| **label == index) {
            all += 1.0;
            old += f64::from(u8::from(self.sampled.at_ms[place] < self.sampled.old_ms));
        }
        old / all.max(1.0)
    }

    fn remove(&mut self, index: usize) {
        self.fit = self.without(index);
        self.ids.remove(index);
    }

    /// All others where they are left without one.
    fn without(&self, index: usize) -> Fit {
        lloyd(&self.sampled.points, self.centroids_without(index))
    }

    fn centroids_without(&self, index: usize) -> Vec<f64> {
        let dimensions = self.sampled.points.dimensions();
        let mut centroids = self.fit.centroids.clone();
        centroids.drain(index * dimensions..(index + 1) * dimensions);
        centroids
    }

    fn drop_centroid(&mut self, index: usize) {
        self.fit.centroids = self.centroids_without(index);
        self.fit.weights.remove(index);
        self.ids.remove(index);
    }
}

/// Customers that it takes to span a space.
pub(super) fn fewest(dimensions: usize) -> usize {
    dimensions + 1
}

/// Each centroid with the one nearest to it, each pair once.
fn neighbours(fit: &Fit) -> Vec<(usize, usize)> {
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

fn nearest_other(fit: &Fit, index: usize) -> Option<usize> {
    let distance = |other: &usize| squared(fit.centroid(index), fit.centroid(*other));
    (0..fit.k())
        .filter(|other| *other != index)
        .min_by(|left, right| distance(left).total_cmp(&distance(right)))
}
