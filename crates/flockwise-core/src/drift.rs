//! Drift detection: compares the customers sampled since the last look with those before.

/// Size of the shift to detect, in standard deviations. Each step tolerates half of it.
const SHIFT: f64 = 1.0;
/// The cumulative sum that raises an alarm, in standard deviations. For independent numbers 10 would do, with a
/// false alarm less than once in a hundred half-lives. But customers sampled today are much like those of
/// yesterday: on a year of real orders, 10 raised an alarm every ten days, 20 one a month.
const ALARM: f64 = 20.0;
/// Number of steps before the first possible alarm. Until then the past is not known.
const LEARNT: f64 = 12.0;

/// One series, compared with its own past: the cumulative sum test of Page (1954) and Hinkley (1971) in both
/// directions, on deviations from a mean that adapts slowly, in units of a standard deviation that adapts slowly,
/// too.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ChangeDetector {
    /// Number of steps seen.
    pub count: f64,
    /// Mean of the past.
    pub mean: f64,
    /// Variance of the past.
    pub variance: f64,
    /// Cumulative sum above the mean, in standard deviations.
    pub above: f64,
    /// Cumulative sum below the mean, in standard deviations.
    pub below: f64,
}

impl ChangeDetector {
    /// Takes the next number of the series; a share `forgotten` of the past is forgotten at each step. On an
    /// alarm, returns by how many standard deviations the number is off, and starts over from there. Ignores
    /// numbers that are not finite.
    pub fn look(&mut self, x: f64, forgotten: f64) -> Option<f64> {
        if !x.is_finite() {
            return None;
        }
        let deviation = self.variance.sqrt();
        if self.count >= LEARNT && deviation > 0.0 {
            let off = (x - self.mean) / deviation;
            self.above = (self.above + off - SHIFT / 2.0).max(0.0);
            self.below = (self.below - off - SHIFT / 2.0).max(0.0);
            if self.above.max(self.below) > ALARM {
                *self = Self {
                    count: 1.0,
                    mean: x,
                    ..Self::default()
                };
                return Some(off);
            }
        }
        self.count += 1.0;
        let share = forgotten.max(1.0 / self.count);
        let off = x - self.mean;
        self.mean += share * off;
        self.variance = (1.0 - share) * (self.variance + share * off * off);
        None
    }
}

/// The watched series, and whether drift was detected.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Drift {
    /// The quantisation error first, then the mean of each feature. Empty before the first look.
    pub watches: Vec<ChangeDetector>,
    /// The model learns faster until this time, milliseconds since the epoch.
    pub fast_until_ms: Option<i64>,
}

/// A detected shift of a series.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shift {
    /// Index of the feature; `None` for the quantisation error.
    pub feature: Option<usize>,
    /// By how many standard deviations it is off its past.
    pub off: f64,
}

impl Drift {
    /// Takes the numbers of a step: the quantisation error, then the means of the features. Returns the series
    /// that raised an alarm.
    pub fn look(&mut self, numbers: &[f64], forgotten: f64) -> Vec<Shift> {
        self.watches
            .resize(numbers.len(), ChangeDetector::default());
        let watched = self.watches.iter_mut().zip(numbers).enumerate();
        watched
            .filter_map(|(place, (watch, x))| {
                let off = watch.look(*x, forgotten)?;
                Some(Shift {
                    feature: place.checked_sub(1),
                    off,
                })
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pseudo-random numbers between -1.7 and 1.7 with a standard deviation of one.
    fn noise(step: u64) -> f64 {
        let mixed = crate::event::mix(step);
        ((mixed >> 11) as f64 / (1_u64 << 53) as f64 - 0.5) * 12.0_f64.sqrt()
    }

    fn alarms(series: impl Iterator<Item = f64>) -> Vec<usize> {
        let mut watch = ChangeDetector::default();
        series
            .enumerate()
            .filter_map(|(step, x)| watch.look(x, 0.03).map(|_| step))
            .collect()
    }

    #[test]
    fn what_stays_as_it_is_gives_no_alarm() {
        assert_eq!(alarms((0..5_000).map(noise)), []);
        assert_eq!(alarms((0..5_000).map(|_| 3.5)), []);
    }

    #[test]
    fn a_shift_is_found_soon_and_told_once() {
        for by in [3.0, -3.0] {
            let shifted = |step| noise(step) + if step < 200 { 0.0 } else { by };
            let found = alarms((0..400).map(shifted));
            assert_eq!(found.len(), 1, "{found:?}");
            assert!((200..225).contains(&found[0]), "{found:?}");
        }
    }

    #[test]
    fn the_unit_of_a_series_makes_no_difference() {
        let shifted = |step| noise(step) + if step < 200 { 0.0 } else { 3.0 };
        let plain = alarms((0..400).map(shifted));
        assert_eq!(
            alarms((0..400).map(|step| 1e6 * shifted(step) - 7.0)),
            plain
        );
    }

    #[test]
    fn a_slow_change_is_followed_without_an_alarm() {
        assert_eq!(
            alarms((0..5_000).map(|step| noise(step) + step as f64 * 1e-3)),
            []
        );
    }

    #[test]
    fn what_is_no_number_is_left_out() {
        let mut watch = ChangeDetector::default();
        for step in 0..100 {
            watch.look(noise(step), 0.03);
        }
        let before = watch;
        assert_eq!(watch.look(f64::NAN, 0.03), None);
        assert_eq!(watch, before);
    }

    #[test]
    fn each_series_is_told_apart() {
        let mut drift = Drift::default();
        let mut shifts = Vec::new();
        for step in 0..300 {
            let jump = if step < 200 { 0.0 } else { 5.0 };
            let numbers = [noise(step), noise(step + 7_000) + jump];
            shifts.extend(drift.look(&numbers, 0.03));
        }
        let features: Vec<Option<usize>> = shifts.iter().map(|shift| shift.feature).collect();
        assert_eq!(features, [Some(0)]);
    }
}
