//! The dedup memory of a row: the newest entries, in a block that grows as needed up to the bound.

use super::buddy_allocator::{BuddyAllocator, LARGEST, length_of_block};
use crate::dedup::MAX_REMEMBERED;

/// Words per event id.
pub(super) const ID: usize = 1;

const _: () = assert!(MAX_REMEMBERED * ID <= LARGEST);

/// Maximum number of entries of this length, words: more do not fit into the largest block.
fn most(words: usize) -> usize {
    MAX_REMEMBERED.min(LARGEST / words)
}

/// The newest of many entries of equal length.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ring {
    block: u32,
    len: u16,
    /// Index of the oldest entry, once the bound is reached.
    next: u16,
}

/// What a push needs besides the ring.
pub(super) struct Room<'a> {
    pub(super) blocks: &'a mut BuddyAllocator,
    /// Maximum number of entries, at least 1.
    pub(super) bound: usize,
    /// The ring's block was taken in this transaction: a rollback does not need its contents.
    pub(super) is_new: bool,
    /// Words that were overwritten in blocks from before this transaction, with their former contents.
    pub(super) overwritten: &'a mut Vec<(u32, u64)>,
    /// Blocks from before this transaction that were outgrown, with their numbers of words.
    pub(super) released: &'a mut Vec<(u32, u32)>,
}

impl Ring {
    /// Entries of `words` words each: the older ones, then the newer ones.
    pub(super) fn halves(self, blocks: &BuddyAllocator, words: usize) -> [&[u64]; 2] {
        if self.len == 0 {
            return [&[], &[]];
        }
        let all = blocks.words(self.block, usize::from(self.len) * words);
        let (newer, older) = all.split_at(usize::from(self.next) * words);
        [older, newer]
    }

    /// Appends an entry. Once the bound is reached, it replaces the oldest one. Returns `true` if the ring is in
    /// another block now.
    pub(super) fn push(&mut self, entry: &[u64], room: &mut Room<'_>) -> bool {
        let bound = room.bound.clamp(1, most(entry.len()));
        let len = usize::from(self.len);
        if len > bound || len < bound && self.next > 0 {
            // Filled under another bound: there were more or fewer recent entries.
            self.straighten(len.min(bound - 1), entry.len(), room);
            self.append(entry, room.blocks);
            return true;
        }
        if len < bound {
            let length = length_of_block((len + 1) * entry.len());
            let moves = len == 0 || length_of_block(len * entry.len()) != length;
            if moves {
                self.grow(length, entry.len(), room);
            }
            self.append(entry, room.blocks);
            return moves;
        }
        let at = self.block + u32::from(self.next) * entry.len() as u32;
        let place = room.blocks.words_mut(at, entry.len());
        if !room.is_new {
            let before = (at..).zip(place.iter().copied());
            room.overwritten.extend(before);
        }
        place.copy_from_slice(entry);
        self.next = ((usize::from(self.next) + 1) % bound) as u16;
        false
    }

    /// Replaces words of the entry with this index, oldest first, from its word `from` on.
    pub(super) fn overwrite(
        self,
        index: usize,
        words: usize,
        from: usize,
        new: impl Iterator<Item = u64>,
        room: &mut Room<'_>,
    ) {
        let place = (usize::from(self.next) + index) % usize::from(self.len);
        let at = self.block + (place * words + from) as u32;
        for (at, word) in (at..).zip(new) {
            let place = &mut room.blocks.words_mut(at, 1)[0];
            if *place != word {
                if !room.is_new {
                    room.overwritten.push((at, *place));
                }
                *place = word;
            }
        }
    }

    fn append(&mut self, entry: &[u64], blocks: &mut BuddyAllocator) {
        let end = usize::from(self.len) * entry.len();
        blocks.words_mut(self.block, end + entry.len())[end..].copy_from_slice(entry);
        self.len += 1;
    }

    /// Moves to a block of another length.
    fn grow(&mut self, length: usize, words: usize, room: &mut Room<'_>) {
        let outgrown = *self;
        self.block = room.blocks.take(length);
        if outgrown.len > 0 {
            let count = usize::from(outgrown.len) * words;
            room.blocks.copy(outgrown.block, self.block, count);
            outgrown.release(words, room);
        }
    }

    /// Moves the newest `kept` entries, oldest first, to a block with room for one more.
    fn straighten(&mut self, kept: usize, words: usize, room: &mut Room<'_>) {
        let halves = self.halves(room.blocks, words);
        let skipped = halves[0].len() + halves[1].len() - kept * words;
        let entries: Vec<u64> = halves
            .into_iter()
            .flatten()
            .skip(skipped)
            .copied()
            .collect();
        self.release(words, room);
        self.block = room.blocks.take((kept + 1) * words);
        let place = room.blocks.words_mut(self.block, entries.len());
        place.copy_from_slice(&entries);
        (self.len, self.next) = (kept as u16, 0);
    }

    /// Frees the ring's block: at once if it was taken in this transaction, otherwise on commit.
    fn release(self, words: usize, room: &mut Room<'_>) {
        if room.is_new {
            self.give_back(room.blocks, words);
        } else {
            let count = u32::from(self.len) * words as u32;
            room.released.push((self.block, count));
        }
    }

