//! What may happen to the topics of a cluster, at the caller's command.

use flockwise_runtime::topics::{Topic, TopicPartition};

use crate::broker::SimulatedBroker;
use crate::cluster_state::ClusterState;
use crate::partition_log::PartitionLog;

impl SimulatedBroker {
    /// Hides all but the first `partitions` of a topic, until the next call for the topic.
    pub fn show_partitions(&self, topic: Topic, partitions: u32) {
        self.shared.borrow().shown.insert(topic, partitions);
    }

    /// Takes offsets of a partition that have no committed record, as another producer's aborted transaction
    /// does.
    pub fn skip_offsets(&self, topic: Topic, partition: u32, offsets: u32) {
        let topic_partition = TopicPartition { topic, partition };
        self.shared
            .borrow()
            .log_mut(topic_partition)
            .skip(i64::from(offsets));
    }

    /// From now on, a poll returns at most `records` records.
    pub fn limit_poll(&self, records: usize) {
        self.shared.borrow().conditions.most_records = records;
    }

    /// Deletes a topic and creates it again, with another id. A client gets no records of it until it has asked for
    /// the id and opened the topic again.
    pub fn recreate(&self, topic: Topic) {
        let mut state = self.shared.borrow();
        let logs = state.logs.iter_mut();
        for (_, log) in logs.filter(|(topic_partition, _)| topic_partition.topic == topic) {
            *log = PartitionLog::new(log.generation + 1);
        }
    }

    /// Removes the records of a partition below an offset, as retention does.
    pub fn remove(&self, topic: Topic, partition: u32, below: i64) {
        let topic_partition = TopicPartition { topic, partition };
        self.shared.borrow().log_mut(topic_partition).remove(below);
    }

    /// Removes the records of an input partition from an offset on and starts a new leader epoch, as when a replica
    /// without these records becomes leader.
    ///
    /// # Panics
    /// If the partition ends before the offset.
    pub fn truncate(&self, topic: Topic, partition: u32, to: i64) {
        let mut state = self.shared.borrow();
        let log = state.log_mut(TopicPartition { topic, partition });
        assert!(to <= log.end, "the partition ends before {to}");
        log.truncate(to);
    }

    /// Compacts all compacted topics: keeps the last committed record of every key.
    pub fn compact(&self) {
        let mut state = self.shared.borrow();
        let ClusterState {
            conditions,
            compactions,
            logs,
            ..
        } = &mut *state;
        let (now_ms, keep_ms) = (
            conditions.clock.wall_ms(),
            conditions.tombstones.as_millis() as i64,
        );
        for (topic_partition, compactions) in compactions {
            let log = logs.get_mut(topic_partition).expect("a partition");
            compactions.run(log, now_ms, keep_ms);
        }
    }

    /// Removes the group's committed offsets.
    pub fn expire_offsets(&self) {
        for log in self.shared.borrow().logs.values_mut() {
            log.committed = None;
        }
    }
}
