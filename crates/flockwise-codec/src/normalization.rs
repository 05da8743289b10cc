//! Other spellings of one customer id.

use std::borrow::Cow;

use unicode_normalization::{UnicodeNormalization, is_nfc};

/// How customer ids are normalised, besides the blanks around them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IdNormalization {
    /// Letters are lower case.
    pub lowercase: bool,
    /// Unicode Normalization Form C: letters with marks are one character where there is one.
    pub nfc: bool,
}

impl IdNormalization {
    /// Whether ids stay as they are.
    #[inline]
    pub(crate) fn is_none(self) -> bool {
        !self.lowercase && !self.nfc
    }

    /// The spelling under which the customer is kept.
    pub(crate) fn apply(self, id: &str) -> Cow<'_, str> {
        let id = match self.lowercase {
            true => Cow::Owned(id.to_lowercase()),
            false => Cow::Borrowed(id),
        };
        match self.nfc && !is_nfc(&id) {
            true => Cow::Owned(id.nfc().collect()),
            false => id,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_normalised_as_configured() {
        let [none, lowercase, nfc, both] =
            [(false, false), (true, false), (false, true), (true, true)]
                .map(|(lowercase, nfc)| IdNormalization { lowercase, nfc });
        let decomposed = "Zoe\u{308}@Example.COM";
        assert_eq!(none.apply(decomposed), decomposed);
        assert_eq!(lowercase.apply(decomposed), "zoe\u{308}@example.com");
        assert_eq!(nfc.apply(decomposed), "Zo\u{eb}@Example.COM");
        assert_eq!(both.apply(decomposed), "zo\u{eb}@example.com");
    }
}
