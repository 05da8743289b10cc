//! The naive version: a list of all that was added, from which values are computed in the end.

use std::collections::BTreeSet;

use flockwise_core::feature::{Aggregate, Feature, Horizon};
use flockwise_core::order_rules::{OrderRules, Repeat};

use crate::shop::{Act, DAY_MS};

/// What an event added to a feature, above and below, and what was taken back of it.
#[derive(Clone, Debug)]
struct Part {
    feature: usize,
    name: &'static str,
    order: Option<u8>,
    time_ms: i64,
    added: [f64; 2],
    taken: [f64; 2],
    /// What it once added, without sign: rounding is in proportion to that.
    size: [f64; 2],
    /// It can be taken back, or replaced.
    is_kept: bool,
}

/// An expected value, and by how much rounding may change it.
#[derive(Debug)]
pub(crate) struct Expected {
    value: f64,
    size: f64,
    alternative: f64,
}

impl Expected {
    pub(crate) fn is_like(&self, found: f64) -> bool {
        let near = |value: f64| (found - value).abs() <= 1e-9 * (self.size + value.abs());
        near(self.value) || near(self.alternative)
    }
}

pub(crate) struct Shop<'a> {
    features: &'a [Feature],
    rules: &'a OrderRules,
    parts: Vec<Part>,
    ids: BTreeSet<u64>,
    /// Name, order and time of events that are remembered.
    seen: Vec<(&'static str, u8, i64)>,
    pub(crate) duplicates: u64,
    pub(crate) no_order: u64,
}

impl<'a> Shop<'a> {
    pub(crate) fn new(features: &'a [Feature], rules: &'a OrderRules) -> Self {
        Self {
            features,
            rules,
            parts: Vec::new(),
            ids: BTreeSet::new(),
            seen: Vec::new(),
            duplicates: 0,
            no_order: 0,
        }
    }

    fn configured(&self, name: &str) -> Option<Repeat> {
        let found = self.rules.repeats.iter().find(|(known, _)| known == name);
        found.map(|(_, repeat)| *repeat)
    }

    fn repeat(&self, act: &Act) -> Repeat {
        let named = |names: &[String]| names.iter().any(|name| name == act.name);
        let reversed = || {
            self.features
                .iter()
                .filter(|feature| !feature.reversed_by.is_empty())
        };
        match self.configured(act.name) {
            Some(repeat) => repeat,
            None if reversed().any(|feature| named(&feature.reversed_by)) => Repeat::Each,
            None if reversed().any(|feature| named(&feature.events)) => Repeat::First,
            None if act.id.is_some() => Repeat::Each,
            None => Repeat::First,
        }
    }

    fn is_duplicate(&mut self, act: &Act) -> bool {
        let (repeat, keeps) = (self.repeat(act), self.keeps(act.name));
        let known = self
            .seen
            .iter_mut()
            .rev()
            .find(|(name, order, _)| *name == act.name && Some(*order) == act.order);
        match (&known, repeat) {
            (Some(_), Repeat::First) => return true,
            (Some((_, _, time_ms)), Repeat::Last) if *time_ms > act.time_ms => return true,
            _ => {}
        }
        if act.id.is_some_and(|id| !self.ids.insert(id)) {
            return true;
        }
        if let Some(order) = act.order {
            match known {
                Some(known) if repeat == Repeat::Last => known.2 = act.time_ms,
                _ if repeat == Repeat::Each && !keeps => {}
                _ => self.seen.push((act.name, order, act.time_ms)),
            }
        }
        false
    }

    /// Whether a feature needs to know what an event of this name added.
    fn keeps(&self, name: &str) -> bool {
        let counts = |feature: &Feature| {
            feature.events.is_empty() || feature.events.iter().any(|known| known == name)
        };
        let is_reversal = |feature: &Feature| feature.reversed_by.iter().any(|known| known == name);
        self.features.iter().enumerate().any(|(index, feature)| {
            let is_kept = !feature.reversed_by.is_empty() || self.replaces(index, name);
            is_kept && counts(feature) && !is_reversal(feature)
        })
    }

    pub(crate) fn see(&mut self, act: &Act) {
        if self.is_duplicate(act) {
            self.duplicates += 1;
            return;
        }
        for index in 0..self.features.len() {
            let feature = &self.features[index];
            let named = |names: &[String]| names.iter().any(|name| name == act.name);
            if named(&feature.reversed_by) {
                self.reverse(index, act);
            } else if feature.events.is_empty() || named(&feature.events) {
                self.count(index, act);
            }
        }
    }

    /// Whether a part is of the same order, and counts in a feature together with events of this name.
    fn is_related(&self, part: &Part, index: usize, name: &str, act: &Act) -> bool {
        let events = &self.features[index].events;
        let is_named = match events.is_empty() {
            true => part.name == name,
            false => events.iter().any(|name| name == part.name),
        };
        part.feature == index && act.order.is_some() && part.order == act.order && is_named
    }

