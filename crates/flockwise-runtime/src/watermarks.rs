//! How far in event time the tasks have read their inputs, as each task hears it from all of them.
//!
//! A task sends its watermark to every repartition partition, in the transaction that holds the events it forwarded.
//! Who has read the watermark there has read every event before it.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::clock::Moment;

/// The watermark of a task that has read all there is.
pub(crate) const CAUGHT_UP: i64 = i64::MAX;

/// Watermarks are sent again this often while any task has a backlog: as a share of the idle time-out.
const RENEWALS: u32 = 3;

/// Time between two sendings, at least: each is a transaction.
const SPACING: Duration = Duration::from_millis(25);

/// A task of which nothing is known holds the others back no longer than this: everybody sends its watermarks when
/// tasks move.
const UNKNOWN: Duration = Duration::from_secs(5);

/// A task that has caught up says so no more once it has had unread records for this long; a live partition has some
/// now and then.
const SETTLED: Duration = Duration::from_secs(1);

/// What a task has heard of the others.
///
/// Invariant: what an aborted transaction has read is forgotten with it, as the forwarded events before it are.
#[derive(Clone, Debug)]
pub(crate) struct Watermarks {
    /// By task, but for the own one; milliseconds since the epoch.
    heard: BTreeMap<u32, Heard>,
    /// The same as of the last commit, where it differs.
    committed: Option<BTreeMap<u32, Heard>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Heard {
    /// `None`: nothing yet.
    watermark_ms: Option<i64>,
    /// When it was heard; before that, when the task began to listen.
    at: Moment,
}

impl Heard {
    /// The watermark, where others have to wait for it.
    fn holding_ms(&self, now: Moment, idle_timeout: Duration) -> Option<i64> {
        let age = now.since(self.at);
        match self.watermark_ms {
            None => (age < UNKNOWN.min(idle_timeout)).then_some(i64::MIN),
            Some(CAUGHT_UP) => None,
            Some(watermark_ms) => (age < idle_timeout).then_some(watermark_ms),
        }
    }
}

impl Watermarks {
    /// For a task that begins to listen now: how far the other `tasks` are is not known.
    pub(crate) fn new(own: u32, tasks: u32, now: Moment) -> Self {
        let unknown = Heard {
            watermark_ms: None,
            at: now,
        };
        let others = (0..tasks).filter(|task| *task != own);
        Self {
            heard: others.map(|task| (task, unknown)).collect(),
            committed: None,
        }
    }

    /// A record says how far these tasks are.
    pub(crate) fn hear(&mut self, watermarks: &BTreeMap<u32, i64>, now: Moment) {
        if self.committed.is_none() {
            self.committed = Some(self.heard.clone());
        }
        for (task, watermark_ms) in watermarks {
            if let Some(heard) = self.heard.get_mut(task) {
                *heard = Heard {
                    watermark_ms: Some(*watermark_ms),
                    at: now,
                };
            }
        }
    }

    /// What was heard is committed.
    pub(crate) fn settle(&mut self) {
        self.committed = None;
    }

    /// What was heard since the last commit is to be read again.
    pub(crate) fn roll_back(&mut self) {
        if let Some(committed) = self.committed.take() {
            self.heard = committed;
        }
    }

    /// The event time before which no event of another task is to come; `None`: none at all.
    pub(crate) fn lowest_ms(&self, now: Moment, idle_timeout: Duration) -> Option<i64> {
        let heard = self.heard.values();
        heard
            .filter_map(|heard| heard.holding_ms(now, idle_timeout))
            .min()
    }

