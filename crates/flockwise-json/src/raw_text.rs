//! A text of a document as written, between its quotes.

use std::ops::Range;

/// A text between its quotes, as written in the document, escapes included.
#[derive(Clone, Copy, Debug)]
pub struct RawText<'t> {
    /// The document from the text's first byte on.
    pub(crate) from: &'t [u8],
    pub(crate) length: usize,
    /// The [`head`] of the text.
    pub(crate) head: u64,
    pub(crate) has_escapes: bool,
}

impl<'t> RawText<'t> {
    /// The bytes between the quotes. They are UTF-8.
    #[must_use]
    pub fn bytes(&self) -> &'t [u8] {
        self.from.get(..self.length).unwrap_or_default()
    }

    /// Whether it has escapes. Without any, [`Self::bytes`] are the text itself.
    #[inline(always)]
    #[must_use]
    pub fn has_escapes(&self) -> bool {
        self.has_escapes
    }

    /// The text's range in a buffer of less than 4 GiB in which the document ends at `end`.
    #[inline(always)]
    #[must_use]
    pub fn range(&self, end: usize) -> Range<u32> {
        let start = end - self.from.len();
        start as u32..(start + self.length) as u32
    }

    /// Whether it equals `text`. The heads must be equal already.
    #[inline(always)]
    pub(crate) fn equals_after_head(&self, text: &str) -> bool {
        self.length == text.len() && (self.length <= 8 || self.bytes()[8..] == text.as_bytes()[8..])
    }
}

/// The first eight bytes as one number, padded with zeros. Most names differ in it.
pub(crate) fn head(text: &[u8]) -> u64 {
    match text.first_chunk() {
        Some(chunk) => u64::from_le_bytes(*chunk),
        None => text
            .iter()
            .rev()
            .fold(0, |head, byte| head << 8 | u64::from(*byte)),
    }
}
