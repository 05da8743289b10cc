//! Writes JSON texts and numbers, byte for byte as serde_json does.

/// Appends a text in quotes, with escapes.
pub(crate) fn put_text(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    let mut rest = text.as_bytes();
    while let Some(place) = rest.iter().position(|byte| is_escaped(*byte)) {
        out.extend_from_slice(&rest[..place]);
        put_escape(rest[place], out);
        rest = &rest[place + 1..];
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

fn is_escaped(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

fn put_escape(byte: u8, out: &mut Vec<u8>) {
    let letter = match byte {
        b'"' | b'\\' => byte,
        0x08 => b'b',
        0x0c => b'f',
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        _ => {
            out.extend_from_slice(b"\\u00");
            return put_hex(byte, out);
        }
    };
    out.extend_from_slice(&[b'\\', letter]);
}

/// Appends a byte as two hexadecimal digits.
pub(crate) fn put_hex(byte: u8, out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |half: u8| DIGITS[usize::from(half)];
    out.extend_from_slice(&[digit(byte >> 4), digit(byte & 15)]);
}

/// Appends the shortest text that parses to the same number; `null` if the number is not finite.
pub(crate) fn put_number(number: f64, out: &mut Vec<u8>) {
    if number.is_finite() {
        // serde_json uses this crate too; other crates write exponents differently.
        out.extend_from_slice(zmij::Buffer::new().format_finite(number).as_bytes());
    } else {
        out.extend_from_slice(b"null");
    }
}

/// Appends an integer.
pub(crate) fn put_integer(number: impl itoa::Integer, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(put: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        put(&mut out);
        String::from_utf8(out).unwrap()
    }

    proptest! {
        #[test]
        fn texts_are_as_serde_writes_them(text in "[\\x00-\\x22\\\\a-cé\u{7f}😀]{0,20}|\\PC*") {
            let found = written(|out| put_text(&text, out));
            prop_assert_eq!(found, serde_json::to_string(&text).unwrap());
        }

        #[test]
        fn numbers_are_as_serde_writes_them(bits in any::<u64>(), short in -1_000_000_i32..1_000_000) {
            for number in [f64::from_bits(bits), f64::from(short), f64::from(short) / 128.0, 1.0 / f64::from(short)] {
                let found = written(|out| put_number(number, out));
                prop_assert_eq!(found, serde_json::to_string(&number).unwrap());
            }
        }

        #[test]
        fn integers_are_as_serde_writes_them(number in any::<i64>()) {
            let found = written(|out| put_integer(number, out));
            prop_assert_eq!(found, serde_json::to_string(&number).unwrap());
        }
    }
}
