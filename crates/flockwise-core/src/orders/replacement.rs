//! An event about an order is counted, and replaces what earlier ones about it added.

use super::entries::{OrderEntries, Sums, left_of};
use crate::event::Event;
use crate::plan::Plan;

/// What to add to a feature: its terms, and the time as of which they count.
pub(crate) type AddSums<'a> = &'a mut dyn FnMut(Sums, i64);

/// Counts an event about a remembered order in a feature. `own` is the place of its entry. `terms` computes what it adds;
/// `None` if the feature does not count it.
pub(crate) fn count_order(
    plan: &Plan,
    index: usize,
    event: &Event,
    own: usize,
    orders: &mut OrderEntries,
    terms: impl FnOnce() -> Option<Sums>,
    add: AddSums<'_>,
) {
    let taken = match plan.orders().replaces(index, orders.name(own)) {
        true => match undo(plan, index, event, own, orders, add) {
            Some(taken) => taken,
            None => return,
        },
        false => (0.0, 0.0),
    };
    let terms = terms();
    if let Some(kept) = plan.orders().kept(orders.name(own), index) {
        orders.set(own, kept, terms.unwrap_or_default(), taken);
    }
    if let Some((first, second)) = terms {
        add(
            (left_of(first, taken.0), left_of(second, taken.1)),
            event.time_ms,
        );
    }
}

/// Undoes what earlier events about the order added to the feature. Returns what reversals had taken back of it, which
/// stays taken back; `None` if a later event about the order counts already, so that this one does not.
fn undo(
    plan: &Plan,
    index: usize,
    event: &Event,
    own: usize,
    orders: &mut OrderEntries,
    add: AddSums<'_>,
) -> Option<Sums> {
    let names = plan.orders().names_of(index, orders.name(own));
    let places: Vec<usize> = orders.named(&names).collect();
    if places
        .iter()
        .any(|place| *place != own && orders.time_ms(*place) > event.time_ms)
    {
        return None;
    }
    let mut all = (0.0, 0.0);
    for place in places {
        let Some(kept) = plan.orders().kept(orders.name(place), index) else {
            continue;
        };
        let (added, taken) = (orders.added(place, kept), orders.taken(place, kept));
        if added.0.is_nan() {
            continue;
        }
        let left = (left_of(added.0, taken.0), left_of(added.1, taken.1));
        if left != (0.0, 0.0) {
            add((-left.0, -left.1), orders.time_ms(place));
        }
        if added != (0.0, 0.0) || taken != (0.0, 0.0) {
            orders.set(place, kept, (0.0, 0.0), (0.0, 0.0));
        }
        all = (all.0 + taken.0, all.1 + taken.1);
    }
    Some(all)
}