    /// What one of them said last, and when.
    fn of(&self, task: u32) -> Option<&Heard> {
        self.heard.get(&task)
    }
}

/// The task of other shards that is furthest behind, and its watermark: `all` is what each task of this shard has
/// heard, and it counts what any of them heard last.
pub(crate) fn furthest_behind<'a>(
    all: impl Iterator<Item = (u32, &'a Watermarks)> + Clone,
    tasks: u32,
    now: Moment,
    idle_timeout: Duration,
) -> Option<(u32, i64)> {
    let others = (0..tasks).filter(|task| all.clone().all(|(own, _)| own != *task));
    let holding = others.filter_map(|task| {
        let heard = all
            .clone()
            .filter_map(|(_, watermarks)| watermarks.of(task));
        let latest = heard.max_by_key(|heard| (heard.watermark_ms.is_some(), heard.at))?;
        Some((task, latest.holding_ms(now, idle_timeout)?))
    });
    holding.min_by_key(|(_, watermark_ms)| *watermark_ms)
}

/// What a shard has sent of its tasks' watermarks.
#[derive(Clone, Debug)]
pub(crate) struct Announced {
    watermarks: BTreeMap<u32, i64>,
    at: Moment,
    /// Since when a task that was said to have caught up has a backlog.
    behind_since: Option<Moment>,
}

/// What sending watermarks depends on besides themselves.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Occasion {
    pub(crate) now: Moment,
    pub(crate) max_skew_ms: i64,
    pub(crate) idle_timeout: Duration,
    /// A task of another shard has a backlog.
    pub(crate) others_have_backlog: bool,
}

impl Announced {
    /// Nothing yet.
    pub(crate) fn new(now: Moment) -> Self {
        Self {
            watermarks: BTreeMap::new(),
            at: now,
            behind_since: None,
        }
    }

    /// Are these watermarks to be sent now?
    pub(crate) fn is_due(&mut self, watermarks: &BTreeMap<u32, i64>, occasion: &Occasion) -> bool {
        let since = occasion.now.since(self.at);
        if self.falls_behind(watermarks, occasion.now) {
            return true;
        }
        let news = watermarks
            .iter()
            .any(|(task, watermark_ms)| match self.watermarks.get(task) {
                None => true,
                Some(sent) if *sent == CAUGHT_UP => false,
                Some(sent) => {
                    let advance = occasion.max_skew_ms / 2;
                    watermark_ms.saturating_sub(*sent) >= advance.max(1)
                }
            });
        let is_unknown = watermarks
            .keys()
            .any(|task| !self.watermarks.contains_key(task));
        let has_backlog = self.watermarks.values().any(|ms| *ms != CAUGHT_UP);
        let is_stale = since >= occasion.idle_timeout / RENEWALS
            && (has_backlog || occasion.others_have_backlog);
        is_unknown || is_stale || (news && since >= SPACING)
    }

    /// Has a task that was said to have caught up had a backlog for a while?
    fn falls_behind(&mut self, watermarks: &BTreeMap<u32, i64>, now: Moment) -> bool {
        let falls_behind = watermarks.iter().any(|(task, watermark_ms)| {
            *watermark_ms != CAUGHT_UP && self.watermarks.get(task) == Some(&CAUGHT_UP)
        });
        if !falls_behind {
            self.behind_since = None;
            return false;
        }
        now.since(*self.behind_since.get_or_insert(now)) >= SETTLED
    }

    /// These have been sent.
    pub(crate) fn sent(&mut self, watermarks: BTreeMap<u32, i64>, now: Moment) {
        *self = Self {
            watermarks,
            at: now,
            behind_since: None,
        };
    }

