//! Parses JSON numbers: integers of 64 bits exactly, all others to the nearest f64.

use crate::cursor::Cursor;
use crate::invalid::Invalid;

/// A JSON number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    /// Written without minus sign, fraction and exponent, and fits into 64 bits.
    Natural(u64),
    /// Below zero, written without fraction and exponent, and fits into 64 bits. `-0` is a float.
    Negative(i64),
    /// Any other number, rounded to the nearest.
    Float(f64),
}

impl Number {
    /// The number as the nearest f64.
    #[inline(always)]
    #[must_use]
    pub fn nearest(self) -> f64 {
        match self {
            Self::Natural(number) => number as f64,
            Self::Negative(number) => number as f64,
            Self::Float(number) => number,
        }
    }
}

/// The powers of ten that an f64 represents exactly.
const POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
    1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
];
/// An f64 represents integers up to this one exactly.
const EXACT: u64 = 1 << 53;
/// Any integer of this many digits fits into 64 bits.
const DIGITS: usize = 19;
/// The standard library parses exponents up to this one; of a larger one it reads only the first digits.
const LARGEST_EXPONENT: i64 = 0xffff;
/// An exponent that no count of digits in a document can compensate.
const BEYOND: u64 = 1 << 40;

/// The parts of a number, checked.
struct NumberParts {
    is_negative: bool,
    /// All digits before the exponent, modulo 2^64.
    mantissa: u64,
    /// Count of all digits before the exponent.
    digits: usize,
    /// Count of digits after the point.
    places: usize,
    exponent: i64,
    is_integer: bool,
}

impl Cursor<'_> {
    /// Takes a number.
    #[inline(always)]
    pub(crate) fn number(&mut self) -> Result<Number, Invalid> {
        let from = self.rest;
        let parts = self.parts()?;
        if let Some(number) = parts.fast_path() {
            return Ok(number);
        }
        slow_path(&from[..from.len() - self.rest.len()], &parts)
    }

    /// Takes a number without computing its value.
    #[inline(always)]
    pub(crate) fn skip_number(&mut self) -> Result<(), Invalid> {
        self.parts().map(|_| ())
    }

    #[inline(always)]
    fn parts(&mut self) -> Result<NumberParts, Invalid> {
        let is_negative = self.here() == b'-';
        if is_negative {
            self.advance(1);
        }
        let is_zero = self.here() == b'0';
        let (mut mantissa, mut digits) = self.digits(0)?;
        if is_zero && digits > 1 {
            return Err(Invalid);
        }
        let mut places = 0;
        if self.here() == b'.' {
            self.advance(1);
            (mantissa, places) = self.digits(mantissa)?;
            digits += places;
        }
        let mut is_integer = places == 0;
        let mut power = 0;
        if let [b'e' | b'E', rest @ ..] = self.rest {
            (power, self.rest) = exponent(rest)?;
            is_integer = false;
        }
        Ok(NumberParts {
            is_negative,
            mantissa,
            digits,
            places,
            exponent: power,
            is_integer,
        })
    }

    /// Takes at least one digit. Returns `number` with the digits appended, modulo 2^64, and their count.
    #[inline(always)]
    fn digits(&mut self, mut number: u64) -> Result<(u64, usize), Invalid> {
        let from = self.rest;
        while let [byte @ b'0'..=b'9', rest @ ..] = self.rest {
            number = number.wrapping_mul(10).wrapping_add(u64::from(byte - b'0'));
            self.rest = rest;
        }
        match from.len() - self.rest.len() {
            0 => Err(Invalid),
            count => Ok((number, count)),
        }
    }
}

/// The exponent at the start of `rest`, which begins after the `e`, and the bytes after it. An exponent beyond
/// [`BEYOND`] becomes that.
#[cold]
fn exponent(rest: &[u8]) -> Result<(i64, &[u8]), Invalid> {
    let mut cursor = Cursor { rest };
    let sign = cursor.here();
    if matches!(sign, b'+' | b'-') {
        cursor.advance(1);
    }
    let (size, digits) = cursor.digits(0)?;
    let size = if digits > DIGITS { u64::MAX } else { size };
    let size = size.min(BEYOND) as i64;
    Ok((if sign == b'-' { -size } else { size }, cursor.rest))
}

impl NumberParts {
    /// The number, if one exact operation yields it (Clinger, "How to read floating point numbers
    /// accurately", 1990).
    #[inline(always)]
    fn fast_path(&self) -> Option<Number> {
        if self.digits > DIGITS {
            return None;
        }
        if self.is_integer {
            return self.integer();
        }
        let power = self.exponent - self.places as i64;
        let scale = POWERS.get(power.unsigned_abs() as usize)?;
        if self.mantissa > EXACT {
            return None;
        }
        let mantissa = self.mantissa as i64 as f64;
        let size = if power < 0 {
            mantissa / scale
        } else {
            mantissa * scale
        };
        Some(Number::Float(if self.is_negative { -size } else { size }))
    }

    #[inline(always)]
    fn integer(&self) -> Option<Number> {
        if !self.is_negative {
            return Some(Number::Natural(self.mantissa));
        }
        let fits = (1..=i64::MIN.unsigned_abs()).contains(&self.mantissa);
        fits.then(|| Number::Negative((self.mantissa as i64).wrapping_neg()))
    }
}

/// Parses any number that the grammar allows. Fails only if the number exceeds the range of an f64.
#[cold]
fn slow_path(bytes: &[u8], parts: &NumberParts) -> Result<Number, Invalid> {
    let text = str::from_utf8(bytes).map_err(|_| Invalid)?;
    if parts.is_integer
        && let Ok(number) = text.parse()
    {
        return Ok(Number::Natural(number));
    }
    let parsed = if parts.exponent.abs() > LARGEST_EXPONENT {
        normalised(text, parts).parse::<f64>()
    } else {
        text.parse::<f64>()
    };
    match parsed {
        Ok(number) if number.is_finite() => Ok(Number::Float(number)),
        _ => Err(Invalid),
    }
}

/// The same number with its first significant digit just after the point, so that the exponent alone gives its
/// magnitude.
fn normalised(text: &str, parts: &NumberParts) -> String {
    let (sign, size) = text.split_at(usize::from(parts.is_negative));
    let mantissa = size.split(['e', 'E']).next().unwrap_or_default();
    let digits = mantissa.replace('.', "");
    let significant = digits.trim_start_matches('0');
    let power = parts.exponent + significant.len() as i64 - parts.places as i64;
    // Beyond this, every number is infinite or zero.
    let power = power.clamp(-LARGEST_EXPONENT, LARGEST_EXPONENT);
    format!("{sign}0.{significant}0e{power}")
}
