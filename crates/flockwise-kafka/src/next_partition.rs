//! Chooses the partition to read next, so that inputs advance in step by event time.
//!
//! A backlog is fetched very unevenly: one partition may deliver tens of thousands of records before
//! another delivers one. So the partition furthest behind is read first. A partition that is more than
//! the allowed skew ahead waits for it, as long as that one is likely to have records.

use std::time::{Duration, Instant};

/// How long partitions that are ahead wait for one that has a backlog but no fetched record.
const BACKLOG_TIMEOUT: Duration = Duration::from_millis(500);

/// After this many slices without a progress report, the others stop waiting for a partition: perhaps
/// none of its records can be decoded.
const MAX_UNREPORTED_SLICES: u32 = 16;

/// How far one partition has been read, in event time.
#[derive(Clone, Debug, Default)]
pub(crate) struct ReadProgress {
    event_time_ms: Option<i64>,
    latest_timestamp_ms: Option<i64>,
    unreported_slices: u32,
    waiting_since: Option<Instant>,
    has_timed_out: bool,
}

impl ReadProgress {
    /// The partition has been processed up to this event time.
    pub(crate) fn reported(&mut self, event_time_ms: i64) {
        self.event_time_ms = Some(event_time_ms);
        self.unreported_slices = 0;
    }

    /// A slice has been read, with these timestamps of its first and last record. Until the next report,
    /// event time is assumed to advance as the timestamps do.
    pub(crate) fn read(&mut self, first_timestamp_ms: i64, last_timestamp_ms: i64) {
        let before = self.latest_timestamp_ms.unwrap_or(first_timestamp_ms);
        let passed = last_timestamp_ms.saturating_sub(before).max(0);
        self.event_time_ms = Some(match self.event_time_ms {
            Some(event_time_ms) => event_time_ms.saturating_add(passed),
            None => last_timestamp_ms,
        });
        self.latest_timestamp_ms = Some(last_timestamp_ms.max(before));
        self.unreported_slices = self.unreported_slices.saturating_add(1);
        self.waiting_since = None;
        self.has_timed_out = false;
    }

    fn event_time_ms(&self) -> i64 {
        self.event_time_ms.unwrap_or(i64::MIN)
    }

    /// Is its event time known, or about to be reported?
    fn is_known(&self) -> bool {
        self.unreported_slices <= MAX_UNREPORTED_SLICES
    }

    /// Should the others, which wait for this partition, continue to wait?
    fn is_worth_waiting_for(&mut self, now: Instant) -> bool {
        let since = *self.waiting_since.get_or_insert(now);
        self.has_timed_out |= now.saturating_duration_since(since) >= BACKLOG_TIMEOUT;
        !self.has_timed_out
    }
}

/// A partition to choose from.
pub(crate) trait ReadablePartition {
    /// Read progress, to be updated.
    fn progress_mut(&mut self) -> &mut ReadProgress;
    /// Read progress.
    fn progress(&self) -> &ReadProgress;
    /// Does it have fetched records?
    fn is_ready(&self) -> bool;
    /// Does it have unread records on the broker, as far as known? Called only if the answer decides.
    fn has_backlog(&self) -> bool;
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    /// Read the partition with this index.
    Read(usize),
    /// The ready partitions are too far ahead of one whose records are being fetched: choose again soon.
    Hold,
    /// No partition is ready.
    Nothing,
}

/// Chooses the input partition to read next.
pub(crate) fn choose<C: ReadablePartition>(
    candidates: &mut [C],
    max_skew_ms: i64,
    now: Instant,
) -> Choice {
    let Some(first) = furthest_behind(candidates) else {
        return Choice::Nothing;
    };
    if !candidates[first].progress().is_known() {
        return Choice::Read(first);
    }
    let event_time_ms = candidates[first].progress().event_time_ms();
    let holds_up = |candidate: &mut C| {
        let position = candidate.progress();
        !candidate.is_ready()
            && position.is_known()
            && event_time_ms.saturating_sub(position.event_time_ms()) > max_skew_ms
            && candidate.has_backlog()
            && candidate.progress_mut().is_worth_waiting_for(now)
    };
    if candidates.iter_mut().any(holds_up) {
        Choice::Hold
    } else {
        Choice::Read(first)
    }
}

