//! Memory for the dedup memories of rows: blocks of words, each a power of two long.
//!
//! The dedup memories of all customers grow by doubling, so outgrown blocks must be usable for larger ones. Blocks
//! are buddies (Knowlton 1965): a free block and the other half of the block that it was cut from become that
//! block again. A free block holds its own links in the list of its size, so bookkeeping costs one bit per two
//! words.

/// Words of a chunk, as a power of two. The largest block is a chunk.
const CHUNK_BITS: u32 = 13;
const CHUNK: usize = 1 << CHUNK_BITS;
const MASK: u32 = CHUNK as u32 - 1;
/// The smallest block, as a power of two: the size that a free block needs for bookkeeping.
const SMALLEST: u32 = 1;
/// Words of the largest block.
pub(super) const LARGEST: usize = CHUNK;
const NONE: u32 = u32::MAX;

/// Blocks of words. The handle of a block is the number of its first word.
#[derive(Clone, Debug)]
pub(super) struct BuddyAllocator {
    chunks: Vec<Vec<u64>>,
    /// A bit for each pair of words: whether a free block begins there.
    free: Vec<u64>,
    /// The first free block of each size.
    first: [u32; CHUNK_BITS as usize + 1],
}

/// The length of the block that holds `words` words.
pub(super) fn length_of_block(words: usize) -> usize {
    words.next_power_of_two().max(1 << SMALLEST)
}

impl Default for BuddyAllocator {
    fn default() -> Self {
        Self {
            chunks: Vec::new(),
            free: Vec::new(),
            first: [NONE; CHUNK_BITS as usize + 1],
        }
    }
}

impl BuddyAllocator {
    /// Takes a block for `words` words. Its contents are arbitrary.
    pub(super) fn take(&mut self, words: usize) -> u32 {
        let size = length_of_block(words).trailing_zeros();
        debug_assert!(size <= CHUNK_BITS);
        let Some(found) = (size..=CHUNK_BITS).find(|size| self.first[*size as usize] != NONE)
        else {
            return self.append(size);
        };
        let block = self.first[found as usize];
        self.unlink(block, found);
        for half in (size..found).rev() {
            self.link(block + (1 << half), half);
        }
        block
    }

    /// Frees a block that was taken for `words` words.
    pub(super) fn give_back(&mut self, block: u32, words: usize) {
        self.join(block, length_of_block(words).trailing_zeros());
    }

    /// Copies the first words of a block to another.
    pub(super) fn copy(&mut self, from: u32, to: u32, count: usize) {
        let place = |block: u32| {
            let at = (block & MASK) as usize;
            ((block >> CHUNK_BITS) as usize, at..at + count)
        };
        let ((from, source), (to, target)) = (place(from), place(to));
        match self.chunks.get_disjoint_mut([from, to]) {
            Ok([from, to]) => to[target].copy_from_slice(&from[source]),
            Err(_) => self.chunks[from].copy_within(source, target.start),
        }
    }

    /// Frees a block. If the other half of the block that it was cut from is free, too, it joins them.
    fn join(&mut self, mut block: u32, mut size: u32) {
        while size < CHUNK_BITS && self.is_free(block ^ (1 << size), size) {
            self.unlink(block ^ (1 << size), size);
            block &= !(1 << size);
            size += 1;
        }
        self.link(block, size);
    }

    /// The first words of a block.
    pub(super) fn words(&self, block: u32, count: usize) -> &[u64] {
        let at = (block & MASK) as usize;
        &self.chunks[(block >> CHUNK_BITS) as usize][at..at + count]
    }

    /// The first words of a block, mutable.
    pub(super) fn words_mut(&mut self, block: u32, count: usize) -> &mut [u64] {
        let at = (block & MASK) as usize;
        &mut self.chunks[(block >> CHUNK_BITS) as usize][at..at + count]
    }

    /// Memory used, in bytes. All chunks except the first are allocated in full.
    pub(super) fn bytes(&self) -> usize {
        let first = self.chunks.first().map_or(0, Vec::capacity);
        let others = self.chunks.len().saturating_sub(1) * CHUNK;
        (first + others + self.free.capacity()) * size_of::<u64>()
            + self.chunks.capacity() * size_of::<Vec<u64>>()
    }

