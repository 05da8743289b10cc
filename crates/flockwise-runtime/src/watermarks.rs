//! How far in event time the tasks have read their inputs, as each task hears it from all of them.
//!
//! A task sends its watermark to every repartition partition, in the transaction that holds the events it forwarded.
//! Who has read the watermark there has read every event before it.

use std::collections::BTreeMap;
use std::time::Duration;

use flockwise_codec::watermarks::{Learnt, Watermarks as Message};
use flockwise_core::trainer::{CAUGHT_UP, Sampled};

use crate::alignment::Alignment;
use crate::clock::Moment;

/// Watermarks are sent again this often while any task has a backlog: as a share of the idle time-out.
const RENEWALS: u32 = 3;

/// Time between two sendings, at least: each is a transaction.
const SPACING: Duration = Duration::from_millis(25);

/// A task of which nothing is known holds the others back no longer than this: everybody sends its watermarks when
/// tasks move, and who has just got tasks asks for those of the others.
pub(crate) const UNKNOWN: Duration = Duration::from_secs(5);

/// A task that has caught up says so no more once it has had unread records for this long; a live partition has some
/// now and then.
const SETTLED: Duration = Duration::from_secs(1);

/// What a task has heard of the others and of the trainer.
///
/// Invariant: what an aborted transaction has read is forgotten with it, as the forwarded events before it are.
#[derive(Clone, Debug)]
pub(crate) struct Watermarks {
    known: ReceivedWatermarks,
    /// The same as of the last commit, where it differs.
    committed: Option<ReceivedWatermarks>,
}

#[derive(Clone, Debug)]
struct ReceivedWatermarks {
    /// By task, but for the own one; milliseconds since the epoch.
    heard: BTreeMap<u32, ReceivedWatermark>,
    trainer: ReceivedWatermark,
    learnt: Option<Learnt>,
    /// When another worker last asked how far the tasks of this one are.
    asked: Option<Moment>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct ReceivedWatermark {
    /// `None`: nothing yet.
    watermark_ms: Option<i64>,
    /// When it was heard; before that, when the task began to listen.
    at: Moment,
}

impl ReceivedWatermark {
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
    /// For a listener that begins now: how far these tasks are is not known.
    pub(crate) fn new(tasks: impl Iterator<Item = u32>, now: Moment) -> Self {
        let unknown = ReceivedWatermark {
            watermark_ms: None,
            at: now,
        };
        Self {
            known: ReceivedWatermarks {
                heard: tasks.map(|task| (task, unknown)).collect(),
                trainer: unknown,
                learnt: None,
                asked: None,
            },
            committed: None,
        }
    }

    /// A worker says how far its tasks are, and the trainer if it has that.
    pub(crate) fn hear(&mut self, message: &Message, now: Moment) {
        if self.committed.is_none() {
            self.committed = Some(self.known.clone());
        }
        for (task, watermark_ms) in &message.tasks {
            if let Some(heard) = self.known.heard.get_mut(task) {
                *heard = ReceivedWatermark {
                    watermark_ms: Some(*watermark_ms),
                    at: now,
                };
            }
        }
        // A task's own number is in what its own worker sends.
        let is_own = |task: &u32| !self.known.heard.contains_key(task);
        if message.asks && !message.tasks.keys().any(is_own) {
            self.known.asked = Some(now);
        }
        if let Some(learnt) = message.trainer {
            self.known.trainer = ReceivedWatermark {
                watermark_ms: Some(learnt.to_ms),
                at: now,
            };
            self.known.learnt = Some(learnt);
        }
    }

    /// What was heard is committed.
    pub(crate) fn commit(&mut self) {
        self.committed = None;
    }

    /// What was heard since the last commit is to be read again.
    pub(crate) fn roll_back(&mut self) {
        if let Some(committed) = self.committed.take() {
            self.known = committed;
        }
    }

