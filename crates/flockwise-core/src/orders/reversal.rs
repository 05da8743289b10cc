//! A reversal takes back what an order added: the amount that it states, or all that is left.

use super::entries::{OrderEntries, Sums, left_of};
use super::replacement::AddSums;
use crate::event::{Event, Slot};
use crate::feature::Aggregate;
use crate::feature_inputs::InputCounts;
use crate::plan::{AmountSource, Check, Compiled, KeptSums, Plan};

/// What a reversal takes back of an order.
#[derive(Clone, Copy, Debug)]
enum AmountDue {
    /// These sums, at most what is left.
    Stated(Sums),
    /// Exactly this sum, even if less is left of the order: it is of the feature's own value.
    Exactly(f64),
    /// This share of what the order added, so far or now.
    Share(f64),
    /// All that is left.
    Rest,
}

/// The amount that a reversal states.
enum Stated {
    /// The amount in the feature's own value, without its sign, and the number of values.
    Own(Sums),
    /// The same where the format says.
    Format(Sums),
    /// A value that is no number. It takes nothing back, and is counted.
    Unreadable,
    Nothing,
}

/// What is remembered of an order in one feature.
struct FoundOrder<'a> {
    plan: &'a Plan,
    feature: usize,
    /// The places of the entries that fed the feature, newest first, and where their sums are.
    entries: Vec<(usize, KeptSums)>,
}

/// Takes back of a feature what a reversal is about. The amount is, in this order: what the reversal states, the share
/// of the order that it states, all that is left of the order. It counts as of the time of the order, and is at most
/// what is left of it, unless it is stated in the value that a sum is of. If the order is not remembered, the stated amount counts as of the reversal.
pub(crate) fn reverse(
    plan: &Plan,
    index: usize,
    event: &Event,
    orders: &mut OrderEntries,
    inputs: &mut InputCounts,
    add: AddSums<'_>,
) {
    let feature = &plan.features[index];
    let is_known = orders
        .named(plan.orders().reversed_names(index))
        .next()
        .is_some();
    let mut checks = feature.base.iter().chain(&feature.conditions);
    let is_share = feature.spec.aggregate == Aggregate::Share;
    // What the reversal does not say holds if it held for the order.
    let holds = |check: &Check| check.holds(event) || is_known && !check.is_stated(event);
    let is_meant = match is_share {
        true => feature.base.iter().all(holds),
        false => checks.all(holds),
    };
    if !is_meant {
        return;
    }
    if !is_known {
        inputs.events += 1;
        match unremembered(feature, event, inputs) {
            Some((first, second)) => add((-first, -second), event.time_ms),
            None => inputs.no_order += 1,
        }
        return;
    }
    let found = FoundOrder::new(plan, index, orders);
    if found.entries.is_empty() {
        return;
    }
    inputs.events += 1;
    let due = due(&found, feature, event, orders, inputs);
    if found.take_back(due, event.is_so_far, orders, add).is_none() {
        inputs.no_order += 1;
    }
}

/// What a reversal takes back if its order is not remembered; `None` if it does not say.
fn unremembered(feature: &Compiled, event: &Event, inputs: &mut InputCounts) -> Option<Sums> {
    match feature.spec.aggregate {
        Aggregate::Count => Some((1.0, 0.0)),
        Aggregate::Share => {
            let holds = feature.conditions.iter().all(|check| check.holds(event));
            Some((f64::from(u8::from(holds)), 1.0))
        }
        // Without the order, nobody knows how much of the amount so far is new.
        _ if event.is_so_far => None,
        _ => match stated(feature, event, inputs) {
            Stated::Own(sums) | Stated::Format(sums) => Some(sums),
            Stated::Unreadable => Some((0.0, 0.0)),
            Stated::Nothing => None,
        },
    }
}

fn due(
    found: &FoundOrder<'_>,
    feature: &Compiled,
    event: &Event,
    orders: &OrderEntries,
    inputs: &mut InputCounts,
) -> AmountDue {
    match feature.spec.aggregate {
        Aggregate::Count => return AmountDue::Stated((1.0, 0.0)),
        Aggregate::Share => return AmountDue::Rest,
        _ => {}
    }
    let is_sum = feature.spec.aggregate == Aggregate::Sum;
    match stated(feature, event, inputs) {
        Stated::Own((first, _)) if is_sum && !event.is_so_far => return AmountDue::Exactly(first),
        Stated::Own(sums) | Stated::Format(sums) => return AmountDue::Stated(sums),
        Stated::Unreadable => return AmountDue::Stated((0.0, 0.0)),
        Stated::Nothing => {}
    }
    let amount = event.number(&event.amount).map(f64::abs);
    let order = found.amount_of_order(orders).filter(|order| *order > 0.0);
    match amount.zip(order) {
        Some((amount, order)) => AmountDue::Share((amount / order).min(1.0)),
        None => AmountDue::Rest,
    }
}

/// The amount that a reversal states for a feature of values: in the feature's own value, or in that of the format.
fn stated(feature: &Compiled, event: &Event, inputs: &mut InputCounts) -> Stated {
    let own = feature
        .value
        .filter(|_| feature.amount_source != AmountSource::Format);
    let own = own.into_iter().flat_map(|pointer| event.values(pointer));
    match read(event, own, inputs) {
        Stated::Nothing if feature.amount_source != AmountSource::Own => {
            match read(event, std::iter::once(&event.amount), inputs) {
                Stated::Own(sums) => Stated::Format(sums),
                stated => stated,
            }
        }
        stated => stated,
    }
}

