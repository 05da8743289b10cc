//! Prefetching rows: one wait for memory for many customers.

use std::hint::black_box;

use super::*;

/// Values per cache line.
const LINE: usize = 8;

impl Rows {
    /// Loads what an event will need of each of these customers into the cache, by the [`hash`]es of their ids.
    /// `rows` receives the rows that were found. The reads do not depend on each other, so the processor waits for
    /// all of them together and not for one after the other.
    pub(crate) fn prefetch(&self, hashes: &[u64], rows: &mut Vec<u32>) {
        rows.clear();
        rows.extend(hashes.iter().filter_map(|hash| {
            let matches = |row: &u32| self.heads.get(*row).hash == *hash;
            self.index.find(*hash, matches).copied()
        }));
        self.load_lines(rows);
    }

    /// Loads what an event needs of these rows into the cache.
    pub(super) fn load_lines(&self, rows: &[u32]) {
        let seen = rows.iter().fold(0, |seen, row| seen ^ self.read(*row));
        black_box(seen);
    }

    /// Reads something from every cache line that an event needs.
    fn read(&self, row: u32) -> u64 {
        let head = self.heads.get(row);
        // The last column, too, since a row can begin anywhere in a line.
        let columns = self.columns.row(row as usize);
        let columns = columns.iter().step_by(LINE).chain(columns.last());
        let ids = self.dedup(row).ids;
        let ids = ids[0]
            .iter()
            .step_by(LINE)
            .chain(ids[1].iter().step_by(LINE));
        let name = self.names.get(head.name()).first();
        let seen = columns.fold(0, |seen, column| seen ^ column.to_bits());
        ids.fold(seen, |seen, id| seen ^ id) ^ u64::from(name.copied().unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::Standing;
    use crate::dedup::IdMemory;

    #[test]
    fn customers_are_found_and_strangers_are_left_out() {
        let mut rows = Rows::new(&Plan::compile(&[]));
        for id in ["a", "b", ""] {
            let row = rows.add(hash(id.as_bytes()), id);
            rows.set_standing(row, &Standing::NEW);
            rows.is_repeated(row, 7, IdMemory::latest(4), 0);
        }
        let hashes = ["b", "x", "", "a", "b"].map(|id| hash(id.as_bytes()));
        let mut found = vec![9];
        rows.prefetch(&hashes, &mut found);
        assert_eq!(found, [1, 2, 0, 1]);
    }
}
