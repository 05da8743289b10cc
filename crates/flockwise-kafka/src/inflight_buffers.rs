//! Memory that librdkafka reads from without a copy of its own.
//!
//! A record's value stays where we wrote it until librdkafka has destroyed the message: it may be waiting,
//! in a request on its way, or about to be sent again. librdkafka counts its messages, and takes one off the
//! count in the very function that frees what it copied itself, and nothing touches a value after that. So a
//! count of zero, which is what a flush waits for, is the one sign that lent memory is ours again; neither a
//! commit, an abort nor an error is. Until then it is not written to and not freed. What is never given back
//! outlives the client: [`InflightArenas`] is dropped after it.

/// Bytes that a piece has room for; it never grows, since growing moves it.
const ARENA_BYTES: usize = 1 << 20;

/// Pieces that may be lent before records have to be waited for.
const MAX_INFLIGHT: usize = 64;

/// Memory of fixed size and place.
#[derive(Debug, Default)]
pub(crate) struct Arena(Vec<u8>);

/// Where bytes lie in a piece.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    start: usize,
    length: usize,
}

impl Arena {
    /// Keeps a copy, if there is room.
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

    /// The bytes kept there.
    pub(crate) fn bytes(&self, span: Span) -> &[u8] {
        &self.0[span.start..span.start + span.length]
    }

    /// Forgets what nobody was lent.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }
}

/// Pieces that librdkafka may read from, and such as are free.
#[derive(Debug, Default)]
pub(crate) struct InflightArenas {
    pieces: Vec<Arena>,
    free: Vec<Arena>,
}

impl InflightArenas {
    /// Sets a piece aside that librdkafka has been pointed into, and gives an empty one for it. The bytes
    /// stay where they are.
    pub(crate) fn put_in_flight(&mut self, arena: &mut Arena) {
        let empty = self.free.pop().unwrap_or_default();
        self.pieces.push(std::mem::replace(arena, empty));
    }

    /// Is so much lent that some should come back first?
    pub(crate) fn is_full(&self) -> bool {
        self.pieces.len() >= MAX_INFLIGHT
    }

    /// librdkafka holds no message any more.
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
