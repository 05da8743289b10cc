//! A cursor over a JSON document (RFC 8259): white space, texts, literals, and values that nobody wants.
//!
//! All of it is checked, also what is skipped. Two things a skipped value is forgiven that a wanted one
//! is not, since nothing is made of it: halves of surrogate pairs, and numbers beyond 64 bits.

use std::ops::Range;

use super::Invalid;
use super::escape;
use super::nesting::Nesting;

/// A text between its quotes, as it stands in the document.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Raw<'t> {
    /// From its first byte to the end of the document.
    from: &'t [u8],
    length: usize,
    /// Its first eight bytes, as [`head`] has them.
    pub(crate) head: u64,
    pub(crate) has_escapes: bool,
}

impl<'t> Raw<'t> {
    pub(crate) fn bytes(&self) -> &'t [u8] {
        self.from.get(..self.length).unwrap_or_default()
    }

    /// Where it lies, by where the document ends.
    #[inline(always)]
    pub(crate) fn range(&self, end: usize) -> Range<u32> {
        let start = end - self.from.len();
        start as u32..(start + self.length) as u32
    }

    /// Is it this text, whose head is known to be the same?
    #[inline(always)]
    pub(crate) fn goes_on_as(&self, text: &str) -> bool {
        self.length == text.len() && (self.length <= 8 || self.bytes()[8..] == text.as_bytes()[8..])
    }
}

/// A place in a document: what is left of it.
#[derive(Clone, Copy)]
pub(crate) struct Cursor<'t> {
    pub(crate) rest: &'t [u8],
}

const ONES: u64 = u64::MAX / 255;

/// The first eight bytes as one number, with zeros for what is missing: most names differ in it.
pub(crate) fn head(text: &[u8]) -> u64 {
    match text.first_chunk() {
        Some(chunk) => u64::from_le_bytes(*chunk),
        None => text
            .iter()
            .rev()
            .fold(0, |head, byte| head << 8 | u64::from(*byte)),
    }
}

/// The lowest bit set is the top one of the first byte that a text cannot hold as it is: a quote, a
/// backslash, a control character. Above it, bits may be set for no reason.
///
/// After Mycroft's test for a zero byte: a byte below n borrows its top bit when n is taken off. With
/// 2 flipped, the quote lies just above the control characters.
#[inline(always)]
fn special(word: u64) -> u64 {
    let (low, backslash) = (word ^ (ONES * 0x02), word ^ (ONES * 0x5c));
    let borrowed = low.wrapping_sub(ONES * 0x21) | backslash.wrapping_sub(ONES);
    borrowed & !word & (ONES << 7)
}

impl<'t> Cursor<'t> {
    /// The byte here; 0, which is no part of any token, at the end.
    #[inline(always)]
    pub(crate) fn here(self) -> u8 {
        self.rest.first().copied().unwrap_or(0)
    }

    /// Moves on, at most to the end.
    #[inline(always)]
    pub(crate) fn advance(&mut self, bytes: usize) {
        self.rest = self.rest.get(bytes..).unwrap_or_default();
    }

    /// The first byte of the next token, not taken yet; 0 at the end.
    #[inline(always)]
    pub(crate) fn token(&mut self) -> u8 {
        match self.here() {
            b' ' | b'\n' | b'\t' | b'\r' => {
                self.rest = skip_space(self.rest);
                self.here()
            }
            byte => byte,
        }
    }

    /// Takes the next token where it is this byte.
    #[inline(always)]
    pub(crate) fn takes(&mut self, byte: u8) -> bool {
        // Most documents have no white space, so looking for it comes last.
        if self.takes_here(byte) {
            return true;
        }
        if self.here() > b' ' {
            return false;
        }
        self.rest = skip_space(self.rest);
        self.takes_here(byte)
    }

    #[inline(always)]
    fn takes_here(&mut self, byte: u8) -> bool {
        match self.rest {
            [first, rest @ ..] if *first == byte => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

    #[inline(always)]
    pub(crate) fn expect(&mut self, byte: u8) -> Result<(), Invalid> {
        if self.takes(byte) {
            Ok(())
        } else {
            Err(Invalid)
        }
    }

    /// The end, after white space.
    pub(crate) fn end(&mut self) -> Result<(), Invalid> {
        self.rest = skip_space(self.rest);
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(Invalid)
        }
    }

    /// Takes a word such as `true`.
    #[inline(always)]
    pub(crate) fn literal(&mut self, word: &[u8]) -> Result<(), Invalid> {
        self.rest = self.rest.strip_prefix(word).ok_or(Invalid)?;
        Ok(())
    }

    /// Takes a text from its opening quote on. Its escapes are whole, its surrogates maybe not in pairs.
    #[inline(always)]
    pub(crate) fn text(&mut self) -> Result<Raw<'t>, Invalid> {
        self.expect(b'"')?;
        let from = self.rest;
        if let Some((length, head)) = short(from) {
            self.rest = &from[length + 1..];
            return Ok(Raw {
                from,
                length,
                head,
                has_escapes: false,
            });
        }
        let (length, has_escapes) = long(from)?;
        self.rest = &from[length + 1..];
        Ok(Raw {
            from,
            length,
            head: head(&from[..length]),
            has_escapes,
        })
    }