    /// Fills an empty ring with entries, oldest first. Keeps the newest if there are too many.
    pub(super) fn fill(halves: [&[u64]; 2], words: usize, blocks: &mut BuddyAllocator) -> Self {
        let count = (halves[0].len() + halves[1].len()) / words;
        let kept = count.min(most(words));
        if kept == 0 {
            return Self::default();
        }
        let block = blocks.take(kept * words);
        let place = blocks.words_mut(block, kept * words);
        let entries = halves.into_iter().flatten().skip((count - kept) * words);
        for (word, entry) in place.iter_mut().zip(entries) {
            *word = *entry;
        }
        Self {
            block,
            len: kept as u16,
            next: 0,
        }
    }

    /// Frees the ring's block.
    pub(super) fn give_back(self, blocks: &mut BuddyAllocator, words: usize) {
        if self.len > 0 {
            blocks.give_back(self.block, usize::from(self.len) * words);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    /// Words per order in these tests: its key and its time.
    const ORDER: usize = 2;

    proptest! {
        #[test]
        fn the_newest_are_kept_oldest_first_under_any_bound(
            pushes in prop::collection::vec((any::<u64>(), any::<bool>()), 0..200),
            bounds in prop::collection::vec(1..40_usize, 1..4),
        ) {
            let mut blocks = BuddyAllocator::default();
            let (mut overwritten, mut released) = (Vec::new(), Vec::new());
            let (mut ring, mut naive) = (Ring::default(), VecDeque::new());
            let turns = pushes.len() / bounds.len() + 1;
            for (index, (order, is_new)) in pushes.into_iter().enumerate() {
                let bound = bounds[index / turns];
                if index % (2 * turns) == 0 {
                    // A restart puts the oldest entry first.
                    let kept = ring.halves(&blocks, ORDER).concat();
                    let (older, newer) = kept.split_at(kept.len() / 4 * ORDER);
                    let restored = Ring::fill([older, newer], ORDER, &mut blocks);
                    std::mem::replace(&mut ring, restored).give_back(&mut blocks, ORDER);
                }
                let entry = [order, index as u64];
                let mut room = Room {
                    blocks: &mut blocks,
                    bound,
                    is_new,
                    overwritten: &mut overwritten,
                    released: &mut released,
                };
                ring.push(&entry, &mut room);
                naive.push_back(entry);
                naive.drain(..naive.len().saturating_sub(bound));
                for (block, words) in released.drain(..) {
                    blocks.give_back(block, words as usize);
                }
                let kept: Vec<u64> = ring.halves(&blocks, ORDER).concat();
                prop_assert_eq!(kept, naive.iter().flatten().copied().collect::<Vec<_>>());
            }
        }
    }

    /// Pushes orders with these keys. Blocks that a commit would free are freed at once. Returns the keys for which
    /// the ring moved to another block.
    fn push_all(
        ring: &mut Ring,
        keys: std::ops::Range<u64>,
        bound: usize,
        is_new: bool,
        blocks: &mut BuddyAllocator,
    ) -> Vec<u64> {
        let (mut overwritten, mut released) = (Vec::new(), Vec::new());
        let mut room = Room {
            blocks,
            bound,
            is_new,
            overwritten: &mut overwritten,
            released: &mut released,
        };
        let moved = keys
            .filter(|key| ring.push(&[*key, 0], &mut room))
            .collect();
        for (block, words) in released {
            blocks.give_back(block, words as usize);
        }
        moved
    }

    fn keys(ring: Ring, blocks: &BuddyAllocator) -> Vec<u64> {
        let words = ring.halves(blocks, ORDER).concat();
        words.into_iter().step_by(ORDER).collect()
    }

    #[test]
    fn a_ring_moves_only_when_its_block_is_full() {
        let (mut blocks, mut ring) = (BuddyAllocator::default(), Ring::default());
        let moved = push_all(&mut ring, 0..100, 32, true, &mut blocks);
        // To blocks of 2, 4, 8, 16, 32 and 64 words.
        assert_eq!(moved, [0, 1, 2, 4, 8, 16]);
    }

    #[test]
    fn what_a_ring_gives_back_is_used_again() {
        for is_new in [false, true] {
            let mut blocks = BuddyAllocator::default();
            let mut round = |bound| {
                let mut ring = Ring::default();
                push_all(&mut ring, 0..40, 32, is_new, &mut blocks);
                push_all(&mut ring, 40..50, bound, is_new, &mut blocks);
                ring.give_back(&mut blocks, ORDER);
                blocks.bytes()
            };
            let first = round(4);
            let most = (0..1000).map(|_| round(4)).max();
            assert_eq!(most, Some(first), "taken in this transaction: {is_new}");
        }
    }

    #[test]
    fn a_smaller_bound_keeps_the_newest_of_a_ring_that_has_turned() {
        let (mut blocks, mut ring) = (BuddyAllocator::default(), Ring::default());
        push_all(&mut ring, 0..11, 8, true, &mut blocks);
        push_all(&mut ring, 11..12, 3, true, &mut blocks);
        assert_eq!(keys(ring, &blocks), [9, 10, 11]);
    }

    #[test]
    fn a_ring_is_filled_with_the_newest_of_too_many() {
        let mut blocks = BuddyAllocator::default();
        let end = MAX_REMEMBERED as u64 + 3;
        let words: Vec<u64> = (0..end).flat_map(|key| [key, 0]).collect();
        let ring = Ring::fill([&words, &[]], ORDER, &mut blocks);
        assert!(keys(ring, &blocks).into_iter().eq(3..end));
    }
}
