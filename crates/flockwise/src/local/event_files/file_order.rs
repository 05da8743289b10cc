//! Whether a file's events are in order of time, as those of a topic are.

use flockwise_codec::time::write_time;

/// Events between two looks at how many are out of order.
const LOOK_EVERY: u64 = 8192;
/// If more than one event in this number is late, the file is in another order than that of time. Of a topic's events, few
/// are.
const MAX_LATE: u64 = 4;

/// Checks the order of a file. Events may be late, as on a topic: each within the lateness, and few of them.
#[derive(Debug)]
pub(super) struct FileOrder {
    lateness_ms: i64,
    /// The latest event time so far, milliseconds since the epoch.
    latest_ms: i64,
    events: u64,
    /// Events that are earlier than one before them.
    late: u64,
}

impl FileOrder {
    pub(super) fn new(lateness_ms: i64) -> Self {
        Self {
            lateness_ms,
            latest_ms: i64::MIN,
            events: 0,
            late: 0,
        }
    }

    /// Notes the next event. Fails if the file is not in order.
    pub(super) fn note(&mut self, time_ms: i64) -> Result<(), String> {
        self.events += 1;
        self.late += u64::from(time_ms < self.latest_ms);
        if time_ms < self.latest_ms.saturating_sub(self.lateness_ms) {
            let (time, latest) = (write_time(time_ms), write_time(self.latest_ms));
            return Err(format!(
                "{time} comes after {latest}, which `time.lateness` does not allow"
            ));
        }
        self.latest_ms = self.latest_ms.max(time_ms);
        match self.events.is_multiple_of(LOOK_EVERY) {
            true => self.look(),
            false => Ok(()),
        }
    }

    /// Fails if too many events so far were out of order. To be called at the end of the file too.
    pub(super) fn look(&self) -> Result<(), String> {
        match self.late * MAX_LATE > self.events {
            true => Err(format!(
                "{} of {} events are earlier than one before them",
                self.late, self.events
            )),
            false => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Notes events with these times, and the end of the file.
    fn check(times: impl IntoIterator<Item = i64>) -> Result<(), String> {
        let mut order = FileOrder::new(1000);
        times
            .into_iter()
            .try_for_each(|time_ms| order.note(time_ms))?;
        order.look()
    }

    #[test]
    fn late_events_are_in_order_and_other_orders_are_not() {
        assert_eq!(check([]), Ok(()));
        assert_eq!(check([1, 1, 2, 5]), Ok(()));
        assert_eq!(check([1, 2, 3, 4, 5, 6, 1001, 1]), Ok(()));
        assert_eq!(
            check([i64::MIN, i64::MAX, i64::MAX - 1000, i64::MAX]),
            Ok(())
        );
        let late = "1970-01-01T00:00:00.000Z comes after 1970-01-01T00:00:01.001Z";
        assert!(check([0, 1, 2, 1001, 0]).is_err_and(|error| error.starts_with(late)));
        let share = "1 of 2 events are earlier than one before them";
        assert_eq!(check([2, 1]), Err(share.to_owned()));
        assert!(check((0..900).rev()).is_err());
        let late = |number: i64| number - 900 * i64::from(number % 5 == 4);
        assert_eq!(check((0..90_000).map(late)), Ok(()));
        // As when partitions of a topic are written one after the other.
        assert!(check((0..2).flat_map(|_| 0..800)).is_err());
        assert!(check((0..9_000).map(|number| number * 407 % 800)).is_err());
    }
}