    /// The lowest watermark; `None`: the tasks have read all there is.
    pub(crate) fn lowest_ms(&self, now: Moment, idle_timeout: Duration) -> Option<i64> {
        let heard = self.known.heard.values();
        heard
            .filter_map(|heard| heard.holding_ms(now, idle_timeout))
            .min()
    }
}

/// The task of other workers that is furthest behind, and its watermark: `all` is what each task of this worker has
/// heard, and it counts what any of them heard last.
pub(crate) fn furthest_behind<'a>(
    all: impl Iterator<Item = (u32, &'a Watermarks)> + Clone,
    tasks: u32,
    now: Moment,
    idle_timeout: Duration,
) -> Option<(u32, i64)> {
    let others = (0..tasks).filter(|task| all.clone().all(|(own, _)| own != *task));
    let holding = others.filter_map(|task| {
        let heard = heard_last(all.clone(), task)?;
        Some((task, heard.holding_ms(now, idle_timeout)?))
    });
    holding.min_by_key(|(_, watermark_ms)| *watermark_ms)
}

/// How far in event time the trainer has learnt, where others have to wait for it; `Learnt::to_ms` is `i64::MIN` where that
/// is not known.
pub(crate) fn learnt<'a>(
    all: impl Iterator<Item = &'a Watermarks>,
    now: Moment,
    idle_timeout: Duration,
) -> Option<Learnt> {
    let known = all.map(|watermarks| &watermarks.known);
    let last = known.max_by_key(|known| last_first(&known.trainer))?;
    let to_ms = last.trainer.holding_ms(now, idle_timeout)?;
    Some(Learnt {
        to_ms,
        version: last.learnt.map_or(0, |learnt| learnt.version),
        customers: last.learnt.map_or(0, |learnt| learnt.customers),
        period_ms: last.learnt.map_or(0, |learnt| learnt.period_ms),
    })
}

/// When another worker, or the trainer, last said that it does not know how far the tasks are; `None` where all know.
pub(crate) fn asked<'a>(all: impl Iterator<Item = &'a Watermarks> + Clone) -> Option<Moment> {
    let by_shards = all.clone().filter_map(|watermarks| watermarks.known.asked);
    let trainers = all.map(|watermarks| &watermarks.known.trainer);
    let trainer = trainers.max_by_key(|heard| last_first(heard));
    let by_trainer = trainer.filter(|last| last.watermark_ms == Some(i64::MIN));
    by_shards.max().max(by_trainer.map(|last| last.at))
}

fn heard_last<'a>(
    all: impl Iterator<Item = (u32, &'a Watermarks)>,
    task: u32,
) -> Option<&'a ReceivedWatermark> {
    let heard = all.filter_map(|(_, watermarks)| watermarks.known.heard.get(&task));
    heard.max_by_key(|heard| last_first(heard))
}

fn last_first(heard: &ReceivedWatermark) -> (bool, Moment) {
    (heard.watermark_ms.is_some(), heard.at)
}

/// What a worker has sent of its tasks' watermarks.
#[derive(Clone, Debug)]
pub(crate) struct WatermarkSender {
    said: Announcement,
    at: Moment,
    /// Since when a task that was said to have caught up has a backlog.
    behind_since: Option<Moment>,
}

/// What a worker says of its tasks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Announcement {
    /// How far each task has read its inputs, and how far the trainer has learnt.
    pub(crate) watermarks: Message,
    /// How far each task has sampled its customers.
    pub(crate) sampled: BTreeMap<u32, Sampled>,
}

impl Announcement {
    /// Does a task of the worker have a backlog, or the trainer?
    fn has_backlog(&self) -> bool {
        let Message { tasks, trainer, .. } = &self.watermarks;
        tasks.values().any(|ms| *ms != CAUGHT_UP)
            || trainer.is_some_and(|learnt| learnt.to_ms != CAUGHT_UP)
    }
}

/// What sending watermarks depends on besides themselves.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SendContext {
    pub(crate) now: Moment,
    pub(crate) alignment: Alignment,
    /// A task of another worker has a backlog.
    pub(crate) others_have_backlog: bool,
    /// When another worker or the trainer last said that it does not know how far the tasks are.
    pub(crate) asked: Option<Moment>,
}

impl WatermarkSender {
    /// Nothing has been sent: all is due.
    pub(crate) fn new(now: Moment) -> Self {
        Self {
            said: Announcement::default(),
            at: now,
            behind_since: None,
        }
    }

    /// Has nothing been sent to the present listeners?
    pub(crate) fn is_first(&self) -> bool {
        self.said == Announcement::default()
    }