    fn replaces(&self, index: usize, name: &str) -> bool {
        let is_last = |name: &str| self.configured(name) == Some(Repeat::Last);
        match self.features[index].events.as_slice() {
            [] => is_last(name),
            events => events.iter().any(|name| is_last(name)),
        }
    }

    fn count(&mut self, index: usize, act: &Act) {
        let feature = &self.features[index];
        let mut taken = [0.0; 2];
        let replaces = self.replaces(index, act.name);
        if replaces {
            let related =
                |part: &&mut Part, shop: &Self| shop.is_related(part, index, act.name, act);
            let mut parts = std::mem::take(&mut self.parts);
            let is_late = |part: &Part| part.time_ms > act.time_ms;
            let is_superseded = parts
                .iter_mut()
                .any(|mut part| related(&mut part, self) && is_late(part));
            if !is_superseded {
                for part in parts.iter_mut().filter(|part| related(part, self)) {
                    taken = [taken[0] + part.taken[0], taken[1] + part.taken[1]];
                    (part.added, part.taken) = ([0.0; 2], [0.0; 2]);
                }
            }
            self.parts = parts;
            if is_superseded {
                // It is remembered all the same, with nothing added.
                self.push(index, act, [0.0; 2], [0.0; 2], true);
                return;
            }
        }
        let added = terms(feature, act);
        let is_kept = replaces || !feature.reversed_by.is_empty();
        if added.is_some() || is_kept {
            self.push(index, act, added.unwrap_or_default(), taken, is_kept);
        }
    }

    fn push(&mut self, index: usize, act: &Act, added: [f64; 2], taken: [f64; 2], is_kept: bool) {
        self.parts.push(Part {
            feature: index,
            name: act.name,
            order: act.order,
            time_ms: act.time_ms,
            added,
            taken,
            size: added.map(f64::abs),
            is_kept,
        });
    }

    fn reverse(&mut self, index: usize, act: &Act) {
        let feature = &self.features[index];
        let is_mine = |shop: &Self, part: &Part| {
            part.is_kept && shop.is_related(part, index, &feature.events[0], act)
        };
        let known = |name: &String| {
            let is_it =
                |(seen, order, _): &(&str, u8, i64)| *seen == *name && Some(*order) == act.order;
            self.seen.iter().any(is_it)
        };
        let is_known = feature.events.iter().any(known);
        let web = match act.is_web {
            None => is_known,
            Some(is_web) => is_web,
        };
        let is_share = feature.aggregate == Aggregate::Share;
        if !(feature.conditions.is_empty() || is_share || web) {
            return;
        }
        let stated = self.stated(index, act);
        if !is_known {
            let back = match feature.aggregate {
                Aggregate::Count => Some([1.0, 0.0]),
                Aggregate::Share => terms(feature, act),
                _ if act.is_so_far => None,
                _ => stated.map(|amount| [amount, 1.0]),
            };
            match back {
                Some(back) => self.push(index, act, back.map(|side| -side), [0.0; 2], false),
                None => self.no_order += 1,
            }
            return;
        }
        let order = self.amount_of_order(act);
        let mut parts = std::mem::take(&mut self.parts);
        let mine = parts.iter_mut().rev().filter(|part| is_mine(self, part));
        let mut mine: Vec<&mut Part> = mine.filter(|part| part.added != [0.0; 2]).collect();
        let so_far: f64 = mine.iter().map(|part| part.taken[0].abs()).sum();
        let mut due = match feature.aggregate {
            Aggregate::Count => Some(1.0),
            Aggregate::Share => None,
            _ => stated,
        };
        if act.is_so_far {
            due = due.map(|due| due - so_far);
        }
        let share = match (due, feature.aggregate, act.amount, order) {
            (None, Aggregate::Sum | Aggregate::Mean, Some(amount), Some(order)) if order > 0.0 => {
                Some((amount.abs() / order).min(1.0))
            }
            _ => None,
        };
        for part in &mut mine {
            let left = left(part);
            let mut back = left[0].abs();
            if let Some(due) = &mut due {
                back = due.clamp(0.0, back);
                *due -= back;
            } else if let Some(share) = share {
                let wanted = share * part.added[0].abs();
                let wanted = if act.is_so_far {
                    wanted - part.taken[0].abs()
                } else {
                    wanted
                };
                back = wanted.clamp(0.0, back);
            }
            part.taken[0] += back.copysign(left[0]);
            let is_all = match share {
                Some(share) => share >= 1.0,
                None => back == left[0].abs(),
            };
            if is_all {
                part.taken[1] += left[1];
            }
        }
        let has_fed = !mine.is_empty();
        let newest_ms = mine.first().map_or(0, |part| part.time_ms);
        self.parts = parts;
        let is_own = self.is_own(index, act);
        if let Some(rest) = due.filter(|rest| *rest > 0.0)
            && (has_fed && is_own && !act.is_so_far)
        {
            // The money went back, whatever the order was.
            self.push(index, act, [-rest, 0.0], [0.0; 2], false);
            self.parts.last_mut().unwrap().time_ms = newest_ms;
        }
    }

