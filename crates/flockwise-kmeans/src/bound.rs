//! How far single precision may be off.

use crate::lanes::Lanes;

/// What single precision cannot rule out.
///
/// With u = 2⁻²⁴, half of single precision: rounding moves a point x by at most u|x| and a centroid c by
/// at most u|c|, so their distance by e = u(|x| + |c|). The sum of the D squares of the rounded gaps is
/// off by at most D + 3 times u of itself, in any order. Let S be the least of all sums, s its root, and R
/// the largest norm of a centroid. Then the true distance to that centroid is at most s + e, |x| at most
/// R + s + e, so e at most u(s + 2R). The centroid that is nearest in truth is no farther than s + e, and
/// its sum at most (s + 2e)² = (s(1 + 2u) + 4uR)², but for the rounding of the two sums, which makes it
/// 1 + (2D + 6)u times as large. As (a + b)² ≤ (1 + t)a² + (1 + 1/t)b² for any t > 0, that is at most
///
/// S(1 + t + (2D + 10)u) + (1 + 1/t)(4uR)²,
///
/// which needs no root. With t = 2⁻¹⁴ the second part is 2⁻²⁶R² and a little. Both parts are taken twice as
/// large and more, for products of small terms, for the rounding of the limit itself and for that of double
/// precision, which has the last word. What underflows, in coordinates or squares, adds far less than D
/// times 2⁻¹²⁶.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bound {
    relative: f32,
    absolute: f32,
}

/// The t above: near ones that it lets through cost a few nanoseconds, and are one in thousands.
const TRADE: f64 = 1.0 / 16_384.0;

impl Bound {
    pub(crate) fn new(centroids: &[f64], dimensions: usize) -> Self {
        let reach = centroids
            .chunks_exact(dimensions)
            .map(|centroid| centroid.iter().map(|x| x * x).sum())
            .fold(0.0, f64::max);
        let dimensions = dimensions as f64;
        let relative = 1.0 + TRADE + 4.0 * (dimensions + 8.0) * f64::from(f32::EPSILON);
        let moved = 2.0_f64.powi(-25) * reach;
        let underflow = dimensions * f64::from(f32::MIN_POSITIVE);
        Self {
            relative: relative as f32,
            absolute: (relative * (moved + underflow)) as f32,
        }
    }

    /// The largest sum whose centroid may still be the nearest, given the least of these and all others.
    ///
    /// Not finite where single precision says nothing: the point or the centroids are beyond it. Only then
    /// can a sum be NaN, and all of them are NaN or infinite.
    #[inline(always)]
    pub(crate) fn limit<L: Lanes>(self, sums: L) -> L {
        let (relative, absolute) = (L::splat(self.relative), L::splat(self.absolute));
        sums.least().times_plus(relative, absolute)
    }
}
