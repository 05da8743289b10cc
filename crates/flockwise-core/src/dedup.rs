//! A bounded memory of a customer's event ids and order ids.

/// Maximum number of event ids, and of orders, that are remembered per customer, whatever the configuration says.
pub const MAX_REMEMBERED: usize = 4096;

/// The contents of a dedup memory, on the way from a record to a row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DedupMemory {
    ids: Vec<u64>,
    /// Order and time, alternating.
    orders: Vec<u64>,
}

impl DedupMemory {
    /// Rebuilds a memory from [`DedupMemory::ids`] and [`DedupMemory::orders`], oldest first.
    #[must_use]
    pub fn restore(ids: Vec<u64>, orders: Vec<(u64, i64)>) -> Self {
        let words = orders
            .iter()
            .flat_map(|(order, time_ms)| [*order, time_ms.cast_unsigned()]);
        Self {
            ids,
            orders: words.collect(),
        }
    }

    /// Forgets everything and keeps the allocations.
    pub fn clear(&mut self) {
        self.ids.clear();
        self.orders.clear();
    }

    /// Appends an event id, which is newer than those before.
    pub fn push_id(&mut self, id: u64) {
        self.ids.push(id);
    }

    /// Appends an order and its time (milliseconds since the epoch). It is newer than those before.
    pub fn push_order(&mut self, order: u64, time_ms: i64) {
        self.orders.extend([order, time_ms.cast_unsigned()]);
    }

    /// Borrows the memory in the form that a row has.
    #[must_use]
    pub fn view(&self) -> DedupMemoryRef<'_> {
        DedupMemoryRef {
            ids: [&self.ids, &[]],
            orders: [&self.orders, &[]],
        }
    }

    /// Event ids, oldest first.
    pub fn ids(&self) -> impl Iterator<Item = u64> {
        self.view().ids()
    }

    /// Orders and their times, oldest first.
    pub fn orders(&self) -> impl Iterator<Item = (u64, i64)> {
        self.view().orders()
    }
}

/// The latest event ids and orders of one customer, borrowed from where they are stored.
#[derive(Clone, Copy, Debug)]
pub struct DedupMemoryRef<'a> {
    /// The older ids, then the newer ones.
    pub(crate) ids: [&'a [u64]; 2],
    pub(crate) orders: [&'a [u64]; 2],
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

    /// Orders and their times, oldest first.
    pub fn orders(self) -> impl Iterator<Item = (u64, i64)> + use<'a> {
        self.orders
            .into_iter()
            .flat_map(|words| words.as_chunks::<2>().0)
            .map(|[order, time_ms]| (*order, time_ms.cast_signed()))
    }

    /// When an order (an [`order_key`]) was placed; `None` if it is not remembered.
    #[must_use]
    pub fn ordered_ms(self, key: u64) -> Option<i64> {
        self.orders()
            .find(|(known, _)| *known == key)
            .map(|(_, time_ms)| time_ms)
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
        assert_eq!(
            memory.orders().collect::<Vec<_>>(),
            [(9, -1), (8, i64::MAX)]
        );
        assert_eq!(memory.view().ordered_ms(9), Some(-1));
        assert_eq!(memory.view().ordered_ms(3), None);
    }
}
