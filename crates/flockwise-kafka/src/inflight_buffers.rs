//! Memory that librdkafka reads from without copying it.
//!
//! A record's value stays where we wrote it until librdkafka has destroyed the message: the message may be
//! queued, in a request in flight, or about to be retried. librdkafka counts its messages. It decrements the
//! count in the same function that frees its own copies, and nothing touches a value after that. So a count
//! of zero, which a flush waits for, is the only sign that memory in flight is ours again; a commit, an abort
//! or an error is not. Until then the memory is neither written to nor freed. Memory that never comes back
//! outlives the client: [`InflightArenas`] is dropped after it.

/// Capacity of an arena, bytes. An arena never grows, since growing would move it.
const ARENA_BYTES: usize = 1 << 20;

/// Arenas that may be in flight before the sender waits for deliveries.
const MAX_INFLIGHT: usize = 64;

/// Memory of fixed size and address.
#[derive(Debug, Default)]
pub(crate) struct Arena(Vec<u8>);

/// Where bytes lie in an arena.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    start: usize,
    length: usize,
}

impl Arena {
    /// Copies bytes into the arena; `None` if there is no room.
    pub(crate) fn keep(&mut self, bytes: &[u8]) -> Option<Span> {
        if self.0.capacity() == 0 {
            self.0.reserve_exact(ARENA_BYTES);
        }
        if bytes.len() > self.0.capacity() - self.0.len() {
            return None;
        }
        let start = self.0.len();
        self.0.extend_from_slice(bytes);
        Some(Span {
            start,
            length: bytes.len(),
        })
    }

    /// The bytes of a span.
    pub(crate) fn bytes(&self, span: Span) -> &[u8] {
        &self.0[span.start..span.start + span.length]
    }

    /// Empties an arena that is not in flight.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }
}

/// Arenas that librdkafka may read from, and free ones.
#[derive(Debug, Default)]
pub(crate) struct InflightArenas {
    pieces: Vec<Arena>,
    free: Vec<Arena>,
}

impl InflightArenas {
    /// Sets aside an arena that librdkafka has pointers into, and puts an empty one in its place. The bytes
    /// keep their address.
    pub(crate) fn put_in_flight(&mut self, arena: &mut Arena) {
        let empty = self.free.pop().unwrap_or_default();
        self.pieces.push(std::mem::replace(arena, empty));
    }

    /// Are so many arenas in flight that the sender should wait?
    pub(crate) fn is_full(&self) -> bool {
        self.pieces.len() >= MAX_INFLIGHT
    }

    /// Reuses all arenas. To be called only when librdkafka holds no message any more.
    pub(crate) fn reclaim(&mut self) {
        self.free.extend(self.pieces.drain(..).map(|mut arena| {
            arena.clear();
            arena
        }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_lent_stays_where_it_is_until_it_comes_back() {
        let (mut inflight, mut arena) = (InflightArenas::default(), Arena::default());
        let mut places = Vec::new();
        for number in 0..10_u8 {
            let span = arena.keep(&[number; 1000]).expect("room");
            places.push(arena.bytes(span).as_ptr());
            inflight.put_in_flight(&mut arena);
        }
        for (number, place) in (0..).zip(&places) {
            let bytes = &inflight.pieces[usize::from(number)].0;
            assert_eq!((bytes.as_ptr(), bytes[0]), (*place, number));
        }
        inflight.reclaim();
        inflight.put_in_flight(&mut arena);
        let span = arena.keep(b"again").expect("room");
        assert!(places.contains(&arena.bytes(span).as_ptr()), "used again");
    }

    #[test]
    fn a_piece_never_grows() {
        let mut arena = Arena::default();
        let first = arena.keep(&[1; ARENA_BYTES - 10]).expect("room");
        let place = arena.bytes(first).as_ptr();
        assert!(arena.keep(&[2; 11]).is_none());
        let second = arena.keep(&[2; 10]).expect("room");
        assert_eq!(arena.bytes(second), [2; 10]);
        assert_eq!(arena.bytes(first).as_ptr(), place);
    }
}
