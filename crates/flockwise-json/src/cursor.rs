//! A cursor over a JSON document (RFC 8259): takes white space, texts and literals, and skips values.
//!
//! Skipped values are checked too, with two exceptions, because their content is not used: unpaired surrogates
//! and numbers beyond 64 bits are accepted in a skipped value and rejected in a wanted one.

use crate::escape;
use crate::invalid::Invalid;
use crate::nesting::Nesting;
use crate::raw_text::{RawText, head};

/// A position in a document: the bytes that are left.
#[derive(Clone, Copy)]
pub(crate) struct Cursor<'t> {
    pub(crate) rest: &'t [u8],
}

const ONES: u64 = u64::MAX / 255;

/// Finds the first special byte in a word: a quote, a backslash or a control character. The lowest bit set in the
/// result is the top bit of that byte; higher bits may be set wrongly. 0: none of the bytes is special.
///
/// Follows Mycroft's test for a zero byte: subtracting n from a byte below n borrows, which sets its top bit. The
/// exclusive or with 2 moves the quote to just above the control characters.
#[inline(always)]
fn special(word: u64) -> u64 {
    let (low, backslash) = (word ^ (ONES * 0x02), word ^ (ONES * 0x5c));
    let borrowed = low.wrapping_sub(ONES * 0x21) | backslash.wrapping_sub(ONES);
    borrowed & !word & (ONES << 7)
}

impl<'t> Cursor<'t> {
    /// The next byte; 0, which is not part of any token, at the end.
    #[inline(always)]
    pub(crate) fn here(self) -> u8 {
        self.rest.first().copied().unwrap_or(0)
    }

    /// Moves forward by `bytes`, at most to the end.
    #[inline(always)]
    pub(crate) fn advance(&mut self, bytes: usize) {
        self.rest = self.rest.get(bytes..).unwrap_or_default();
    }

    /// Skips white space and returns the first byte of the next token without taking it; 0 at the end.
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

    /// Takes the next token if it is this byte.
    #[inline(always)]
    pub(crate) fn takes(&mut self, byte: u8) -> bool {
        // Most documents have no white space, so it is checked last.
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

    /// Checks that only white space is left.
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

    /// Takes a text, quotes included. Its escapes are complete, but its surrogates may be unpaired.
    #[inline(always)]
    pub(crate) fn text(&mut self) -> Result<RawText<'t>, Invalid> {
        self.expect(b'"')?;
        let from = self.rest;
        if let Some((length, head)) = short(from) {
            self.rest = &from[length + 1..];
            return Ok(RawText {
                from,
                length,
                head,
                has_escapes: false,
            });
        }
        let (length, has_escapes) = long(from)?;
        self.rest = &from[length + 1..];
        Ok(RawText {
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

/// The length and the head of a text that ends within sixteen bytes and has no escapes, like most texts. `None`
/// for any other text.
#[inline(always)]
fn short(from: &[u8]) -> Option<(usize, u64)> {
    let (first, rest) = from.split_first_chunk()?;
    let first = u64::from_le_bytes(*first);
    let found = special(first);
    let (length, head) = if found == 0 {
        let found = special(u64::from_le_bytes(*rest.first_chunk()?));
        (8 + found.trailing_zeros() as usize / 8, first)
    } else {
        // Keep only the bytes below the one that was found.
        let head = first & ((found ^ (found - 1)) >> 8);
        (found.trailing_zeros() as usize / 8, head)
    };
    (from.get(length) == Some(&b'"')).then_some((length, head))
}

/// The length of a text without its closing quote, and whether it has escapes.
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

/// How many bytes come before the next quote, backslash or control character, or before the end.
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

/// Whether the chunk has no special byte. Compiles to a few vector instructions for all sixteen bytes.
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

/// Skips an object or an array of any depth, without recursion, and returns the bytes after it.
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