    /// Appends a block at the end. Words that are skipped so that it begins at a multiple of its size become free
    /// blocks.
    fn append(&mut self, size: u32) -> u32 {
        loop {
            let end = self.chunks.last().map_or(CHUNK, Vec::len);
            if end == CHUNK {
                let ahead = if self.chunks.is_empty() { 0 } else { CHUNK };
                self.chunks.push(Vec::with_capacity(ahead));
            } else if end.is_multiple_of(1 << size) {
                return self.extend(size);
            } else {
                let gap = end.trailing_zeros();
                let block = self.extend(gap);
                self.join(block, gap);
            }
        }
    }

    fn extend(&mut self, size: u32) -> u32 {
        let number = self.chunks.len() - 1;
        let chunk = &mut self.chunks[number];
        let end = chunk.len();
        chunk.resize(end + (1 << size), 0);
        self.free
            .resize(((number + 1) << CHUNK_BITS).div_ceil(128), 0);
        ((number << CHUNK_BITS) + end) as u32
    }

    fn is_free(&self, block: u32, size: u32) -> bool {
        let (word, bit) = bit_of(block);
        self.free[word] & bit != 0 && self.words(block, 2)[1] == u64::from(size)
    }

    fn link(&mut self, block: u32, size: u32) {
        let next = std::mem::replace(&mut self.first[size as usize], block);
        self.words_mut(block, 2)
            .copy_from_slice(&[links(NONE, next), u64::from(size)]);
        if next != NONE {
            let (_, after) = self.neighbours(next);
            self.words_mut(next, 1)[0] = links(block, after);
        }
        let (word, bit) = bit_of(block);
        self.free[word] |= bit;
    }

    fn unlink(&mut self, block: u32, size: u32) {
        let (before, after) = self.neighbours(block);
        if before == NONE {
            self.first[size as usize] = after;
        } else {
            let (first, _) = self.neighbours(before);
            self.words_mut(before, 1)[0] = links(first, after);
        }
        if after != NONE {
            let (_, last) = self.neighbours(after);
            self.words_mut(after, 1)[0] = links(before, last);
        }
        let (word, bit) = bit_of(block);
        self.free[word] &= !bit;
    }

    fn neighbours(&self, block: u32) -> (u32, u32) {
        let links = self.words(block, 1)[0];
        ((links >> 32) as u32, links as u32)
    }
}

fn links(before: u32, after: u32) -> u64 {
    u64::from(before) << 32 | u64::from(after)
}

fn bit_of(block: u32) -> (usize, u64) {
    let pair = block >> 1;
    ((pair >> 6) as usize, 1 << (pair & 63))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn blocks_never_overlap_and_become_whole_again(
            acts in prop::collection::vec((1..99_usize, any::<bool>(), any::<prop::sample::Index>()), 1..400),
        ) {
            let mut blocks = BuddyAllocator::default();
            let mut held: BTreeMap<u32, usize> = BTreeMap::new();
            for (words, takes, which) in acts {
                if takes || held.is_empty() {
                    let block = blocks.take(words);
                    blocks.words_mut(block, length_of_block(words)).fill(u64::from(block));
                    prop_assert_eq!(held.insert(block, words), None);
                } else {
                    let block = *which.get(&held.keys().copied().collect::<Vec<_>>());
                    let words = held.remove(&block).unwrap();
                    blocks.give_back(block, words);
                }
                for (block, words) in &held {
                    let length = length_of_block(*words);
                    prop_assert!(blocks.words(*block, length).iter().all(|word| *word == u64::from(*block)));
                }
            }
            let words: usize = blocks.chunks.iter().map(Vec::len).sum();
            for (block, words) in held {
                blocks.give_back(block, words);
            }
            // All free words are found again, in blocks as large as possible.
            while blocks.first.iter().any(|first| *first != NONE) {
                let size = (0..blocks.first.len()).rev().find(|size| blocks.first[*size] != NONE).unwrap();
                blocks.take(1 << size);
            }
            prop_assert_eq!(blocks.chunks.iter().map(Vec::len).sum::<usize>(), words);
        }
    }

    #[test]
    fn customers_who_all_grow_leave_no_holes_behind() {
        let mut blocks = BuddyAllocator::default();
        let mut held: Vec<u32> = (0..10_000).map(|_| blocks.take(2)).collect();
        for (before, words) in [(2, 3), (3, 6), (6, 9), (9, 30)] {
            for block in &mut held {
                let outgrown = std::mem::replace(block, blocks.take(words));
                blocks.give_back(outgrown, before);
            }
        }
        let used = 10_000 * 32 * size_of::<u64>();
        assert!(blocks.bytes() < used + used / 8, "{}", blocks.bytes());
    }
}
