//! ln(1 + x) of many numbers at once.
//!
//! A library function handles one number per call. This one is plain arithmetic without branches, so that the
//! compiler computes several numbers at once. Its result is the same to the last bit wherever IEEE 754 holds. That
//! of a feature is not, because decay takes `exp2` from the platform's C library.

/// ln 2 in two parts. The upper one ends in zeros, so that its multiples are exact.
const LN_2: [f64; 2] = [6.931_471_803_691_238e-1, 1.908_214_929_270_587_7e-10];
/// The upper half of the bits of √½. A significand from there on counts for the next power of two.
const SQRT_HALF: u64 = 0x3fe6_a09e_0000_0000;
const ONE: u64 = 0x3ff0_0000_0000_0000;
const SIGNIFICAND: u64 = 0x000f_ffff_ffff_ffff;
/// 2^52 as bits. A whole number below 2^52 that is put into these bits is added to 2^52.
const WHOLE: u64 = 0x4330_0000_0000_0000;
/// Coefficients for (ln(1+s) - ln(1-s) - 2s) / s in powers of s², over |s| < 0.1716 (from fdlibm, by Remez's
/// algorithm, within 2^-58.45).
const SERIES: [f64; 7] = [
    6.666_666_666_666_735e-1,
    3.999_999_999_940_942e-1,
    2.857_142_874_366_239e-1,
    2.222_219_843_214_978_4e-1,
    1.818_357_216_161_805e-1,
    1.531_383_769_920_937_3e-1,
    1.479_819_860_511_658_6e-1,
];

/// Replaces each number x by sign(x) ln(1 + |x|), within 2 units in the last place; x must be finite.
pub(crate) fn log1p_all(numbers: &mut [f64]) {
    for number in numbers {
        *number = log1p(number.abs()).copysign(*number);
    }
}

/// ln(1 + x) for x >= 0, by ln(1 + x) = k ln 2 + ln(1 + f) with 1 + x = 2^k (1 + f), and ln(1 + f) =
/// 2 artanh(f / (2 + f)). What 1 + x loses of x is added as a share of the sum (Kahan).
fn log1p(x: f64) -> f64 {
    let sum = 1.0 + x;
    let lost = if x < 1.0 {
        x - (sum - 1.0)
    } else {
        1.0 - (sum - x)
    };
    let shifted = sum.to_bits() + (ONE - SQRT_HALF);
    // The exponent is biased, so its bits can be read as a number of at least 2^52.
    let power = f64::from_bits((shifted >> 52) | WHOLE) - (f64::from_bits(WHOLE) + 1023.0);
    let f = f64::from_bits((shifted & SIGNIFICAND) + SQRT_HALF) - 1.0;
    let s = f / (2.0 + f);
    let square = s * s;
    let series = SERIES
        .iter()
        .rev()
        .fold(0.0, |series, term| (series + term) * square);
    let half = 0.5 * f * f;
    let low = s * (half + series) + (power * LN_2[1] + lost / sum);
    power * LN_2[0] + (f - (half - low))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// How many floating-point numbers lie between two of the same sign.
    fn apart(left: f64, right: f64) -> u64 {
        left.to_bits().abs_diff(right.to_bits())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        #[test]
        fn it_is_the_logarithm_of_the_standard_library(
            power in -80..1023_i32,
            significand in 1.0..2.0_f64,
            is_negative in any::<bool>(),
        ) {
            let x = significand * 2.0_f64.powi(power);
            let x = if is_negative { -x } else { x };
            let mut numbers = [x];
            log1p_all(&mut numbers);
            let expected = x.abs().ln_1p().copysign(x);
            prop_assert!(apart(numbers[0], expected) <= 2, "{x}: {} is not {expected}", numbers[0]);
        }
    }

    #[test]
    fn every_place_and_the_edges_are_as_one_alone() {
        let edges = [
            0.0,
            -0.0,
            f64::MIN_POSITIVE,
            1e-300,
            std::f64::consts::SQRT_2 - 1.0,
            1.0,
            -1.0,
            f64::MAX,
            f64::MIN,
            4.5,
            1e15,
        ];
        for shift in 0..edges.len() {
            let mut numbers = edges;
            numbers.rotate_left(shift);
            let alone = numbers.map(|x| log1p(x.abs()).copysign(x));
            log1p_all(&mut numbers);
            assert_eq!(numbers.map(f64::to_bits), alone.map(f64::to_bits));
        }
        assert_eq!(log1p(0.0).to_bits(), 0);
        assert_eq!(log1p(f64::MAX), f64::MAX.ln());
    }
}