    /// What was sent may not have arrived, or there are new listeners: all is to be sent again.
    pub(crate) fn forget(&mut self) {
        self.watermarks.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    const IDLE: Duration = Duration::from_secs(30);

    #[test]
    fn a_task_waits_for_those_it_has_not_heard_and_for_those_behind() {
        let clock = Clock::simulated(0);
        let mut watermarks = Watermarks::new(1, 3, clock.now());
        let lowest = |watermarks: &Watermarks| watermarks.lowest_ms(clock.now(), IDLE);
        assert_eq!(lowest(&watermarks), Some(i64::MIN));
        watermarks.hear(&BTreeMap::from([(0, 50), (1, 7)]), clock.now());
        assert_eq!(lowest(&watermarks), Some(i64::MIN));
        watermarks.hear(&BTreeMap::from([(2, CAUGHT_UP)]), clock.now());
        assert_eq!(lowest(&watermarks), Some(50));
        clock.advance(IDLE);
        assert_eq!(lowest(&watermarks), None, "not heard for long");
        let watermarks = Watermarks::new(1, 3, clock.now());
        clock.advance(UNKNOWN);
        assert_eq!(lowest(&watermarks), None, "never heard");
    }

    #[test]
    fn what_an_aborted_transaction_heard_is_forgotten() {
        let clock = Clock::simulated(0);
        let mut watermarks = Watermarks::new(0, 2, clock.now());
        watermarks.hear(&BTreeMap::from([(1, 50)]), clock.now());
        watermarks.settle();
        watermarks.hear(&BTreeMap::from([(1, 90)]), clock.now());
        watermarks.roll_back();
        assert_eq!(watermarks.lowest_ms(clock.now(), IDLE), Some(50));
    }

    #[test]
    fn a_shard_waits_for_tasks_of_others_as_any_of_its_tasks_heard_last() {
        let clock = Clock::simulated(0);
        let [mut first, second] = [0, 1].map(|own| (own, Watermarks::new(own, 4, clock.now())));
        let behind = |all: [&(u32, Watermarks); 2]| {
            let all = all.into_iter().map(|(own, watermarks)| (*own, watermarks));
            furthest_behind(all, 4, clock.now(), IDLE)
        };
        assert_eq!(behind([&first, &second]), Some((2, i64::MIN)));
        let heard = BTreeMap::from([(0, 5), (1, 6), (2, 90), (3, 80)]);
        first.1.hear(&heard, clock.now());
        assert_eq!(behind([&first, &second]), Some((3, 80)));
    }

    fn occasion(clock: &Clock) -> Occasion {
        Occasion {
            now: clock.now(),
            max_skew_ms: 1_000,
            idle_timeout: IDLE,
            others_have_backlog: false,
        }
    }

    #[test]
    fn watermarks_are_sent_at_first_as_they_advance_and_once_more_at_the_end() {
        let clock = Clock::simulated(0);
        let mut announced = Announced::new(clock.now());
        let mut is_sent = |watermark_ms, after: Duration| {
            clock.advance(after);
            let watermarks = BTreeMap::from([(0, watermark_ms)]);
            let is_due = announced.is_due(&watermarks, &occasion(&clock));
            if is_due {
                announced.sent(watermarks, clock.now());
            }
            is_due
        };
        assert!(is_sent(0, Duration::ZERO));
        assert!(!is_sent(600, Duration::from_millis(1)), "too soon");
        assert!(!is_sent(400, SPACING), "too little");
        assert!(is_sent(600, SPACING));
        assert!(is_sent(600, IDLE / 3), "others forget it");
        assert!(is_sent(CAUGHT_UP, SPACING));
        assert!(!is_sent(CAUGHT_UP, 10 * IDLE), "nobody waits for it");
        assert!(
            !is_sent(700, SPACING),
            "a live partition has unread records"
        );
        assert!(!is_sent(CAUGHT_UP, SETTLED));
        assert!(!is_sent(800, SPACING));
        assert!(is_sent(800, SETTLED), "that is a backlog");
    }

    #[test]
    fn a_task_that_has_caught_up_says_so_again_while_others_have_a_backlog() {
        let clock = Clock::simulated(0);
        let mut announced = Announced::new(clock.now());
        let watermarks = BTreeMap::from([(0, CAUGHT_UP)]);
        announced.sent(watermarks.clone(), clock.now());
        clock.advance(IDLE / 3);
        let mut occasion = occasion(&clock);
        assert!(!announced.is_due(&watermarks, &occasion));
        occasion.others_have_backlog = true;
        assert!(announced.is_due(&watermarks, &occasion));
        announced.forget();
        occasion.others_have_backlog = false;
        assert!(
            announced.is_due(&watermarks, &occasion),
            "there are new listeners"
        );
    }
}
