//! A bounded memory of a customer's event ids and orders.

/// The latest ids and orders of one customer, oldest forgotten first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Remembered {
    ids: Ring<u64>,
    orders: Ring<(u64, i64)>,
}

/// The last few of many; grows to its bound by need.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Ring<T> {
    entries: Vec<T>,
    next: usize,
}

impl<T: Copy> Ring<T> {
    fn push(&mut self, entry: T, bound: usize) {
        if self.entries.len() > bound {
            // Kept under a larger bound.
            self.entries.rotate_left(self.next);
            self.entries.drain(..self.entries.len() - bound);
            self.next = 0;
        }
        if self.entries.len() < bound {
            self.entries.push(entry);
        } else {
            self.entries[self.next] = entry;
            self.next = (self.next + 1) % bound;
        }
    }

    fn oldest_first(&self) -> impl Iterator<Item = T> {
        let (newer, older) = self.entries.split_at(self.next);
        older.iter().chain(newer).copied()
    }
}

impl Remembered {
    /// Was this id seen? If not it is kept, in place of the oldest once there are `bound`.
    pub fn is_repeated(&mut self, id: u64, bound: usize) -> bool {
        let repeated = self.ids.entries.contains(&id);
        if !repeated {
            self.ids.push(id, bound);
        }
        repeated
    }

    /// When an order (a [`order_key`]) was placed, if it is still remembered.
    #[must_use]
    pub fn ordered_ms(&self, key: u64) -> Option<i64> {
        self.orders
            .entries
            .iter()
            .find(|(known, _)| *known == key)
            .map(|(_, time_ms)| *time_ms)
    }

    /// Keeps an order, in place of the oldest once there are `bound`.
    pub fn keep_order(&mut self, key: u64, time_ms: i64, bound: usize) {
        self.orders.push((key, time_ms), bound);
    }

    /// Event ids, oldest first.
    pub fn ids(&self) -> impl Iterator<Item = u64> {
        self.ids.oldest_first()
    }

    /// Orders and their times, oldest first.
    pub fn orders(&self) -> impl Iterator<Item = (u64, i64)> {
        self.orders.oldest_first()
    }

    /// As it was, from [`Remembered::ids`] and [`Remembered::orders`].
    #[must_use]
    pub fn restore(ids: Vec<u64>, orders: Vec<(u64, i64)>) -> Self {
        Self {
            ids: Ring {
                entries: ids,
                next: 0,
            },
            orders: Ring {
                entries: orders,
                next: 0,
            },
        }
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
    fn the_oldest_id_is_forgotten_first() {
        let mut memory = Remembered::default();
        assert!((1..=3).all(|id| !memory.is_repeated(id, 3)));
        assert!(memory.is_repeated(1, 3));
        assert!(!memory.is_repeated(4, 3));
        assert!(!memory.is_repeated(1, 3), "1 made room for 4");
        assert_eq!(memory.ids().collect::<Vec<_>>(), [3, 4, 1]);
    }

    #[test]
    fn under_a_smaller_bound_the_latest_are_kept_and_under_a_larger_one_all() {
        let mut memory = Remembered::restore((0..10).collect(), vec![]);
        assert!(!memory.is_repeated(10, 3));
        assert_eq!(memory.ids().collect::<Vec<_>>(), [8, 9, 10]);
        assert!(!memory.is_repeated(11, 3));
        let mut memory = Remembered::restore(memory.ids().collect(), vec![]);
        assert!(!memory.is_repeated(12, 4));
        assert_eq!(memory.ids().collect::<Vec<_>>(), [9, 10, 11, 12]);
    }

    #[test]
    fn a_restored_memory_goes_on_forgetting_in_the_same_order() {
        let mut memory = Remembered::default();
        for id in 0..10 {
            memory.is_repeated(id, 4);
            memory.keep_order(id, id as i64 * 10, 4);
        }
        let mut restored = Remembered::restore(memory.ids().collect(), memory.orders().collect());
        assert!(!restored.is_repeated(99, 4));
        assert!(!memory.is_repeated(99, 4));
        assert_eq!(
            restored.ids().collect::<Vec<_>>(),
            memory.ids().collect::<Vec<_>>()
        );
        assert_eq!(restored.ordered_ms(8), Some(80));
        assert_eq!(restored.ordered_ms(1), None);
    }
}
