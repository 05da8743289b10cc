//! Which watermarks a task knows, which tasks it waits for, and when it answers a request.

use super::*;
use crate::clock::Clock;

const IDLE: Duration = Duration::from_secs(30);

#[test]
fn a_task_waits_for_those_it_has_not_heard_and_for_those_behind() {
    let clock = Clock::simulated(0);
    let mut watermarks = TaskWatermarks::new([0, 2].map(TaskId).into_iter(), clock.now());
    let lowest = |watermarks: &TaskWatermarks| watermarks.lowest_ms(clock.now(), IDLE);
    assert_eq!(lowest(&watermarks), Some(i64::MIN));
    watermarks.hear(&of_tasks(&[(0, 50), (1, 7)]), clock.now());
    assert_eq!(lowest(&watermarks), Some(i64::MIN));
    watermarks.hear(&of_tasks(&[(2, CAUGHT_UP)]), clock.now());
    assert_eq!(lowest(&watermarks), Some(50));
    clock.advance(IDLE);
    assert_eq!(lowest(&watermarks), None, "silent for the idle timeout");
    let watermarks = TaskWatermarks::new([0, 2].map(TaskId).into_iter(), clock.now());
    clock.advance(UNKNOWN);
    assert_eq!(lowest(&watermarks), None, "never received");
}

#[test]
fn what_an_aborted_transaction_heard_is_forgotten() {
    let clock = Clock::simulated(0);
    let mut watermarks = TaskWatermarks::new([TaskId(1)].into_iter(), clock.now());
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
        let own = TaskId(own);
        let others = TaskId::all(4).filter(move |task| *task != own);
        (own, TaskWatermarks::new(others, clock.now()))
    });
    let behind = |all: [&(TaskId, TaskWatermarks); 2]| {
        let all = all.into_iter().map(|(own, watermarks)| (*own, watermarks));
        furthest_behind(all, 4, clock.now(), IDLE)
    };
    assert_eq!(behind([&first, &second]), Some((TaskId(2), i64::MIN)));
    let received = of_tasks(&[(0, 5), (1, 6), (2, 90), (3, 80)]);
    first.1.hear(&received, clock.now());
    assert_eq!(behind([&first, &second]), Some((TaskId(3), 80)));
    let trainer = |one: &(TaskId, TaskWatermarks)| learnt([&one.1].into_iter(), clock.now(), IDLE);
    assert_eq!(trainer(&first).map(|learnt| learnt.to_ms), Some(i64::MIN));
    let sent = Learnt {
        to_ms: 70,
        version: 2,
        customers: 9,
        period_ms: 1_000,
    };
    let message = Message {
        trainer: Some(sent),
        ..Message::default()
    };
    first.1.hear(&message, clock.now());
    assert_eq!(trainer(&first), Some(sent));
}

fn of_tasks(tasks: &[(u32, i64)]) -> Message {
    Message {
        tasks: tasks
            .iter()
            .map(|(task, at_ms)| (TaskId(*task), *at_ms))
            .collect(),
        ..Message::default()
    }
}

/// An instance that returns within its session timeout joins without a rebalance. The other workers then have no
/// other reason to send their watermarks.
#[test]
fn who_has_just_got_tasks_is_answered_by_the_others_and_not_by_itself() {
    let clock = Clock::simulated(0);
    let mut own = TaskWatermarks::new([0, 2].map(TaskId).into_iter(), clock.now());
    let mut other = TaskWatermarks::new([0, 1].map(TaskId).into_iter(), clock.now());
    let mut message = of_tasks(&[(0, 5), (1, 6)]);
    let requested_both = |own: &TaskWatermarks, other: &TaskWatermarks| {
        [own, other].map(|one| latest_request([one].into_iter()))
    };
    own.hear(&message, clock.now());
    other.hear(&message, clock.now());
    assert_eq!(requested_both(&own, &other), [None, None]);
    message.asks = true;
    clock.advance(MIN_INTERVAL);
    own.hear(&message, clock.now());
    other.hear(&message, clock.now());
    assert_eq!(requested_both(&own, &other), [None, Some(clock.now())]);
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
    let mut announcement = read_to(0);
    let sampled = |to_ms| Sampled {
        to_ms,
        customers: 1,
    };
    announcement.sampled.insert(TaskId(0), sampled(0));
    watermark_sender.sent(announcement.clone(), clock.now());
    assert!(!watermark_sender.is_due(&announcement, &context(&clock)));
    announcement.sampled.insert(TaskId(0), sampled(1));
    assert!(watermark_sender.is_due(&announcement, &context(&clock)));
}

fn context(clock: &Clock) -> SendContext {
    SendContext {
        now: clock.now(),
        alignment: Alignment {
            max_skew_ms: 1_000,
            idle_timeout: IDLE,
        },
        others_have_backlog: false,
        requested: None,
    }
}

#[test]
fn watermarks_are_sent_at_first_as_they_advance_and_once_more_at_the_end() {
    let clock = Clock::simulated(0);
    let mut watermark_sender = WatermarkSender::new(clock.now());
    let mut is_sent = |watermark_ms, after: Duration| {
        clock.advance(after);
        let announcement = read_to(watermark_ms);
        let is_due = watermark_sender.is_due(&announcement, &context(&clock));
        if is_due {
            watermark_sender.sent(announcement, clock.now());
        }
        is_due
    };
    assert!(is_sent(0, Duration::ZERO));
    assert!(!is_sent(600, Duration::from_millis(1)), "too soon");
    assert!(!is_sent(400, MIN_INTERVAL), "too little");
    assert!(is_sent(600, MIN_INTERVAL));
    assert!(
        is_sent(600, IDLE / 3),
        "others wait for the idle timeout only"
    );
    assert!(is_sent(CAUGHT_UP, MIN_INTERVAL));
    assert!(!is_sent(CAUGHT_UP, 10 * IDLE), "no task waits for it");
    assert!(
        !is_sent(700, MIN_INTERVAL),
        "a live partition has unread records"
    );
    assert!(!is_sent(CAUGHT_UP, BACKLOG_AFTER));
    assert!(!is_sent(800, MIN_INTERVAL));
    assert!(is_sent(800, BACKLOG_AFTER), "that is a backlog");
}

#[test]
fn a_task_that_has_caught_up_says_so_again_while_others_have_a_backlog() {
    let clock = Clock::simulated(0);
    let mut watermark_sender = WatermarkSender::new(clock.now());
    let announcement = read_to(CAUGHT_UP);
    watermark_sender.sent(announcement.clone(), clock.now());
    clock.advance(IDLE / 3);
    let mut context = context(&clock);
    assert!(!watermark_sender.is_due(&announcement, &context));
    context.others_have_backlog = true;
    assert!(watermark_sender.is_due(&announcement, &context));
    context.others_have_backlog = false;
    clock.advance(IDLE);
    assert!(!watermark_sender.is_due(&announcement, &context));
    context.requested = Some(clock.now());
    assert!(
        watermark_sender.is_due(&announcement, &context),
        "a new trainer requests them"
    );
    watermark_sender.sent(announcement.clone(), clock.now());
    assert!(!watermark_sender.is_due(&announcement, &context));
    watermark_sender.forget();
    assert!(
        watermark_sender.is_due(&announcement, &context),
        "there are new receivers"
    );
}
