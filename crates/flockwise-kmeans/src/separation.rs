//! Are two groups one or two? A likelihood criterion on their second moments decides.

use ndarray::Array1;

use crate::points::Points;

#[cfg(test)]
mod tests;

/// How two groups of points are spread along the line between their means.
///
/// The integrated completed likelihood (Biernacki, Celeux and Govaert 2000) compares one normal distribution along
/// that line with two of equal variance. Two explain a point better by `½ ln(1 + π(1-π) D² / w)`, where `D` is the
/// distance of the means, `w` the variance within the groups along the line and `π` the share of one of them.
/// Saying which group a point belongs to costs the entropy of `π`. The result does not depend on the scale of the
/// data. It is below zero for a normal distribution that is cut in two, zero for a uniform one, and above zero for
/// two groups with a gap between them. It is also above zero for a tail as long as that of a log-normal
/// distribution, so money and counts need a logarithm.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Separation {
    /// Effective number of points of both groups, see [`effective_count`].
    pub count: f64,
    /// Share of the second group by weight, 0 to 1.
    pub share: f64,
    /// Variance between the groups divided by the variance within them, along the line.
    pub ratio: f64,
    dimensions: usize,
}

impl Separation {
    /// Compares two groups of `points`, given by index. `None` if one has no weight or the means coincide.
    #[must_use]
    pub fn between(points: &Points, left: &[usize], right: &[usize]) -> Option<Self> {
        let weigh = |members: &[usize]| -> f64 {
            members.iter().map(|member| points.weight(*member)).sum()
        };
        let (of_left, of_right) = (weigh(left), weigh(right));
        let (from, to) = (points.mean(left), points.mean(right));
        let mut line = &to - &from;
        let unit = line.iter().fold(0.0_f64, |unit, x| unit.max(x.abs()));
        if of_left <= 0.0 || of_right <= 0.0 || unit <= 0.0 {
            return None;
        }
        // In a unit in which no square under- or overflows. Places along the line are in units of the distance
        // between the means.
        line /= unit;
        let squared: f64 = line.iter().map(|x| x * x).sum();
        let spread = |members: &[usize], mean: &Array1<f64>| -> f64 {
            let place = |member: usize| {
                let off = points.point(member).iter().zip(mean).zip(&line);
                off.map(|((x, mean), line)| (x - mean) / unit * line)
                    .sum::<f64>()
                    / squared
            };
            members
                .iter()
                .map(|member| points.weight(*member) * place(*member).powi(2))
                .sum()
        };
        let total = of_left + of_right;
        let within = (spread(left, &from) + spread(right, &to)) / total;
        let share = of_right / total;
        let both = left.iter().chain(right);
        Some(Self {
            count: effective_count(both.map(|member| points.weight(*member)), total),
            share,
            ratio: share * (1.0 - share) / within,
            dimensions: points.dimensions(),
        })
    }

    /// How much better two groups explain the points than one, nats per point.
    #[must_use]
    pub fn gain(&self) -> f64 {
        0.5 * self.ratio.ln_1p() - entropy(self.share)
    }

    /// The cost of a second group's parameters, a mean and a share, nats per point (Schwarz 1978).
    #[must_use]
    pub fn penalty(&self) -> f64 {
        (self.dimensions + 1) as f64 * self.count.ln() / (2.0 * self.count)
    }

    /// Whether the points are two groups. Two must explain them better than one by more than the penalty and
    /// chance, and by as much more than a uniform distribution as a normal one cut in two does worse. Without that
    /// last term, half of all distributions without a gap would count as two.
    #[must_use]
    pub fn is_two(&self) -> bool {
        self.gain() > self.penalty() + self.chance() - cut_normal(self.share)
    }

    /// Whether the points are one group: the gain is nearer to that of a normal distribution cut at this share
    /// than to that of a uniform one, by more than chance. Some pairs are neither this nor [`Separation::is_two`],
    /// so that chance does not split and merge groups again and again. Few points are neither.
    #[must_use]
    pub fn is_one(&self) -> bool {
        self.gain() + self.chance() < 0.5 * cut_normal(self.share)
    }

    /// Two standard errors of half a logarithm of a ratio of variances, √(1 / 2n) each.
    fn chance(&self) -> f64 {
        (2.0 / self.count).sqrt()
    }
}

/// Kish's effective number of points for weights that add up to `total`, above 0: (Σ w)² / Σ w².
#[must_use]
pub fn effective_count(weights: impl Iterator<Item = f64>, total: f64) -> f64 {
    // Squares of shares: squares of weights that have decayed for long would underflow.
    let squares: f64 = weights.map(|weight| (weight / total).powi(2)).sum();
    1.0 / squares
}

fn entropy(share: f64) -> f64 {
    let part = |p: f64| if p > 0.0 { -p * p.ln() } else { 0.0 };
    part(share) + part(1.0 - share)
}

/// The gain of a normal distribution cut at the quantile of `share`: the variance between the parts is
/// φ(z)² / (π(1-π)) of the whole.
fn cut_normal(share: f64) -> f64 {
    let share = share.clamp(1e-6, 1.0 - 1e-6);
    let z = quantile(share);
    let density = (-0.5 * z * z).exp() / (2.0 * std::f64::consts::PI).sqrt();
    let between = density * density / (share * (1.0 - share));
    -0.5 * (-between).ln_1p() - entropy(share)
}

/// The standard normal quantile, by bisection of the distribution function.
fn quantile(probability: f64) -> f64 {
    let (mut low, mut high) = (-8.0, 8.0);
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        if distribution(middle) < probability {
            low = middle;
        } else {
            high = middle;
        }
    }
    0.5 * (low + high)
}

/// The standard normal distribution function, to 1e-7: Zelen and Severo's approximation (Abramowitz and Stegun
/// 26.2.17).
fn distribution(z: f64) -> f64 {
    const B: [f64; 5] = [
        0.319_381_530,
        -0.356_563_782,
        1.781_477_937,
        -1.821_255_978,
        1.330_274_429,
    ];
    let t = 1.0 / (1.0 + 0.231_641_9 * z.abs());
    let polynomial = B.iter().rev().fold(0.0, |sum, b| (sum + b) * t);
    let density = (-0.5 * z * z).exp() / (2.0 * std::f64::consts::PI).sqrt();
    let upper = density * polynomial;
    if z > 0.0 { 1.0 - upper } else { upper }
}
