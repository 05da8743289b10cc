//! Which partition is read next, so that inputs stay together in event time.
//!
//! A backlog is fetched very unevenly: one partition may give tens of thousands of records before
//! another gives one. So the partition furthest behind is read first, and one that is further ahead
//! than the skew allowed waits for it, as long as there is reason to hope that it has records.

use std::time::{Duration, Instant};

/// How long partitions that are ahead wait for one that has a backlog but no record at hand.
const HOPE: Duration = Duration::from_millis(500);

/// Slices that may be read of a partition without being told how far that brought it, before the
/// others stop waiting for it: all its records may be undecodable.
const UNTOLD_SLICES: u32 = 16;

/// How far one partition has come.
#[derive(Clone, Debug, Default)]
pub(crate) struct Progress {
    lead_ms: Option<i64>,
    latest_timestamp_ms: Option<i64>,
    untold_slices: u32,
    hoping_since: Option<Instant>,
    hope_lost: bool,
}

impl Progress {
    /// It has been processed up to this event time.
    pub(crate) fn told(&mut self, event_time_ms: i64) {
        self.lead_ms = Some(event_time_ms);
        self.untold_slices = 0;
    }

    /// A slice of it has been read, whose records had these timestamps first and last. Until told
    /// better, event time is taken to pass as the timestamps do.
    pub(crate) fn read(&mut self, first_timestamp_ms: i64, last_timestamp_ms: i64) {
        let before = self.latest_timestamp_ms.unwrap_or(first_timestamp_ms);
        let passed = last_timestamp_ms.saturating_sub(before).max(0);
        self.lead_ms = Some(match self.lead_ms {
            Some(lead_ms) => lead_ms.saturating_add(passed),
            None => last_timestamp_ms,
        });
        self.latest_timestamp_ms = Some(last_timestamp_ms.max(before));
        self.untold_slices = self.untold_slices.saturating_add(1);
        self.hoping_since = None;
        self.hope_lost = false;
    }

    fn lead_ms(&self) -> i64 {
        self.lead_ms.unwrap_or(i64::MIN)
    }

    /// Is it known where it stands, or about to be?
    fn is_in_step(&self) -> bool {
        self.untold_slices <= UNTOLD_SLICES
    }

    /// Others are waiting for it. Still with reason?
    fn is_hoped_for(&mut self, now: Instant) -> bool {
        let since = *self.hoping_since.get_or_insert(now);
        self.hope_lost |= now.saturating_duration_since(since) >= HOPE;
        !self.hope_lost
    }
}

/// A partition to choose from.
pub(crate) trait Candidate {
    /// How far it has come.
    fn progress(&mut self) -> &mut Progress;
    /// The same, to look at.
    fn place(&self) -> &Progress;
    /// Has it records at hand?
    fn is_ready(&self) -> bool;
    /// Has it records on the broker, as far as is known? Asked only where that decides.
    fn has_backlog(&self) -> bool;
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    /// Read this one.
    Read(usize),
    /// Those at hand are too far ahead of one whose records are on their way: ask again soon.
    Hold,
    /// There is nothing at hand.
    Nothing,
}

/// Chooses among input partitions.
pub(crate) fn choose<C: Candidate>(candidates: &mut [C], max_skew_ms: i64, now: Instant) -> Choice {
    let Some(first) = furthest_behind(candidates) else {
        return Choice::Nothing;
    };
    if !candidates[first].place().is_in_step() {
        return Choice::Read(first);
    }
    let lead_ms = candidates[first].place().lead_ms();
    let holds_up = |candidate: &mut C| {
        let place = candidate.place();
        !candidate.is_ready()
            && place.is_in_step()
            && lead_ms.saturating_sub(place.lead_ms()) > max_skew_ms
            && candidate.has_backlog()
            && candidate.progress().is_hoped_for(now)
    };
    if candidates.iter_mut().any(holds_up) {
        Choice::Hold
    } else {
        Choice::Read(first)
    }
}

/// Of those with records at hand; ones of which it is not known where they stand count as behind.
fn furthest_behind<C: Candidate>(candidates: &[C]) -> Option<usize> {
    candidates
        .iter()
        .enumerate()
        .filter(|(_, candidate)| candidate.is_ready())
        .min_by_key(|(_, candidate)| {
            let place = candidate.place();
            (place.is_in_step(), place.lead_ms())
        })
        .map(|(index, _)| index)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SKEW_MS: i64 = 1_000;

    fn at(lead_ms: i64) -> Progress {
        let mut progress = Progress::default();
        progress.told(lead_ms);
        progress
    }

    struct Partition {
        progress: Progress,
        ready: bool,
        backlog: bool,
    }

    impl Candidate for Partition {
        fn progress(&mut self) -> &mut Progress {
            &mut self.progress
        }
        fn place(&self) -> &Progress {
            &self.progress
        }
        fn is_ready(&self) -> bool {
            self.ready
        }
        fn has_backlog(&self) -> bool {
            self.backlog
        }
    }

    fn ready(progress: Progress) -> Partition {
        Partition {
            progress,
            ready: true,
            backlog: true,
        }
    }

    fn fetching(progress: Progress) -> Partition {
        Partition {
            progress,
            ready: false,
            backlog: true,
        }
    }

    fn caught_up(progress: Progress) -> Partition {
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
            check(&mut partitions, start + HOPE),
            Choice::Read(0),
            "they do not come: an open transaction, or a broker that is down"
        );
        partitions[1].progress.read(4_000, 4_100);
        partitions[0].progress.told(9_000);
        let later = start + 2 * HOPE;
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
        for _ in 0..=UNTOLD_SLICES {
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
        assert_eq!(progress.lead_ms(), 100 + 500 + 200);
        progress.told(350);
        assert_eq!(progress.lead_ms(), 350);
    }
}
