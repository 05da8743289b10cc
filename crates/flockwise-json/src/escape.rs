//! Escapes in JSON texts.

use crate::invalid::Invalid;

/// The length of the escape at the start of `text`, backslash included.
pub(crate) fn length(text: &[u8]) -> Result<usize, Invalid> {
    match text {
        [
            b'\\',
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't',
            ..,
        ] => Ok(2),
        [b'\\', b'u', digits @ ..] => {
            let digits = digits.first_chunk::<4>().ok_or(Invalid)?;
            let are_hexadecimal = digits.iter().all(u8::is_ascii_hexdigit);
            are_hexadecimal.then_some(6).ok_or(Invalid)
        }
        _ => Err(Invalid),
    }
}

/// Checks that every surrogate is part of a pair. The escapes must be complete.
#[cold]
pub(crate) fn check_pairs(raw: &[u8]) -> Result<(), Invalid> {
    let text = str::from_utf8(raw).map_err(|_| Invalid)?;
    unescape(text, |_| {})
}

/// Unescapes a text and passes it to `each` piece by piece. The escapes must be complete.
///
/// # Errors
/// If a surrogate is not part of a pair.
#[cold]
pub fn unescape(raw: &str, mut each: impl FnMut(&str)) -> Result<(), Invalid> {
    let mut rest = raw;
    while let Some((plain, escaped)) = rest.split_once('\\') {
        each(plain);
        let (letter, length) = letter(escaped).ok_or(Invalid)?;
        each(letter.encode_utf8(&mut [0; 4]));
        rest = escaped.get(length..).ok_or(Invalid)?;
    }
    each(rest);
    Ok(())
}

/// The character that an escape stands for, and the escape's length. `escape` and the length are without the
/// backslash.
fn letter(escape: &str) -> Option<(char, usize)> {
    let simple = match escape.as_bytes().first()? {
        b'b' => '\x08',
        b'f' => '\x0c',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => return unicode(escape),
        other => char::from(*other),
    };
    Some((simple, 1))
}

fn unicode(escape: &str) -> Option<(char, usize)> {
    let number = |start: usize| u32::from_str_radix(escape.get(start..start + 4)?, 16).ok();
    let first = number(1)?;
    if let Some(letter) = char::from_u32(first) {
        return Some((letter, 5));
    }
    let follows = escape.get(5..7) == Some("\\u");
    let second = number(7).filter(|second| follows && (0xdc00..0xe000).contains(second))?;
    let high = first.checked_sub(0xd800).filter(|high| *high < 0x400)?;
    let letter = char::from_u32(0x1_0000 + (high << 10 | (second - 0xdc00)))?;
    Some((letter, 11))
}
