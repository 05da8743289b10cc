//! A bounded memory of a customer's event ids and orders.

/// The most ids, and the most orders, that are kept of a customer, whatever the configuration asks for.
pub const MAX_REMEMBERED: usize = 4096;

/// What a customer's memory holds, on its way from a record to a row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DedupMemory {
    ids: Vec<u64>,
    /// Order and time, one after the other.
    orders: Vec<u64>,
}

impl DedupMemory {
    /// As it was, from [`DedupMemory::ids`] and [`DedupMemory::orders`]: oldest first.
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

    /// Forgets everything, and keeps the room.
    pub fn clear(&mut self) {
        self.ids.clear();
        self.orders.clear();
    }

    /// Adds an event id, newer than those before.
    pub fn push_id(&mut self, id: u64) {
        self.ids.push(id);
    }

    /// Adds an order and its time, newer than those before.
    pub fn push_order(&mut self, order: u64, time_ms: i64) {
        self.orders.extend([order, time_ms.cast_unsigned()]);
    }

    /// As a row has it.
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

/// The latest ids and orders of one customer, where they lie.
#[derive(Clone, Copy, Debug)]
pub struct DedupMemoryRef<'a> {
    /// The older ones, then the newer ones.
    pub(crate) ids: [&'a [u64]; 2],
    pub(crate) orders: [&'a [u64]; 2],
}

impl<'a> DedupMemoryRef<'a> {
    /// Event ids as they lie: the older ones, then the newer ones, each oldest first.
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

    /// When an order (an [`order_key`]) was placed, if it is still remembered.
    #[must_use]
    pub fn ordered_ms(self, key: u64) -> Option<i64> {
        self.orders()
            .find(|(known, _)| *known == key)
            .map(|(_, time_ms)| time_ms)
    }
}

/// Names an order of an event name, both as hashes.
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
