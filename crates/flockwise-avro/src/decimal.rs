//! Decimals: an unscaled integer in big-endian two's complement, divided by a power of ten.

use num_bigint::BigInt;

/// The powers of ten that an f64 represents exactly.
const POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
    1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
];

/// An f64 represents integers up to this one exactly.
const EXACT: u64 = 1 << 53;

/// The most bytes of an unscaled integer. Longer ones exceed the range of an f64, and would take long to convert.
const LONGEST: usize = 128;

/// The f64 nearest to a decimal. It is infinite if the unscaled integer is longer than [`LONGEST`], without padding.
pub(crate) fn decimal(bytes: &[u8], scale: usize) -> f64 {
    let bytes = without_padding(bytes);
    match (small(bytes), POWERS.get(scale)) {
        // One division of two exact numbers rounds once.
        (Some(unscaled), Some(power)) if unscaled.unsigned_abs() <= EXACT => {
            unscaled as f64 / power
        }
        _ => large(bytes, scale),
    }
}

/// The same integer without bytes that only repeat its sign: a fixed has them.
fn without_padding(mut bytes: &[u8]) -> &[u8] {
    while let [0, 0..=0x7f, ..] | [0xff, 0x80..=0xff, ..] = bytes {
        bytes = &bytes[1..];
    }
    bytes
}

/// The integer, if it has at most eight bytes.
fn small(bytes: &[u8]) -> Option<i64> {
    let is_negative = bytes.first().is_some_and(|byte| *byte >= 0x80);
    let mut all = [if is_negative { 0xff } else { 0 }; 8];
    let start = 8usize.checked_sub(bytes.len())?;
    all[start..].copy_from_slice(bytes);
    Some(i64::from_be_bytes(all))
}

#[cold]
fn large(bytes: &[u8], scale: usize) -> f64 {
    if bytes.len() > LONGEST {
        return f64::INFINITY;
    }
    let unscaled = BigInt::from_signed_bytes_be(bytes);
    // The text is a valid number, so parsing cannot fail.
    format!("{unscaled}e-{scale}").parse().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decimal_is_the_nearest_number() {
        assert_eq!(decimal(&[], 2), 0.0);
        assert_eq!(decimal(&1999_i32.to_be_bytes(), 2), 19.99);
        assert_eq!(decimal(&(-1999_i64).to_be_bytes(), 2), -19.99);
        assert_eq!(decimal(&[0xff], 0), -1.0);
        assert_eq!(decimal(&[7, 0xcf], 2), 19.99);
        let large = 123_456_789_012_345_678_901_234_567_890_i128.to_be_bytes();
        assert_eq!(decimal(&large, 28), 12.345_678_901_234_567);
        assert_eq!(
            decimal(&i64::MAX.to_be_bytes(), 3),
            9.223_372_036_854_776e15
        );
        assert_eq!(decimal(&1_i64.to_be_bytes(), 400), 0.0);
        assert_eq!(decimal(&[1; LONGEST + 1], 2), f64::INFINITY);
        assert_eq!(
            decimal(&[[0; 200].as_slice(), &[7, 0xcf]].concat(), 2),
            19.99
        );
        let padded = [[0xff; 200].as_slice(), &(-1999_i32).to_be_bytes()].concat();
        assert_eq!(decimal(&padded, 2), -19.99);
        assert_eq!(decimal(&(-19_990_000_i128).to_be_bytes(), 6), -19.99);
        assert_eq!(
            decimal(&i128::MIN.to_be_bytes(), 30),
            -170_141_183.460_469_24
        );
    }
}