    /// Whether a reversal states its amount in the value of a sum.
    fn is_own(&self, index: usize, act: &Act) -> bool {
        let feature = &self.features[index];
        let value = feature.value.as_ref();
        let is_format = value.is_some_and(|value| {
            self.rules.of.contains(value) && !self.rules.amounts.contains(value)
        });
        feature.aggregate == Aggregate::Sum && act.x.is_some() && !is_format
    }

    fn stated(&self, index: usize, act: &Act) -> Option<f64> {
        let feature = &self.features[index];
        let value = feature.value.as_ref()?;
        let (is_amount, is_of) = (
            self.rules.amounts.contains(value),
            self.rules.of.contains(value),
        );
        let stated = match (is_amount, is_of) {
            (true, _) => act.x.or(act.amount),
            (false, true) => act.amount,
            (false, false) => act.x,
        };
        stated.map(f64::abs)
    }

    fn amount_of_order(&self, act: &Act) -> Option<f64> {
        let is_amount = |feature: &Feature| {
            let value = feature.value.as_ref();
            value.is_some_and(|value| {
                self.rules.amounts.contains(value) || self.rules.of.contains(value)
            })
        };
        let of = |index: usize| {
            let name = self.features[index].events.first()?;
            let parts = self.parts.iter().filter(|part| {
                part.is_kept && self.is_related(part, index, name, act) && part.added != [0.0; 2]
            });
            let added: Vec<f64> = parts.map(|part| part.added[0].abs()).collect();
            (!added.is_empty()).then(|| added.iter().sum())
        };
        let features = 0..self.features.len();
        features
            .filter(|index| is_amount(&self.features[*index]))
            .find_map(of)
    }

    pub(crate) fn values(&self, at_ms: i64) -> Vec<Expected> {
        let features = self.features.iter().enumerate();
        features
            .map(|(index, feature)| {
                let (mut sums, mut sizes) = ([0.0; 2], [0.0; 2]);
                for part in self.parts.iter().filter(|part| part.feature == index) {
                    let weight = weight(feature.horizon, part.time_ms, at_ms);
                    for side in 0..2 {
                        sums[side] += weight * left(part)[side];
                        sizes[side] += weight * (part.size[side] + part.taken[side].abs());
                    }
                }
                expected(feature, sums, sizes)
            })
            .collect()
    }
}

fn expected(feature: &Feature, sums: [f64; 2], sizes: [f64; 2]) -> Expected {
    if matches!(feature.aggregate, Aggregate::Sum | Aggregate::Count) {
        return Expected {
            value: sums[0],
            size: sizes[0],
            alternative: sums[0],
        };
    }
    // What is left may be rounding.
    let is_unsure = sums[1].abs() <= 1e-4 * sizes[1].max(1e-4);
    let value = if sums[1] > 0.0 {
        sums[0] / sums[1]
    } else {
        feature.default
    };
    Expected {
        value,
        size: (sizes[0] + value.abs() * sizes[1]) / sums[1].abs().max(f64::MIN_POSITIVE),
        alternative: if is_unsure { feature.default } else { value },
    }
}

fn left(part: &Part) -> [f64; 2] {
    [0, 1].map(|side| {
        let left = part.added[side] - part.taken[side];
        if left * part.added[side] > 0.0 {
            left
        } else {
            0.0
        }
    })
}

fn terms(feature: &Feature, act: &Act) -> Option<[f64; 2]> {
    let holds = feature.conditions.is_empty() || act.is_web == Some(true);
    match feature.aggregate {
        Aggregate::Share => Some([f64::from(u8::from(holds)), 1.0]),
        _ if !holds => None,
        Aggregate::Count => Some([1.0, 0.0]),
        Aggregate::Sum => act.x.map(|x| [x, 0.0]),
        _ => act.x.map(|x| [x, 1.0]),
    }
}

fn weight(horizon: Horizon, time_ms: i64, at_ms: i64) -> f64 {
    match horizon {
        Horizon::Lifetime => 1.0,
        Horizon::HalfLife(half_life_ms) => (-(at_ms - time_ms) as f64 / half_life_ms as f64).exp2(),
        Horizon::Window { span_ms, .. } => {
            // Buckets of a day, closed above.
            let bucket = |ms: i64| (ms - 1).div_euclid(DAY_MS);
            let age = bucket(at_ms) - bucket(time_ms);
            f64::from(u8::from((0..span_ms / DAY_MS).contains(&age)))
        }
    }
}
