//! What a poll returns, and when: drawn at random, as unfair as Kafka allows.

use flockwise_runtime::batch::Batch;

use crate::cluster_state::ClusterState;
use crate::fetch_position::FetchPosition;
use crate::partition_log::polled;

impl ClusterState {
    /// Draws whether a member must still wait for news of the group.
    pub(crate) fn delays_news(&mut self, member: &str) -> bool {
        let (random, idle_percent) = (&mut self.random, self.conditions.idle_percent);
        let delay = self.delays.entry(member.to_owned()).or_default();
        *delay = match *delay {
            0 if random.below(100) < idle_percent => 1 + random.below(4),
            left => left.saturating_sub(1),
        };
        *delay > 0
    }

    /// Fills a batch from partitions in random order. The records of each partition stay in order.
    pub(crate) fn fill(&mut self, reads: &mut [FetchPosition], limit: usize, batch: &mut Batch) {
        let (random, logs) = (&mut self.random, &self.logs);
        let is_slow = random.below(100) < self.conditions.idle_percent;
        if is_slow {
            return;
        }
        let limit = limit.min(1 + random.index(self.conditions.most_records));
        let mut drawn: Vec<usize> = (0..reads.len())
            .filter(|index| random.below(3) > 0 && reads[*index].is_given(logs))
            .collect();
        while batch.len() < limit && !drawn.is_empty() {
            let place = random.index(drawn.len());
            let read = &mut reads[drawn[place]];
            let log = &logs[&read.topic_partition];
            match log.readable(read.next).first() {
                Some(record) => {
                    batch.push(polled(read.topic_partition, record));
                    read.advance(log, record.offset);
                }
                None => {
                    drawn.swap_remove(place);
                }
            }
        }
    }

    /// The position of a partition, past offsets that have no readable record; `None` at random, as when a client does
    /// not know it. A client always knows where it continues after lost records, and a position never moves past
    /// records that were not verified.
    pub(crate) fn position(&mut self, read: &FetchPosition) -> Option<i64> {
        let is_known = self.random.below(4) > 0 || read.is_rewound;
        let log = self.log(read.topic_partition);
        let is_there = log.generation == read.generation;
        let position = match read.is_cut(log) {
            true => read.next,
            false => log.next_readable(read.next),
        };
        (is_known && is_there).then_some(position)
    }
}
