//! A bounded memory of a customer's event ids and order ids.

mod recent_ids;

pub use self::recent_ids::{IdMemory, RecentIds};

/// Maximum number of event ids, and of orders, that are remembered per customer, whatever the configuration says.
pub const MAX_REMEMBERED: usize = 4096;

/// Words of a remembered order besides its sums: its key and its time.
pub(crate) const ORDER_HEAD: usize = 2;

/// The contents of a dedup memory, on the way from a record to a row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DedupMemory {
    ids: Vec<u64>,
    /// Key, time and the bits of the sums of each order.
    orders: Vec<u64>,
    sums: OrderSums,
    recent: RecentIds,
}

/// What the sums of the remembered orders are; see [`crate::plan::Plan::order_sums`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OrderSums {
    /// How many each order has.
    pub len: usize,
    /// Hash of the event names and features that they belong to.
    pub layout: u64,
}

/// A remembered order.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RememberedOrder<'a> {
    /// An [`order_key`].
    pub key: u64,
    /// The time as of which it counts, milliseconds since the epoch.
    pub time_ms: i64,
    /// What it added to features, and what reversals took back of that: the bits of an f64 each.
    pub sums: &'a [u64],
}

impl DedupMemory {
    /// Rebuilds a memory from [`DedupMemory::ids`] and from orders without sums, oldest first.
    #[must_use]
    pub fn restore(ids: Vec<u64>, orders: Vec<(u64, i64)>) -> Self {
        let mut memory = Self {
            ids,
            ..Self::default()
        };
        for (key, time_ms) in orders {
            memory.push_order(key, time_ms);
        }
        memory
    }

    /// Forgets everything and keeps the allocations. Orders have no sums from then on.
    pub fn clear(&mut self) {
        self.ids.clear();
        self.orders.clear();
        self.sums = OrderSums::default();
        self.recent = RecentIds::default();
    }

    /// Sets how many of the ids are recent.
    pub fn set_recent(&mut self, recent: RecentIds) {
        self.recent = recent;
    }

    /// Sets what the sums of orders are, before the first order.
    pub fn set_sums(&mut self, sums: OrderSums) {
        self.sums = sums;
    }

    /// Appends an event id, which is newer than those before.
    pub fn push_id(&mut self, id: u64) {
        self.ids.push(id);
    }

    /// Appends an order, which is newer than those before: its key and its time, milliseconds since the epoch. Its sums must
    /// follow.
    pub fn push_order(&mut self, key: u64, time_ms: i64) {
        self.orders.extend([key, time_ms.cast_unsigned()]);
    }

    /// Appends a sum of the newest order, as the bits of an f64.
    pub fn push_sum(&mut self, sum: u64) {
        self.orders.push(sum);
    }

    /// Borrows the memory in the form that a row has.
    #[must_use]
    pub fn view(&self) -> DedupMemoryRef<'_> {
        DedupMemoryRef {
            ids: [&self.ids, &[]],
            orders: [&self.orders, &[]],
            sums: self.sums,
            recent: self.recent,
        }
    }

    /// Event ids, oldest first.
    pub fn ids(&self) -> impl Iterator<Item = u64> {
        self.view().ids()
    }

    /// Orders, oldest first.
    pub fn orders(&self) -> impl Iterator<Item = RememberedOrder<'_>> {
        self.view().orders()
    }
}

/// The latest event ids and orders of one customer, borrowed from where they are stored.
#[derive(Clone, Copy, Debug)]
pub struct DedupMemoryRef<'a> {
    /// The older ids, then the newer ones.
    pub(crate) ids: [&'a [u64]; 2],
    pub(crate) orders: [&'a [u64]; 2],
    pub(crate) sums: OrderSums,
    pub(crate) recent: RecentIds,
}

impl<'a> DedupMemoryRef<'a> {
    /// Event ids in two slices as they are stored: the older ones, then the newer ones, each oldest first.
    #[must_use]
    pub fn id_halves(self) -> [&'a [u64]; 2] {
        self.ids
    }

    /// Event ids, oldest first.
    pub fn ids(self) -> impl Iterator<Item = u64> + use<'a> {
        self.ids.into_iter().flatten().copied()
    }

    /// How many of the ids are recent.
    #[must_use]
    pub fn recent(self) -> RecentIds {
        self.recent
    }

    /// What the sums of the orders are.
    #[must_use]
    pub fn sums(self) -> OrderSums {
        self.sums
    }

    /// Orders, oldest first.
    pub fn orders(self) -> impl Iterator<Item = RememberedOrder<'a>> + use<'a> {
        let words = ORDER_HEAD + self.sums.len;
        self.orders
            .into_iter()
            .flat_map(move |orders| orders.chunks_exact(words))
            .map(|order| RememberedOrder {
                key: order[0],
                time_ms: order[1].cast_signed(),
                sums: &order[ORDER_HEAD..],
            })
    }

    /// When the newest event about an order (an [`order_key`]) happened; `None` if none is remembered.
    #[must_use]
    pub fn ordered_ms(self, key: u64) -> Option<i64> {
        let known = self.orders().filter(|order| order.key == key);
        known.last().map(|order| order.time_ms)
    }
}

/// The key of an order under an event name, from both hashes.
#[must_use]
pub fn order_key(name_hash: u64, order: u64) -> u64 {
    crate::event::mix(name_hash ^ order.rotate_left(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_restored_is_told_in_the_same_order() {
        let memory = DedupMemory::restore(vec![3, 1, 2], vec![(9, -1), (8, i64::MAX)]);
        assert_eq!(memory.ids().collect::<Vec<_>>(), [3, 1, 2]);
        let orders: Vec<(u64, i64)> = memory
            .orders()
            .map(|order| (order.key, order.time_ms))
            .collect();
        assert_eq!(orders, [(9, -1), (8, i64::MAX)]);
        assert_eq!(memory.view().ordered_ms(9), Some(-1));
        assert_eq!(memory.view().ordered_ms(3), None);
    }
}