fn read<'a>(
    event: &Event,
    slots: impl Iterator<Item = &'a Slot>,
    inputs: &mut InputCounts,
) -> Stated {
    let (mut sums, mut is_unreadable) = ((0.0, 0.0), false);
    for slot in slots.filter(|slot| **slot != Slot::Absent) {
        match event.number(slot) {
            Some(number) => {
                inputs.used += 1;
                sums = (sums.0 + number, sums.1 + 1.0);
            }
            None => {
                inputs.count_other(slot);
                is_unreadable = true;
            }
        }
    }
    match sums.1 > 0.0 {
        true => Stated::Own((f64::abs(sums.0), sums.1)),
        false if is_unreadable => Stated::Unreadable,
        false => Stated::Nothing,
    }
}

impl<'a> FoundOrder<'a> {
    fn new(plan: &'a Plan, feature: usize, orders: &OrderEntries) -> Self {
        let places = orders.named(plan.orders().reversed_names(feature));
        let entries = places.filter_map(|place| {
            let kept = plan.orders().kept(orders.name(place), feature)?;
            (orders.added(place, kept) != (0.0, 0.0)).then_some((place, *kept))
        });
        Self {
            entries: entries.collect(),
            plan,
            feature,
        }
    }

    /// The amount of the order, if a feature that is remembered is of it.
    fn amount_of_order(&self, orders: &OrderEntries) -> Option<f64> {
        let is_amount = |feature: &usize| {
            let feature = &self.plan.features[*feature];
            feature.amount_source != AmountSource::Own
        };
        let features = (0..self.plan.len()).filter(is_amount);
        let found = features.map(|feature| Self::new(self.plan, feature, orders));
        let amounts = found
            .filter(|found| !found.entries.is_empty())
            .map(|found| {
                let entries = found.entries.iter();
                entries
                    .map(|(place, kept)| orders.added(*place, kept).0.abs())
                    .sum()
            });
        let mut known = amounts.filter(|amount: &f64| !amount.is_nan());
        known.next()
    }

    /// Takes back what is due, of the newest entry first. `None` if it is not known how much that is.
    fn take_back(
        &self,
        due: AmountDue,
        is_so_far: bool,
        orders: &mut OrderEntries,
        add: AddSums<'_>,
    ) -> Option<()> {
        let mut stated = match due {
            AmountDue::Stated(sums) => sums,
            AmountDue::Exactly(sum) => (sum, 0.0),
            AmountDue::Share(_) | AmountDue::Rest => (0.0, 0.0),
        };
        if is_so_far {
            stated.0 -= self.all_taken(orders);
        }
        for (place, kept) in &self.entries {
            let (added, taken) = (orders.added(*place, kept), orders.taken(*place, kept));
            let time_ms = orders.time_ms(*place);
            if added.0.is_nan() {
                let is_stated = matches!(due, AmountDue::Stated(_) | AmountDue::Exactly(_));
                return (is_stated && !is_so_far).then(|| add((-stated.0, -stated.1), time_ms));
            }
            let back = self.back(due, is_so_far, &mut stated, added, taken);
            if back != (0.0, 0.0) {
                add((-back.0, -back.1), time_ms);
                orders.set(*place, kept, added, (taken.0 + back.0, taken.1 + back.1));
            }
        }
        if let AmountDue::Exactly(_) = due
            && stated.0 > 0.0
            && let Some((newest, _)) = self.entries.first()
        {
            add((-stated.0, 0.0), orders.time_ms(*newest));
        }
        Some(())
    }

    /// What to take back of one entry, which added and lost so much. `stated` is what is due of all entries; what this one
    /// gives is taken off it.
    fn back(
        &self,
        due: AmountDue,
        is_so_far: bool,
        stated: &mut Sums,
        added: Sums,
        taken: Sums,
    ) -> Sums {
        let left = (left_of(added.0, taken.0), left_of(added.1, taken.1));
        match due {
            AmountDue::Rest => left,
            AmountDue::Share(share) => {
                let part = |added: f64, taken: f64, left: f64| match is_so_far {
                    true => left_of(share * added, taken),
                    false => at_most(share * added.abs(), left),
                };
                let second = part(added.1, taken.1, left.1);
                (
                    part(added.0, taken.0, left.0),
                    self.count(share, second, left.1),
                )
            }
            AmountDue::Stated(_) | AmountDue::Exactly(_) => {
                let first = at_most(stated.0, left.0);
                stated.0 -= first.abs();
                let covers = f64::from(u8::from(first == left.0));
                let second = self.count(covers, at_most(stated.1, left.1), left.1);
                stated.1 -= second;
                (first, second)
            }
        }
    }

    /// How much of the denominator is taken back. The single value of an order counts until nothing is left of it; of many
    /// values, as many as are stated.
    fn count(&self, share: f64, part: f64, left: f64) -> f64 {
        let is_single = self.plan.features[self.feature]
            .value
            .is_some_and(|value| !value.many);
        match is_single {
            true if share < 1.0 => 0.0,
            true => left,
            false => part,
        }
    }

    fn all_taken(&self, orders: &OrderEntries) -> f64 {
        let entries = self.entries.iter();
        entries
            .map(|(place, kept)| orders.taken(*place, kept).0.abs())
            .sum()
    }
}

/// An amount without its sign, at most what is left, with the sign of that.
fn at_most(amount: f64, left: f64) -> f64 {
    amount.clamp(0.0, left.abs()).copysign(left)
}