    /// Is this to be sent now?
    pub(crate) fn is_due(&mut self, news: &Announcement, context: &SendContext) -> bool {
        let since = context.now.since(self.at);
        let advance_ms = (context.alignment.max_skew_ms / 2).max(1);
        let (said, tasks) = (&self.said, &news.watermarks.tasks);
        let is_read_on = advances(&said.watermarks.tasks, tasks, advance_ms) && since >= SPACING;
        // Everybody waits for the end of a period.
        let is_next_period = said.sampled.iter().any(|(task, said)| {
            let sampled = news.sampled.get(task);
            said.to_ms != CAUGHT_UP && sampled.is_some_and(|sampled| sampled.to_ms > said.to_ms)
        });
        let is_learnt_on = said.watermarks.trainer != news.watermarks.trainer;
        let mut numbers = tasks.keys();
        let is_unknown = numbers.any(|task| !said.watermarks.tasks.contains_key(task));
        let is_stale = since >= context.alignment.idle_timeout / RENEWALS
            && (said.has_backlog() || context.others_have_backlog);
        let falls_behind = self.falls_behind(tasks, context.now);
        let is_asked = context.asked.is_some_and(|asked| asked > self.at);
        is_asked
            || is_read_on
            || is_next_period
            || is_learnt_on
            || is_unknown
            || is_stale
            || falls_behind
    }

    /// Has a task that was said to have caught up had a backlog for a while?
    fn falls_behind(&mut self, tasks: &BTreeMap<u32, i64>, now: Moment) -> bool {
        let said = &self.said.watermarks.tasks;
        let falls_behind = tasks.iter().any(|(task, watermark_ms)| {
            *watermark_ms != CAUGHT_UP && said.get(task) == Some(&CAUGHT_UP)
        });
        if !falls_behind {
            self.behind_since = None;
            return false;
        }
        now.since(*self.behind_since.get_or_insert(now)) >= SETTLED
    }

    /// This has been sent.
    pub(crate) fn sent(&mut self, said: Announcement, now: Moment) {
        *self = Self {
            said,
            at: now,
            behind_since: None,
        };
    }

    /// What was sent may not have arrived, or there are new listeners: all is to be sent again.
    pub(crate) fn forget(&mut self) {
        self.said = Announcement::default();
    }
}

