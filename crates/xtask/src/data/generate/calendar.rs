//! When a shop is busy: more in the evening than at night, more at weekends than on weekdays, with occasional bursts.

use super::random::Random;

/// 2026-01-01T00:00:00Z, a Thursday.
pub(super) const START_MS: i64 = 1_767_225_600_000;
pub(super) const DAY_MS: i64 = 86_400_000;
const HOUR_MS: i64 = 3_600_000;

const BY_HOUR: [f64; 24] = [
    0.4, 0.2, 0.1, 0.1, 0.1, 0.2, 0.4, 0.7, 0.9, 1.0, 1.1, 1.2, 1.4, 1.3, 1.1, 1.1, 1.2, 1.4, 1.7,
    2.0, 2.2, 2.0, 1.4, 0.8,
];
/// One hour in this many is a burst: a mailing, a sale, a mention on television.
const HOURS_PER_BURST: u64 = 100;

pub(super) struct Calendar {
    /// Cumulated activity at the start of each hour, and at the end.
    by_start_of_hour: Vec<f64>,
}

impl Calendar {
    pub(super) fn new(days: u32, random: &mut Random) -> Self {
        let mut by_start_of_hour = vec![0.0];
        let mut sum = 0.0;
        for hour in 0..u64::from(days) * 24 {
            let weekend = matches!((hour / 24 + 3) % 7, 5 | 6);
            let burst = random.below(HOURS_PER_BURST) == 0;
            sum += BY_HOUR[(hour % 24) as usize]
                * if weekend { 1.3 } else { 1.0 }
                * if burst {
                    4.0 + 4.0 * random.unit()
                } else {
                    1.0
                };
            by_start_of_hour.push(sum);
        }
        Self { by_start_of_hour }
    }

    /// The time by which this share of all activity has happened, ms since the epoch.
    pub(super) fn at(&self, share: f64) -> i64 {
        let hours = self.by_start_of_hour.len() - 1;
        let wanted = share * self.by_start_of_hour[hours];
        let hour = self.by_start_of_hour[1..].partition_point(|&sum| sum <= wanted);
        if hour == hours {
            return START_MS + hours as i64 * HOUR_MS;
        }
        let (before, after) = (self.by_start_of_hour[hour], self.by_start_of_hour[hour + 1]);
        START_MS
            + hour as i64 * HOUR_MS
            + ((wanted - before) / (after - before) * HOUR_MS as f64) as i64
    }
}