/// Index of the ready partition that is furthest behind. One with an unknown event time comes first.
fn furthest_behind<C: ReadablePartition>(candidates: &[C]) -> Option<usize> {
    candidates
        .iter()
        .enumerate()
        .filter(|(_, candidate)| candidate.is_ready())
        .min_by_key(|(_, candidate)| {
            let position = candidate.progress();
            (position.is_known(), position.event_time_ms())
        })
        .map(|(index, _)| index)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SKEW_MS: i64 = 1_000;

    fn at(event_time_ms: i64) -> ReadProgress {
        let mut progress = ReadProgress::default();
        progress.reported(event_time_ms);
        progress
    }

    struct Partition {
        progress: ReadProgress,
        ready: bool,
        backlog: bool,
    }

    impl ReadablePartition for Partition {
        fn progress_mut(&mut self) -> &mut ReadProgress {
            &mut self.progress
        }
        fn progress(&self) -> &ReadProgress {
            &self.progress
        }
        fn is_ready(&self) -> bool {
            self.ready
        }
        fn has_backlog(&self) -> bool {
            self.backlog
        }
    }

    fn ready(progress: ReadProgress) -> Partition {
        Partition {
            progress,
            ready: true,
            backlog: true,
        }
    }

    fn fetching(progress: ReadProgress) -> Partition {
        Partition {
            progress,
            ready: false,
            backlog: true,
        }
    }

    fn caught_up(progress: ReadProgress) -> Partition {
        Partition {
            progress,
            ready: false,
            backlog: false,
        }
    }

    fn check(partitions: &mut [Partition], now: Instant) -> Choice {
        choose(partitions, SKEW_MS, now)
    }

    #[test]
    fn the_one_furthest_behind_comes_first() {
        let now = Instant::now();
        let mut partitions = [ready(at(900)), ready(at(100)), caught_up(at(50))];
        assert_eq!(check(&mut partitions, now), Choice::Read(1));
        assert_eq!(check(&mut [fetching(at(1))], now), Choice::Nothing);
    }

    #[test]
    fn one_too_far_ahead_waits_while_there_is_hope() {
        let start = Instant::now();
        let mut partitions = [ready(at(5_000)), fetching(at(3_999))];
        assert_eq!(
            check(&mut partitions, start),
            Choice::Hold,
            "its records are on the way"
        );
        assert_eq!(
            check(&mut partitions, start + BACKLOG_TIMEOUT),
            Choice::Read(0),
            "they do not come: an open transaction, or a broker that is down"
        );
        partitions[1].progress.read(4_000, 4_100);
        partitions[0].progress.reported(9_000);
        let later = start + 2 * BACKLOG_TIMEOUT;
        assert_eq!(check(&mut partitions, later), Choice::Hold);
        partitions[1].backlog = false;
        assert_eq!(check(&mut partitions, later), Choice::Read(0));
    }

    #[test]
    fn one_within_the_skew_waits_for_nobody() {
        let mut partitions = [ready(at(5_000)), fetching(at(4_000))];
        assert_eq!(check(&mut partitions, Instant::now()), Choice::Read(0));
    }

    #[test]
    fn one_that_is_never_told_where_it_stands_holds_nobody_up() {
        let mut stuck = at(0);
        for _ in 0..=MAX_UNREPORTED_SLICES {
            stuck.read(7, 7);
        }
        let mut partitions = [ready(at(5_000)), fetching(stuck)];
        assert_eq!(check(&mut partitions, Instant::now()), Choice::Read(0));
    }

    #[test]
    fn a_slice_moves_it_on_as_its_timestamps_do() {
        let mut progress = at(100);
        progress.read(1_000, 1_500);
        progress.read(1_600, 1_700);
        assert_eq!(progress.event_time_ms(), 100 + 500 + 200);
        progress.reported(350);
        assert_eq!(progress.event_time_ms(), 350);
    }
}