    /// Skips a value.
    #[inline(always)]
    pub(crate) fn skip(&mut self) -> Result<(), Invalid> {
        match self.token() {
            b'"' => self.text().map(|_| ()),
            b'{' | b'[' => {
                self.rest = skip_composite(self.rest)?;
                Ok(())
            }
            _ => self.skip_scalar(),
        }
    }

    #[inline(always)]
    fn skip_scalar(&mut self) -> Result<(), Invalid> {
        match self.here() {
            b't' => self.literal(b"true"),
            b'f' => self.literal(b"false"),
            b'n' => self.literal(b"null"),
            _ => self.skip_number(),
        }
    }

    #[inline(always)]
    fn skip_name(&mut self) -> Result<(), Invalid> {
        self.text()?;
        self.expect(b':')
    }
}

/// The length and the head of a text that ends within sixteen bytes and has no escapes, as most do.
#[inline(always)]
fn short(from: &[u8]) -> Option<(usize, u64)> {
    let (first, rest) = from.split_first_chunk()?;
    let first = u64::from_le_bytes(*first);
    let found = special(first);
    let (length, head) = if found == 0 {
        let found = special(u64::from_le_bytes(*rest.first_chunk()?));
        (8 + found.trailing_zeros() as usize / 8, first)
    } else {
        // All bits below the byte whose top bit was found.
        let head = first & ((found ^ (found - 1)) >> 8);
        (found.trailing_zeros() as usize / 8, head)
    };
    (from.get(length) == Some(&b'"')).then_some((length, head))
}

/// The length of a text up to its closing quote, and whether it has escapes.
#[inline(never)]
fn long(from: &[u8]) -> Result<(usize, bool), Invalid> {
    let (mut length, mut has_escapes) = (0, false);
    loop {
        length += plain(&from[length..]);
        match from.get(length) {
            Some(b'"') => return Ok((length, has_escapes)),
            Some(b'\\') => length += escape::length(&from[length..])?,
            _ => return Err(Invalid),
        }
        has_escapes = true;
    }
}

/// Bytes up to the next quote, backslash or control character, or to the end.
#[inline(always)]
fn plain(from: &[u8]) -> usize {
    let mut rest = from;
    while let Some((chunk, after)) = rest.split_first_chunk()
        && are_plain(chunk)
    {
        rest = after;
    }
    while let Some((chunk, after)) = rest.split_first_chunk() {
        let found = special(u64::from_le_bytes(*chunk));
        if found != 0 {
            return from.len() - rest.len() + found.trailing_zeros() as usize / 8;
        }
        rest = after;
    }
    let is_plain = |byte: &&u8| !matches!(**byte, b'"' | b'\\' | 0..=0x1f);
    from.len() - rest.len() + rest.iter().take_while(is_plain).count()
}

/// Nothing special at all? A few vector instructions for all sixteen.
#[inline(always)]
fn are_plain(chunk: &[u8; 16]) -> bool {
    let found = chunk.iter().fold(0, |found, byte| {
        found | u8::from(byte ^ 0x02 < 0x21) | u8::from(*byte == b'\\')
    });
    found == 0
}

#[cold]
fn skip_space(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\n' | b'\t' | b'\r', rest @ ..] = text {
        text = rest;
    }
    text
}

/// Skips an object or an array, however deep, and returns what is left.
fn skip_composite(rest: &[u8]) -> Result<&[u8], Invalid> {
    let mut cursor = Cursor { rest };
    let mut open = Nesting::default();
    loop {
        match cursor.token() {
            b'"' => {
                cursor.text()?;
            }
            b'{' => {
                cursor.advance(1);
                if !cursor.takes(b'}') {
                    open.push(true);
                    cursor.skip_name()?;
                    continue;
                }
            }
            b'[' => {
                cursor.advance(1);
                if !cursor.takes(b']') {
                    open.push(false);
                    continue;
                }
            }
            _ => cursor.skip_scalar()?,
        }
        loop {
            let Some(is_object) = open.innermost() else {
                return Ok(cursor.rest);
            };
            if cursor.takes(b',') {
                if is_object {
                    cursor.skip_name()?;
                }
                break;
            }
            cursor.expect(if is_object { b'}' } else { b']' })?;
            open.pop();
        }
    }
}
