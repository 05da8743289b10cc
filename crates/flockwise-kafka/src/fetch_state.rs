//! The partitions in a consumer's statistics: which ends are up to date, and which partitions are held back.

use rdkafka::Statistics;
use rdkafka::statistics::{Broker, Partition};

use crate::client_metrics::is_up;

/// After this many microseconds without data over its connection, a broker's ends are out of date. Fetches are
/// answered within a second, unless the configuration makes them wait longer.
const MAX_IDLE_US: i64 = 15_000_000;

/// The assigned partitions of some topics.
#[derive(Debug, Default)]
pub(crate) struct FetchState {
    /// Partitions whose ends are seconds old at most.
    pub(crate) fetched: Vec<PartitionFetch>,
    /// Partitions that should be fetched, but whose broker does not answer.
    pub(crate) unanswered: Vec<(String, i32)>,
}

/// A partition that is being fetched from a broker that answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PartitionFetch {
    pub(crate) topic: String,
    pub(crate) partition: i32,
    /// The next offset to fetch.
    pub(crate) next: i64,
    /// The last stable offset: readers of committed records read up to here.
    pub(crate) stable: i64,
    /// The end offset, records of open transactions included.
    pub(crate) end: i64,
}

/// Sorts the assigned partitions of these topics by whether their broker answers fetches.
pub(crate) fn fetch_state(statistics: &Statistics, topics: &[String]) -> FetchState {
    let mut fetch_state = FetchState::default();
    for name in topics {
        let Some(topic) = statistics.topics.get(name) else {
            continue;
        };
        for partition in topic.partitions.values().filter(|one| is_wanted(one)) {
            if is_acknowledged(statistics, partition) {
                fetch_state.fetched.push(PartitionFetch {
                    topic: name.clone(),
                    partition: partition.partition,
                    next: partition.next_offset,
                    stable: partition.ls_offset,
                    end: partition.hi_offset,
                });
            } else {
                let place = (name.clone(), partition.partition);
                fetch_state.unanswered.push(place);
            }
        }
    }
    fetch_state
}

fn is_wanted(partition: &Partition) -> bool {
    let is_unassigned = matches!(&*partition.fetch_state, "none" | "stopping" | "stopped");
    partition.partition >= 0 && !is_unassigned
}

fn is_acknowledged(statistics: &Statistics, partition: &Partition) -> bool {
    let is_fetched = partition.fetch_state == "active";
    let mut brokers = statistics.brokers.values();
    let from = brokers.find(|broker| broker.nodeid >= 0 && broker.nodeid == partition.broker);
    is_fetched && partition.hi_offset >= 0 && from.is_some_and(has_answered)
}

fn has_answered(broker: &Broker) -> bool {
    is_up(broker) && (0..=MAX_IDLE_US).contains(&broker.rxidle)
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::HashMap;

    use rdkafka::statistics::Topic;

    use super::*;

    /// Statistics of one topic, `orders`, whose partitions are all led by broker 1.
    pub(crate) fn statistics(
        state: &str,
        rxidle: i64,
        partitions: &[(&str, [i64; 3])],
    ) -> Statistics {
        let broker = Broker {
            nodeid: 1,
            state: state.to_owned(),
            rxidle,
            ..Broker::default()
        };
        let partition = |(number, (fetch_state, [next, stable, end])): (i32, &(&str, [i64; 3]))| {
            let partition = Partition {
                partition: number,
                broker: 1,
                fetch_state: (*fetch_state).to_owned(),
                next_offset: *next,
                ls_offset: *stable,
                hi_offset: *end,
                ..Partition::default()
            };
            (number, partition)
        };
        let topic = Topic {
            partitions: (0..).zip(partitions).map(partition).collect(),
            ..Topic::default()
        };
        Statistics {
            brokers: HashMap::from([("b1".to_owned(), broker)]),
            topics: HashMap::from([("orders".to_owned(), topic)]),
            ..Statistics::default()
        }
    }

    /// The numbers of the fetched and of the unanswered partitions.
    fn numbers(statistics: &Statistics) -> (Vec<i32>, Vec<i32>) {
        let found = fetch_state(statistics, &["orders".to_owned(), "absent".to_owned()]);
        let fetched = found.fetched.iter().map(|fetched| fetched.partition);
        let unanswered = found.unanswered.iter().map(|(_, partition)| *partition);
        let (mut fetched, mut unanswered): (Vec<_>, Vec<_>) =
            (fetched.collect(), unanswered.collect());
        fetched.sort_unstable();
        unanswered.sort_unstable();
        (fetched, unanswered)
    }

    #[test]
    fn an_end_is_known_while_its_broker_answers() {
        let partitions = [
            ("active", [5, 5, 9]),
            ("none", [5, 5, 9]),
            ("active", [0, -1001, -1001]),
        ];
        let known = (vec![0], vec![2]);
        assert_eq!(numbers(&statistics("UP", 80_000, &partitions)), known);
        let unknown = (vec![], vec![0, 2]);
        for (state, rxidle) in [("UP", MAX_IDLE_US + 1), ("UP", -1), ("CONNECT", -1)] {
            let seen = statistics(state, rxidle, &partitions);
            assert_eq!(numbers(&seen), unknown, "{state} {rxidle}");
        }
    }
}
