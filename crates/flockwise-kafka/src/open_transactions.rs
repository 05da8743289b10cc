//! Transactions of other producers that hold an input partition back.
//!
//! Committed records are readable up to the last stable offset, which lies before the oldest open transaction. If
//! that offset stays the same while records follow it, a transaction is open there. Its coordinator aborts it after
//! the producer's `transaction.timeout.ms`. A transaction that no coordinator knows any more hangs forever.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tracing::{info, warn};

use crate::fetch_state::PartitionFetch;

/// The partitions that open transactions hold back.
#[derive(Debug)]
pub(crate) struct OpenTransactions {
    /// A transaction that is open for this long is logged.
    log_after: Duration,
    held: BTreeMap<(String, i32), Held>,
}

#[derive(Debug)]
struct Held {
    stable: i64,
    since: Instant,
    is_logged: bool,
}

/// How long a partition has been held back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OpenTransaction {
    pub(crate) topic: String,
    pub(crate) partition: i32,
    /// Zero if it is not held back.
    pub(crate) lasted: Duration,
    pub(crate) change: Option<TransactionChange>,
}

/// A change that should be logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TransactionChange {
    /// The partition has been held back for long at offset `at`, with `behind` records from there on.
    LongOpen { at: i64, behind: i64 },
    /// The logged transaction has ended: reading continues.
    Ended,
}

impl OpenTransactions {
    /// Without held partitions. A transaction that is open for `log_after` is logged.
    pub(crate) fn new(log_after: Duration) -> Self {
        Self {
            log_after,
            held: BTreeMap::new(),
        }
    }

    /// Updates all partitions whose ends are known. Forgets those that are no longer among them.
    pub(crate) fn update(
        &mut self,
        partitions: &[PartitionFetch],
        now: Instant,
    ) -> Vec<OpenTransaction> {
        let mut before = std::mem::take(&mut self.held);
        let update = |fetched: &PartitionFetch| {
            let place = (fetched.topic.clone(), fetched.partition);
            let known = before.remove(&place);
            self.update_partition(place, fetched, known, now)
        };
        partitions.iter().map(update).collect()
    }

    fn update_partition(
        &mut self,
        (topic, partition): (String, i32),
        fetched: &PartitionFetch,
        known: Option<Held>,
        now: Instant,
    ) -> OpenTransaction {
        let mut held_for = OpenTransaction {
            topic: topic.clone(),
            partition,
            lasted: Duration::ZERO,
            change: None,
        };
        let was_logged = known.as_ref().is_some_and(|held| held.is_logged);
        let same = known.filter(|held| held.stable == fetched.stable);
        // A reader that has not reached the last stable offset yet is not held back.
        let is_held = fetched.stable < fetched.end && fetched.next >= fetched.stable;
        if !is_held {
            held_for.change = was_logged.then_some(TransactionChange::Ended);
            return held_for;
        }
        let mut held = same.unwrap_or(Held {
            stable: fetched.stable,
            since: now,
            is_logged: false,
        });
        held_for.lasted = now.saturating_duration_since(held.since);
        if held_for.lasted >= self.log_after && !held.is_logged {
            held.is_logged = true;
            held_for.change = Some(TransactionChange::LongOpen {
                at: fetched.stable,
                behind: fetched.end - fetched.stable,
            });
        } else if was_logged && !held.is_logged {
            held_for.change = Some(TransactionChange::Ended);
        }
        self.held.insert((topic, partition), held);
        held_for
    }
}

impl OpenTransaction {
    /// Logs the change, and what to do about it.
    pub(crate) fn log(&self) {
        let (topic, partition) = (self.topic.as_str(), self.partition);
        match self.change {
            None => {}
            Some(TransactionChange::Ended) => info!(
                topic,
                partition,
                "the transaction that held this partition back has ended; reading continues"
            ),
            Some(TransactionChange::LongOpen { at, behind }) => warn!(
                topic,
                partition,
                offset = at,
                records_behind = behind,
                seconds = self.lasted.as_secs(),
                "a producer's open transaction holds this partition back: nothing from this offset on is read until it \
                 ends. The brokers abort it after the producer's transaction.timeout.ms. If it stays, it hangs: see \
                 `kafka-transactions.sh --bootstrap-server HOST:PORT find-hanging --topic {topic} --partition \
                 {partition}`, and end it with `kafka-transactions.sh --bootstrap-server HOST:PORT abort --topic {topic} \
                 --partition {partition} --start-offset {at}`"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Watch {
        open: OpenTransactions,
        start: Instant,
    }

    impl Watch {
        fn new() -> Self {
            Self {
                open: OpenTransactions::new(Duration::from_secs(60)),
                start: Instant::now(),
            }
        }

        /// Seconds held back and news, after the partition is seen in this state at `seconds`.
        fn see(
            &mut self,
            seconds: u64,
            [next, stable, end]: [i64; 3],
        ) -> (u64, Option<TransactionChange>) {
            let fetched = PartitionFetch {
                topic: "orders".to_owned(),
                partition: 3,
                next,
                stable,
                end,
            };
            let now = self.start + Duration::from_secs(seconds);
            let held = self.open.update(&[fetched], now).remove(0);
            (held.lasted.as_secs(), held.change)
        }
    }

    #[test]
    fn an_offset_that_stays_is_told_of_once_and_when_it_is_over() {
        let mut watch = Watch::new();
        assert_eq!(watch.see(0, [10, 10, 10]), (0, None));
        assert_eq!(watch.see(10, [10, 10, 14]), (0, None));
        assert_eq!(watch.see(20, [10, 10, 15]), (10, None));
        let long = TransactionChange::LongOpen { at: 10, behind: 8 };
        assert_eq!(watch.see(70, [10, 10, 18]), (60, Some(long)));
        assert_eq!(watch.see(80, [10, 10, 19]), (70, None));
        assert_eq!(
            watch.see(90, [19, 19, 19]),
            (0, Some(TransactionChange::Ended))
        );
        assert_eq!(watch.see(100, [19, 19, 19]), (0, None));
    }

    #[test]
    fn transactions_that_follow_one_another_are_no_long_one() {
        let mut watch = Watch::new();
        for turn in 0..20_i64 {
            let stable = 10 * turn;
            let seen = watch.see(stable.unsigned_abs(), [stable, stable, stable + 5]);
            assert_eq!(seen, (0, None));
        }
    }

    #[test]
    fn a_backlog_that_is_not_fetched_for_a_while_is_no_open_transaction() {
        let mut watch = Watch::new();
        watch.see(0, [10, 500, 510]);
        assert_eq!(watch.see(300, [10, 500, 510]), (0, None));
        assert_eq!(watch.see(310, [500, 500, 510]), (0, None));
        assert_eq!(watch.see(320, [500, 500, 510]), (10, None));
    }

    #[test]
    fn another_one_right_behind_begins_a_count_of_its_own() {
        let mut watch = Watch::new();
        watch.see(0, [10, 10, 14]);
        assert!(watch.see(60, [10, 10, 14]).1.is_some());
        assert_eq!(
            watch.see(70, [14, 14, 20]),
            (0, Some(TransactionChange::Ended))
        );
        assert_eq!(watch.see(130, [14, 14, 20]).0, 60);
    }

    #[test]
    fn a_partition_that_is_not_seen_for_a_while_begins_again() {
        let mut watch = Watch::new();
        watch.see(0, [10, 10, 14]);
        watch.open.update(&[], watch.start);
        assert_eq!(watch.see(100, [10, 10, 14]), (0, None));
    }
}
