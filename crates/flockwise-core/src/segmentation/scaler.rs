//! The scaler: how far apart values of a feature usually are.

/// Decayed moments of the customers' feature vectors.
#[derive(Clone, Debug, PartialEq)]
pub struct Scaler {
    /// Mean of each feature.
    pub means: Vec<f64>,
    /// Variance of each feature.
    pub variances: Vec<f64>,
    /// Number of customers that they stand for.
    pub weight: f64,
}

/// A feature with a standard deviation up to this is constant and has no weight in distances.
const CONSTANT: f64 = 1e-9;
/// The same holds up to this share of its mean: a variance from sums of squares is then only rounding.
const ROUNDING: f64 = 1e-6;

impl Scaler {
    /// Standard deviation of a feature; 0 if it is constant apart from rounding.
    #[must_use]
    pub fn deviation(&self, index: usize) -> f64 {
        let deviation = self.variances[index].sqrt();
        if deviation > CONSTANT.max(ROUNDING * self.means[index].abs()) {
            deviation
        } else {
            0.0
        }
    }

    /// Factor of a dimension with this weight: weight / standard deviation, 0 if the feature is constant.
    #[must_use]
    pub fn scale(&self, index: usize, weight: f64) -> f64 {
        match self.deviation(index) {
            0.0 => 0.0,
            deviation => weight / deviation,
        }
    }

    /// Winsorises a value to five standard deviations from the mean. Leaves it unchanged if the feature is
    /// constant.
    #[must_use]
    pub fn winsorise(&self, index: usize, x: f64) -> f64 {
        let (mean, reach) = (self.means[index], 5.0 * self.deviation(index));
        if reach > 0.0 {
            x.clamp(mean - reach, mean + reach)
        } else {
            x
        }
    }
}
