//! Memory that librdkafka reads from without a copy of its own.
//!
//! A record's value stays where we wrote it until librdkafka has destroyed the message: it may be waiting,
//! in a request on its way, or about to be sent again. librdkafka counts its messages, and takes one off the
//! count in the very function that frees what it copied itself, and nothing touches a value after that. So a
//! count of zero, which is what a flush waits for, is the one sign that lent memory is ours again; neither a
//! commit, an abort nor an error is. Until then it is not written to and not freed. What is never given back
//! outlives the client: [`Lent`] is dropped after it.

/// Bytes that a piece has room for; it never grows, since growing moves it.
const PIECE_BYTES: usize = 1 << 20;

/// Pieces that may be lent before records have to be waited for.
const MOST_LENT: usize = 64;

/// Memory of fixed size and place.
#[derive(Debug, Default)]
pub(crate) struct Piece(Vec<u8>);

/// Where bytes lie in a piece.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    start: usize,
    length: usize,
}

impl Piece {
    /// Keeps a copy, if there is room.
    pub(crate) fn keep(&mut self, bytes: &[u8]) -> Option<Span> {
        if self.0.capacity() == 0 {
            self.0.reserve_exact(PIECE_BYTES);
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
pub(crate) struct Lent {
    pieces: Vec<Piece>,
    free: Vec<Piece>,
}

impl Lent {
    /// Sets a piece aside that librdkafka has been pointed into, and gives an empty one for it. The bytes
    /// stay where they are.
    pub(crate) fn lend(&mut self, piece: &mut Piece) {
        let empty = self.free.pop().unwrap_or_default();
        self.pieces.push(std::mem::replace(piece, empty));
    }

    /// Is so much lent that some should come back first?
    pub(crate) fn is_much(&self) -> bool {
        self.pieces.len() >= MOST_LENT
    }

    /// librdkafka holds no message any more.
    pub(crate) fn take_back(&mut self) {
        self.free.extend(self.pieces.drain(..).map(|mut piece| {
            piece.clear();
            piece
        }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_lent_stays_where_it_is_until_it_comes_back() {
        let (mut lent, mut piece) = (Lent::default(), Piece::default());
        let mut places = Vec::new();
        for number in 0..10_u8 {
            let span = piece.keep(&[number; 1000]).expect("room");
            places.push(piece.bytes(span).as_ptr());
            lent.lend(&mut piece);
        }
        for (number, place) in (0..).zip(&places) {
            let bytes = &lent.pieces[usize::from(number)].0;
            assert_eq!((bytes.as_ptr(), bytes[0]), (*place, number));
        }
        lent.take_back();
        lent.lend(&mut piece);
        let span = piece.keep(b"again").expect("room");
        assert!(places.contains(&piece.bytes(span).as_ptr()), "used again");
    }

    #[test]
    fn a_piece_never_grows() {
        let mut piece = Piece::default();
        let first = piece.keep(&[1; PIECE_BYTES - 10]).expect("room");
        let place = piece.bytes(first).as_ptr();
        assert!(piece.keep(&[2; 11]).is_none());
        let second = piece.keep(&[2; 10]).expect("room");
        assert_eq!(piece.bytes(second), [2; 10]);
        assert_eq!(piece.bytes(first).as_ptr(), place);
    }
}
