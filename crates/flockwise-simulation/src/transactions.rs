//! Transactions whose records are in the logs before they are committed.

use flockwise_memory::CommittedRecord;
use flockwise_runtime::broker::Failure;
use flockwise_runtime::topics::TopicPartition;

use crate::cluster_state::{ClusterState, SimulatedTransaction};

impl ClusterState {
    fn transaction(&mut self, member: &str) -> &mut SimulatedTransaction {
        let began = self.conditions.clock.now();
        let open = self.open.entry(member.to_owned());
        open.or_insert_with(|| SimulatedTransaction {
            began,
            records: Vec::new(),
            positions: Vec::new(),
        })
    }

    /// Appends a record to its log and to the member's open transaction.
    pub(crate) fn send(
        &mut self,
        member: &str,
        topic_partition: TopicPartition,
        record: CommittedRecord,
    ) {
        let offset = self.append(topic_partition, record);
        let log = self.log_mut(topic_partition);
        log.held_from = log.held_from.min(offset);
        self.transaction(member)
            .records
            .push((topic_partition, offset));
    }

    /// The first phase of a commit: adds the positions to the transaction.
    pub(crate) fn send_offsets(
        &mut self,
        member: &str,
        positions: &[(TopicPartition, i64)],
    ) -> Result<(), Failure> {
        self.group.require_current(member, positions)?;
        if !positions.is_empty() {
            self.transaction(member).positions.extend(positions);
        }
        Ok(())
    }

    /// Commits or aborts a member's transaction, if it has one.
    pub(crate) fn end_transaction(&mut self, member: &str, is_committed: bool) {
        let Some(mut ended) = self.open.remove(member) else {
            return;
        };
        ended.records.sort_unstable();
        for touched in ended.records.chunk_by(|left, right| left.0 == right.0) {
            let log = self.log_mut(touched[0].0);
            if !is_committed {
                log.records.retain(|record| {
                    let is_void = |(_, offset): &(TopicPartition, i64)| offset.cmp(&record.offset);
                    touched.binary_search_by(is_void).is_err()
                });
            }
            // The control record takes an offset.
            log.skip(1);
        }
        for (topic_partition, position) in ended.positions.into_iter().filter(|_| is_committed) {
            self.log_mut(topic_partition).committed = Some(position);
        }
        self.hold_back();
    }

    /// Holds readers back before the first record of every open transaction.
    fn hold_back(&mut self) {
        for log in self.logs.values_mut() {
            log.held_from = i64::MAX;
        }
        for (topic_partition, offset) in self.open.values().flat_map(|open| &open.records) {
            let log = self.logs.get_mut(topic_partition).expect("a partition");
            log.held_from = log.held_from.min(*offset);
        }
    }

    /// Aborts overdue transactions, and fences their owners.
    pub(crate) fn abort_overdue(&mut self) {
        let (clock, longest) = (&self.conditions.clock, self.conditions.transaction);
        let is_overdue = |open: &SimulatedTransaction| clock.since(open.began) > longest;
        let overdue = self.open.iter().filter(|(_, open)| is_overdue(open));
        let overdue: Vec<String> = overdue.map(|(member, _)| member.clone()).collect();
        for member in overdue {
            self.fence(&member);
        }
    }

    /// Aborts the open transaction of this name, fences its owner, and returns the new epoch.
    pub(crate) fn fence(&mut self, member: &str) -> u64 {
        self.end_transaction(member, false);
        self.producers.begin(member)
    }
}
