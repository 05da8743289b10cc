//! An event counts in a customer's features, unless it is a repetition.

use super::{DuplicateBy, Task};
use crate::aggregate;
use crate::dedup::order_key;
use crate::event::Event;
use crate::feature_inputs::FeatureInputs;
use crate::order_rules::Repeat;

impl Task {
    /// By what the event repeats one that counts already; `None` if it is new. Then both its ids are remembered.
    pub(super) fn duplicate(&mut self, row: u32, event: &Event) -> Option<DuplicateBy> {
        let memory = self.settings.time.remembered_ids;
        let time_ms = event.time_ms.max(self.rows.reference_ms(row));
        let order = event
            .order
            .map(|order| order_key(event.name_hash, order))
            .map(|key| (key, self.repeat(event)));
        if let Some((key, repeat)) = order
            && repeat != Repeat::Each
            && let Some(ordered_ms) = self.rows.dedup(row).ordered_ms(key)
            && (repeat == Repeat::First || ordered_ms > event.time_ms)
        {
            return Some(DuplicateBy::OrderId);
        }
        if event
            .id
            .is_some_and(|id| self.rows.is_repeated(row, id, memory, time_ms))
        {
            return Some(DuplicateBy::EventId);
        }
        if let Some((key, repeat)) = order
            && self.remembers(row, key, repeat, event)
        {
            self.rows
                .remember_order(row, key, event.time_ms, memory.least);
        }
        None
    }

    /// What a second event with the order id of this one means. Without an event id, only the order id can tell a
    /// repetition.
    fn repeat(&self, event: &Event) -> Repeat {
        let configured = event.name.and_then(|name| self.settings.plan.repeat(name));
        configured.unwrap_or(match event.id {
            Some(_) => Repeat::Each,
            None => Repeat::First,
        })
    }

    /// Whether an event about an order needs an entry of its own.
    fn remembers(&self, row: u32, key: u64, repeat: Repeat, event: &Event) -> bool {
        let orders = self.settings.plan.orders();
        match repeat {
            Repeat::First => true,
            // A later event about the order takes over the entry.
            Repeat::Last => self.rows.dedup(row).ordered_ms(key).is_none(),
            Repeat::Each => event.name.is_some_and(|name| orders.keeps(name)),
        }
    }

    pub(super) fn observe(&mut self, row: u32, event: &Event, inputs: &mut FeatureInputs) {
        self.find_orders(row, event);
        let (columns, reference_ms) = self.rows.sums_mut(row);
        let plan = &self.settings.plan;
        let orders = &mut self.orders;
        aggregate::observe(plan, columns, reference_ms, event, inputs, orders);
        for (index, time_ms, sums) in self.orders.changed() {
            self.rows.change_order(row, index, time_ms, sums);
        }
    }

    /// Copies what is remembered of the event's order out of the row.
    fn find_orders(&mut self, row: u32, event: &Event) {
        self.orders.clear();
        let plan = &self.settings.plan;
        let (Some(order), Some(name)) = (event.order, event.name) else {
            return;
        };
        if !plan.orders().concerns(name) {
            return;
        }
        let names = plan.orders().names();
        for (index, known) in self.rows.dedup(row).orders().enumerate() {
            let is_of = |name: &&u16| order_key(plan.name_hash(**name), order) == known.key;
            if let Some(name) = names.iter().find(is_of) {
                let sums = known.sums.iter().map(|bits| f64::from_bits(*bits));
                self.orders.push(*name, index, known.time_ms, sums);
            }
        }
    }
}
