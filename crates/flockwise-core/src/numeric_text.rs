//! Numbers that are written as text.

/// The largest magnitude of a number. Amounts, counts and ratings are smaller, and a sum of larger numbers would lose the
/// small ones to rounding.
pub const LARGEST_NUMBER: f64 = 1e15;

/// The number that a text is: decimal digits with sign, point and exponent, with blanks around it. `None` if it is none, or
/// beyond [`LARGEST_NUMBER`].
#[must_use]
pub fn numeric_text(text: &str) -> Option<f64> {
    let trimmed = text.trim();
    // The standard library also reads `inf`, `infinity` and `nan`.
    let is_plain =
        |byte: u8| byte.is_ascii_digit() || matches!(byte, b'+' | b'-' | b'.' | b'e' | b'E');
    if !trimmed.bytes().all(is_plain) {
        return None;
    }
    let number: f64 = trimmed.parse().ok()?;
    (number.abs() <= LARGEST_NUMBER).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_in_a_text_is_a_number() {
        for (text, number) in [
            ("19.99", 19.99),
            (" 1e3\t", 1000.0),
            ("+5", 5.0),
            ("-.5", -0.5),
            ("007", 7.0),
            ("1E-2", 0.01),
            ("\u{a0}3\u{a0}", 3.0),
            ("1000000000000000", 1e15),
        ] {
            assert_eq!(numeric_text(text), Some(number), "{text:?}");
        }
    }

    #[test]
    fn other_texts_are_none() {
        for text in [
            "",
            " ",
            "19,99",
            "$19.99",
            "1 000",
            "1_000",
            "0x10",
            "inf",
            "-Infinity",
            "NaN",
            "e",
            "1e",
            "--1",
            "1.2.3",
            "1e16",
            "1e999",
            "true",
            "12 EUR",
            "١٢",
        ] {
            assert_eq!(numeric_text(text), None, "{text:?}");
        }
    }
}
