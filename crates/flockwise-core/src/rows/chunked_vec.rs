//! Rows of equal width, stored in chunks. Growing copies nothing and reserves at most one chunk ahead.

/// Rows per chunk, as a power of two.
const BITS: u32 = 10;
const CHUNK: usize = 1 << BITS;
const MASK: usize = CHUNK - 1;

/// Rows of `width` values each.
#[derive(Clone, Debug)]
pub(super) struct ChunkedVec<T> {
    chunks: Vec<Vec<T>>,
    width: usize,
    len: usize,
}

impl<T: Clone> ChunkedVec<T> {
    pub(super) fn new(width: usize) -> Self {
        Self {
            chunks: Vec::new(),
            width,
            len: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn push(&mut self, row: &[T]) {
        debug_assert_eq!(row.len(), self.width);
        if self.len >> BITS == self.chunks.len() {
            // The first chunk grows as needed, so that a small task stays small.
            let ahead = if self.chunks.is_empty() { 0 } else { CHUNK };
            self.chunks.push(Vec::with_capacity(ahead * self.width));
        }
        self.chunks[self.len >> BITS].extend_from_slice(row);
        self.len += 1;
    }

    /// Removes the last row.
    pub(super) fn pop(&mut self) {
        self.len -= 1;
        self.chunks[self.len >> BITS].truncate((self.len & MASK) * self.width);
    }

    pub(super) fn row(&self, row: usize) -> &[T] {
        let at = (row & MASK) * self.width;
        &self.chunks[row >> BITS][at..at + self.width]
    }

    pub(super) fn row_mut(&mut self, row: usize) -> &mut [T] {
        let at = (row & MASK) * self.width;
        &mut self.chunks[row >> BITS][at..at + self.width]
    }

    /// The value of a row of width 1.
    pub(super) fn get(&self, row: u32) -> &T {
        &self.chunks[row as usize >> BITS][row as usize & MASK]
    }

    /// The value of a row of width 1, mutable.
    pub(super) fn get_mut(&mut self, row: u32) -> &mut T {
        &mut self.chunks[row as usize >> BITS][row as usize & MASK]
    }

    /// Memory used, in bytes. All chunks except the first are allocated in full.
    pub(super) fn bytes(&self) -> usize {
        let first = self.chunks.first().map_or(0, Vec::capacity);
        let others = self.chunks.len().saturating_sub(1) * CHUNK * self.width;
        (first + others) * size_of::<T>() + self.chunks.capacity() * size_of::<Vec<T>>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_where_a_plain_vector_has_them() {
        for count in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK + 7] {
            let mut chunked = ChunkedVec::new(3);
            let rows: Vec<[usize; 3]> = (0..count).map(|row| [row, row + 1, row * 2]).collect();
            rows.iter().for_each(|row| chunked.push(row));
            chunked.push(&[0; 3]);
            chunked.pop();
            assert_eq!(chunked.len(), count);
            for (row, values) in rows.iter().enumerate() {
                assert_eq!(chunked.row(row), values);
            }
        }
    }

    #[test]
    fn no_more_than_a_chunk_is_reserved_ahead() {
        let mut chunked = ChunkedVec::new(1);
        for row in 0..10 * CHUNK {
            chunked.push(&[row]);
            let ahead = chunked.bytes() / size_of::<usize>() - row;
            assert!(ahead <= CHUNK + 64, "{ahead} after {row}");
        }
    }
}
