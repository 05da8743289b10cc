//! Memory sizes as a user writes them: `512MiB`, `4GiB`.

/// Units and their bytes. GB is not among them, because it is ambiguous.
const UNITS: [(&str, u64); 3] = [("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40)];

/// Parses a size to bytes; `None` if the text is not one whole number above zero and one of the units.
pub(crate) fn parse(text: &str) -> Option<u64> {
    let digits = text.find(|letter: char| !letter.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let (_, bytes) = UNITS.iter().find(|(name, _)| *name == unit.trim_start())?;
    let count = number.parse::<u64>().ok().filter(|count| *count > 0)?;
    count.checked_mul(*bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_number_and_a_unit() {
        assert_eq!(parse("512MiB"), Some(512 << 20));
        assert_eq!(parse("4 GiB"), Some(4 << 30));
        for wrong in [
            "",
            "4",
            "GiB",
            "4GB",
            "4g",
            "1.5GiB",
            "0GiB",
            "-1GiB",
            "99999999999TiB",
        ] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
