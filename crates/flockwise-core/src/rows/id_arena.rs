//! Customer ids, one after the other in chunks. The space of a removed id is reused for ids of the same length.

/// Bytes of a granule. Ids begin at multiples of it.
const GRANULE: usize = 8;
/// Granules per chunk, as a power of two. The longest id fits into a chunk.
const CHUNK_BITS: u32 = 13;
const CHUNK: usize = 1 << CHUNK_BITS;
const MASK: u32 = CHUNK as u32 - 1;

/// Location of an id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct IdSlot {
    pub(super) at: u32,
    pub(super) bytes: u16,
}

/// Ids of customers.
#[derive(Clone, Debug, Default)]
pub(super) struct IdArena {
    chunks: Vec<Vec<[u8; GRANULE]>>,
    /// Free locations, by length in granules.
    free: Vec<Vec<u32>>,
    free_bytes: usize,
}

impl IdArena {
    /// Stores an id.
    ///
    /// # Panics
    /// If it is longer than any decoder accepts.
    pub(super) fn add(&mut self, id: &str) -> IdSlot {
        let bytes = u16::try_from(id.len()).expect("decoders reject ids of 64 KiB and more");
        let count = id.len().div_ceil(GRANULE);
        let at = self.place(count);
        let (chunk, first) = split(at);
        let granules = &mut self.chunks[chunk][first..first + count];
        granules.as_flattened_mut()[..id.len()].copy_from_slice(id.as_bytes());
        IdSlot { at, bytes }
    }

    /// Removes an id and frees its space.
    pub(super) fn remove(&mut self, name: IdSlot) {
        let count = usize::from(name.bytes).div_ceil(GRANULE);
        self.give_back(name.at, count);
    }

    /// An id's bytes, which are UTF-8.
    pub(super) fn get(&self, name: IdSlot) -> &[u8] {
        let (chunk, first) = split(name.at);
        let bytes = usize::from(name.bytes);
        if bytes == 0 {
            return &[];
        }
        &self.chunks[chunk].as_flattened()[first * GRANULE..first * GRANULE + bytes]
    }

    /// An id as text.
    pub(super) fn text(&self, name: IdSlot) -> &str {
        std::str::from_utf8(self.get(name)).expect("ids are stored as UTF-8")
    }

    /// Memory used, in bytes. All chunks except the first are allocated in full.
    pub(super) fn bytes(&self) -> usize {
        let first = self.chunks.first().map_or(0, Vec::capacity);
        let others = self.chunks.len().saturating_sub(1) * CHUNK;
        (first + others) * GRANULE
            + self.chunks.capacity() * size_of::<Vec<[u8; GRANULE]>>()
            + self.free_bytes
            + self.free.capacity() * size_of::<Vec<u32>>()
    }

    fn place(&mut self, count: usize) -> u32 {
        if let Some(at) = self.free.get_mut(count).and_then(Vec::pop) {
            return at;
        }
        let end = self.chunks.last().map_or(CHUNK, Vec::len);
        if end + count > CHUNK {
            if end < CHUNK {
                let rest = self.extend(CHUNK - end);
                self.give_back(rest, CHUNK - end);
            }
            let ahead = if self.chunks.is_empty() { 0 } else { CHUNK };
            self.chunks.push(Vec::with_capacity(ahead));
        }
        self.extend(count)
    }

    fn extend(&mut self, count: usize) -> u32 {
        let number = self.chunks.len() - 1;
        let chunk = &mut self.chunks[number];
        let end = chunk.len();
        chunk.resize(end + count, [0; GRANULE]);
        ((number << CHUNK_BITS) + end) as u32
    }

    fn give_back(&mut self, at: u32, count: usize) {
        if count == 0 {
            return;
        }
        if self.free.len() <= count {
            self.free.resize_with(count + 1, Vec::new);
        }
        let places = &mut self.free[count];
        let before = places.capacity();
        places.push(at);
        self.free_bytes += (places.capacity() - before) * size_of::<u32>();
    }
}

fn split(at: u32) -> (usize, usize) {
    ((at >> CHUNK_BITS) as usize, (at & MASK) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_kept_until_they_are_removed_and_their_room_is_used_again() {
        let mut names = IdArena::default();
        let ids: Vec<String> = (0..5000)
            .map(|number| "é".repeat(number % 300) + &number.to_string())
            .collect();
        let mut kept: Vec<IdSlot> = ids.iter().map(|id| names.add(id)).collect();
        let bytes = names.bytes();
        for _ in 0..10 {
            for (name, id) in kept.iter_mut().zip(&ids).step_by(3) {
                names.remove(*name);
                *name = names.add(id);
            }
        }
        for (name, id) in kept.iter().zip(&ids) {
            assert_eq!(names.text(*name), id);
        }
        assert!(names.bytes() < bytes + bytes / 50);
        let none = names.add("");
        assert_eq!(names.text(none), "");
    }
}
