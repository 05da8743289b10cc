//! The part of a line in which inequalities hold.

/// An open interval of moves along one feature. It is empty unless `low` is below `high`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Interval {
    pub(super) low: f64,
    pub(super) high: f64,
}

impl Interval {
    #[cfg(test)]
    const EVERYTHING: Self = Self {
        low: f64::NEG_INFINITY,
        high: f64::INFINITY,
    };

    const NOTHING: Self = Self {
        low: f64::INFINITY,
        high: f64::NEG_INFINITY,
    };

    pub(super) fn is_empty(self) -> bool {
        // An interval with a NaN is empty, too.
        self.low.partial_cmp(&self.high) != Some(std::cmp::Ordering::Less)
    }

    /// The part in which b v + c < 0 holds as well.
    pub(super) fn and_linear(self, b: f64, c: f64) -> Self {
        let root = -c / b;
        if b > 0.0 {
            self.and(f64::NEG_INFINITY, root)
        } else if b < 0.0 {
            self.and(root, f64::INFINITY)
        } else if c < 0.0 {
            self
        } else {
            Self::NOTHING
        }
    }

    /// The part in which a v² + b v + c < 0 holds as well, for a >= 0: between the roots.
    pub(super) fn and_quadratic(self, a: f64, b: f64, c: f64) -> Self {
        if a <= 0.0 {
            return self.and_linear(b, c);
        }
        let discriminant = b * b - 4.0 * a * c;
        if discriminant.is_nan() || discriminant <= 0.0 {
            return Self::NOTHING;
        }
        // Computes both roots without a difference of nearly equal numbers (Press et al., Numerical Recipes, 5.6).
        let sum = -0.5 * (b + discriminant.sqrt().copysign(b));
        let (one, other) = (sum / a, c / sum);
        self.and(one.min(other), one.max(other))
    }

    fn and(self, low: f64, high: f64) -> Self {
        Self {
            low: self.low.max(low),
            high: self.high.min(high),
        }
    }

    /// The point nearest to 0 that is inside by `tiny`, or by half the interval if that is less.
    pub(super) fn nearest_to_zero(self, tiny: f64) -> f64 {
        let inside = tiny.min((self.high - self.low) / 2.0);
        if self.low >= 0.0 {
            self.low + inside
        } else if self.high <= 0.0 {
            self.high - inside
        } else {
            0.0
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Interval = Interval::EVERYTHING;

    #[test]
    fn inequalities_cut_the_line() {
        assert_eq!(ALL.and_linear(2.0, -6.0).high, 3.0);
        assert_eq!(ALL.and_linear(-2.0, 6.0).low, 3.0);
        assert_eq!(ALL.and_linear(0.0, -1.0), ALL);
        assert!(ALL.and_linear(0.0, 0.0).is_empty());
        let between = ALL.and_quadratic(1.0, -5.0, 6.0);
        assert_eq!((between.low, between.high), (2.0, 3.0));
        assert!(ALL.and_quadratic(1.0, 0.0, 1.0).is_empty());
        assert_eq!(ALL.and_quadratic(0.0, 2.0, -6.0), ALL.and_linear(2.0, -6.0));
        assert!(
            Interval {
                low: f64::NAN,
                high: 1.0
            }
            .is_empty()
        );
    }

    #[test]
    fn the_nearest_point_is_inside() {
        let between = |low, high| Interval { low, high };
        assert_eq!(between(-1.0, 1.0).nearest_to_zero(0.1), 0.0);
        assert_eq!(between(1.0, 9.0).nearest_to_zero(0.5), 1.5);
        assert_eq!(between(-9.0, -1.0).nearest_to_zero(0.5), -1.5);
        assert_eq!(between(1.0, 2.0).nearest_to_zero(4.0), 1.5);
        assert_eq!(between(1.0, f64::INFINITY).nearest_to_zero(0.5), 1.5);
    }
}