/// Is one further than what was said of it, by so much? One that had caught up is not.
fn advances(said: &BTreeMap<u32, i64>, now: &BTreeMap<u32, i64>, by_ms: i64) -> bool {
    now.iter().any(|(task, watermark_ms)| {
        let said = said.get(task).filter(|said| **said != CAUGHT_UP);
        said.is_some_and(|said| watermark_ms.saturating_sub(*said) >= by_ms)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    const IDLE: Duration = Duration::from_secs(30);

    #[test]
    fn a_task_waits_for_those_it_has_not_heard_and_for_those_behind() {
        let clock = Clock::simulated(0);
        let mut watermarks = Watermarks::new([0, 2].into_iter(), clock.now());
        let lowest = |watermarks: &Watermarks| watermarks.lowest_ms(clock.now(), IDLE);
        assert_eq!(lowest(&watermarks), Some(i64::MIN));
        watermarks.hear(&of_tasks(&[(0, 50), (1, 7)]), clock.now());
        assert_eq!(lowest(&watermarks), Some(i64::MIN));
        watermarks.hear(&of_tasks(&[(2, CAUGHT_UP)]), clock.now());
        assert_eq!(lowest(&watermarks), Some(50));
        clock.advance(IDLE);
        assert_eq!(lowest(&watermarks), None, "not heard for long");
        let watermarks = Watermarks::new([0, 2].into_iter(), clock.now());
        clock.advance(UNKNOWN);
        assert_eq!(lowest(&watermarks), None, "never heard");
    }

    #[test]
    fn what_an_aborted_transaction_heard_is_forgotten() {
        let clock = Clock::simulated(0);
        let mut watermarks = Watermarks::new([1].into_iter(), clock.now());
        watermarks.hear(&of_tasks(&[(1, 50)]), clock.now());
        watermarks.commit();
        watermarks.hear(&of_tasks(&[(1, 90)]), clock.now());
        watermarks.roll_back();
        assert_eq!(watermarks.lowest_ms(clock.now(), IDLE), Some(50));
    }

    #[test]
    fn a_shard_waits_for_tasks_of_others_as_any_of_its_tasks_heard_last() {
        let clock = Clock::simulated(0);
        let [mut first, second] = [0, 1].map(|own| {
            let others = (0..4).filter(move |task| *task != own);
            (own, Watermarks::new(others, clock.now()))
        });
        let behind = |all: [&(u32, Watermarks); 2]| {
            let all = all.into_iter().map(|(own, watermarks)| (*own, watermarks));
            furthest_behind(all, 4, clock.now(), IDLE)
        };
        assert_eq!(behind([&first, &second]), Some((2, i64::MIN)));
        let heard = of_tasks(&[(0, 5), (1, 6), (2, 90), (3, 80)]);
        first.1.hear(&heard, clock.now());
        assert_eq!(behind([&first, &second]), Some((3, 80)));
        let trainer = |one: &(u32, Watermarks)| learnt([&one.1].into_iter(), clock.now(), IDLE);
        assert_eq!(trainer(&first).map(|learnt| learnt.to_ms), Some(i64::MIN));
        let said = Learnt {
            to_ms: 70,
            version: 2,
            customers: 9,
            period_ms: 1_000,
        };
        let message = Message {
            trainer: Some(said),
            ..Message::default()
        };
        first.1.hear(&message, clock.now());
        assert_eq!(trainer(&first), Some(said));
    }

    fn of_tasks(tasks: &[(u32, i64)]) -> Message {
        Message {
            tasks: tasks.iter().copied().collect(),
            ..Message::default()
        }
    }

    /// An instance that is back within its session time-out joins without a rebalance: the other workers have no reason of
    /// their own to send their watermarks.
    #[test]
    fn who_has_just_got_tasks_is_answered_by_the_others_and_not_by_itself() {
        let clock = Clock::simulated(0);
        let mut own = Watermarks::new([0, 2].into_iter(), clock.now());
        let mut other = Watermarks::new([0, 1].into_iter(), clock.now());
        let mut question = of_tasks(&[(0, 5), (1, 6)]);
        let asked_both =
            |own: &Watermarks, other: &Watermarks| [own, other].map(|one| asked([one].into_iter()));
        own.hear(&question, clock.now());
        other.hear(&question, clock.now());
        assert_eq!(asked_both(&own, &other), [None, None]);
        question.asks = true;
        clock.advance(SPACING);
        own.hear(&question, clock.now());
        other.hear(&question, clock.now());
        assert_eq!(asked_both(&own, &other), [None, Some(clock.now())]);
    }

    fn read_to(watermark_ms: i64) -> Announcement {
        Announcement {
            watermarks: of_tasks(&[(0, watermark_ms)]),
            sampled: BTreeMap::new(),
        }
    }

    #[test]
    fn what_the_trainer_waits_for_is_sent_at_once() {
        let clock = Clock::simulated(0);
        let mut watermark_sender = WatermarkSender::new(clock.now());
        let mut news = read_to(0);
        let sampled = |to_ms| Sampled {
            to_ms,
            customers: 1,
        };
        news.sampled.insert(0, sampled(0));
        watermark_sender.sent(news.clone(), clock.now());
        assert!(!watermark_sender.is_due(&news, &context(&clock)));
        news.sampled.insert(0, sampled(1));
        assert!(watermark_sender.is_due(&news, &context(&clock)));
    }

    fn context(clock: &Clock) -> SendContext {
        SendContext {
            now: clock.now(),
            alignment: Alignment {
                max_skew_ms: 1_000,
                idle_timeout: IDLE,
            },
            others_have_backlog: false,
            asked: None,
        }
    }

    #[test]
    fn watermarks_are_sent_at_first_as_they_advance_and_once_more_at_the_end() {
        let clock = Clock::simulated(0);
        let mut watermark_sender = WatermarkSender::new(clock.now());
        let mut is_sent = |watermark_ms, after: Duration| {
            clock.advance(after);
            let news = read_to(watermark_ms);
            let is_due = watermark_sender.is_due(&news, &context(&clock));
            if is_due {
                watermark_sender.sent(news, clock.now());
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
        let mut watermark_sender = WatermarkSender::new(clock.now());
        let news = read_to(CAUGHT_UP);
        watermark_sender.sent(news.clone(), clock.now());
        clock.advance(IDLE / 3);
        let mut context = context(&clock);
        assert!(!watermark_sender.is_due(&news, &context));
        context.others_have_backlog = true;
        assert!(watermark_sender.is_due(&news, &context));
        context.others_have_backlog = false;
        clock.advance(IDLE);
        assert!(!watermark_sender.is_due(&news, &context));
        context.asked = Some(clock.now());
        assert!(
            watermark_sender.is_due(&news, &context),
            "a new trainer asks"
        );
        watermark_sender.sent(news.clone(), clock.now());
        assert!(!watermark_sender.is_due(&news, &context));
        watermark_sender.forget();
        assert!(
            watermark_sender.is_due(&news, &context),
            "there are new listeners"
        );
    }
}
