//! The error bound of single precision.

use ndarray::ArrayView2;

use crate::simd_lanes::Lanes;

/// Which centroids single precision cannot rule out.
///
/// Let u = 2⁻²⁴, half the epsilon of single precision. Rounding moves a point x by at most u|x| and a centroid c
/// by at most u|c|, so it changes their distance by at most e = u(|x| + |c|). The sum of the D squares of the
/// rounded gaps has a relative error of at most (D + 3)u, in any order of additions. Let S be the least of all
/// sums, s its root, and R the largest norm of a centroid. The true distance to that centroid is at most s + e, so
/// |x| is at most R + s + e, and e is at most u(s + 2R). The truly nearest centroid is no farther than s + e. Its
/// sum is therefore at most (s + 2e)² = (s(1 + 2u) + 4uR)², times 1 + (2D + 6)u for the rounding of the two sums.
/// As (a + b)² ≤ (1 + t)a² + (1 + 1/t)b² for any t > 0, that is at most
///
/// S(1 + t + (2D + 10)u) + (1 + 1/t)(4uR)²,
///
/// which needs no root. With t = 2⁻¹⁴ the second term is slightly more than 2⁻²⁶R². The code takes at least twice
/// the rounding term (2D + 10)u and twice the second term. That covers products of small terms, the rounding of
/// the limit itself, and the rounding of double precision, which decides. Underflow of coordinates or squares adds
/// far less than D times 2⁻¹²⁶.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bound {
    relative: f32,
    absolute: f32,
}

/// The t above. It lets a few extra centroids through: one in thousands, at a few nanoseconds each.
const TRADE: f64 = 1.0 / 16_384.0;

impl Bound {
    pub(crate) fn new(centroids: ArrayView2<'_, f64>) -> Self {
        let reach = centroids
            .rows()
            .into_iter()
            .map(|centroid| centroid.iter().map(|x| x * x).sum())
            .fold(0.0, f64::max);
        let dimensions = centroids.ncols() as f64;
        let relative = 1.0 + TRADE + 4.0 * (dimensions + 8.0) * f64::from(f32::EPSILON);
        let moved = 2.0_f64.powi(-25) * reach;
        let underflow = dimensions * f64::from(f32::MIN_POSITIVE);
        Self {
            relative: relative as f32,
            absolute: (relative * (moved + underflow)) as f32,
        }
    }

    /// The largest sum whose centroid may still be the nearest. `sums` holds the least sum of each lane.
    ///
    /// The limit is not finite if the point or a centroid exceeds the range of single precision. Only then can a
    /// sum be NaN, and then all sums are NaN or infinite.
    #[inline(always)]
    pub(crate) fn limit<L: Lanes>(self, lanes: L, sums: L::Floats) -> L::Floats {
        let (relative, absolute) = (lanes.splat(self.relative), lanes.splat(self.absolute));
        lanes.times_plus(lanes.least(sums), relative, absolute)
    }
}
