//! Transactions whose records are in the logs before they are committed.

use flockwise_runtime::broker::Failure;
use flockwise_runtime::topics::TopicPartition;

use super::open_transaction::SimulatedTransaction;
use crate::record::Shape;
use crate::state::BrokerState;

impl BrokerState {
    fn transaction(&mut self, member: &str) -> Option<&mut SimulatedTransaction> {
        let simulation = self.simulation.as_mut()?;
        let began = simulation.conditions.clock.now();
        let open = simulation.open.entry(member.to_owned());
        Some(open.or_insert_with(|| SimulatedTransaction {
            began,
            records: Vec::new(),
            positions: Vec::new(),
        }))
    }

    /// Appends a record to its log and to the member's open transaction.
    pub(crate) fn send(
        &mut self,
        member: &str,
        number: usize,
        timestamp_ms: i64,
        shape: Shape,
        bytes: &[u8],
    ) {
        let offset = self.logs[number].end;
        if let Some(open) = self.transaction(member) {
            open.records.push((number, offset));
        }
        self.logs[number].held_from = self.logs[number].held_from.min(offset);
        self.push(number, timestamp_ms, shape, bytes);
    }

    /// The first phase of a commit: adds the positions to the transaction.
    pub(crate) fn send_offsets(
        &mut self,
        member: &str,
        positions: &[(TopicPartition, i64)],
        numbered: &[(usize, i64)],
    ) -> Result<(), Failure> {
        self.require_current(member, positions)?;
        if !numbered.is_empty()
            && let Some(open) = self.transaction(member)
        {
            open.positions.extend(numbered);
        }
        Ok(())
    }

    /// Commits or aborts a member's transaction, if it has one.
    pub(crate) fn end_transaction(&mut self, member: &str, is_committed: bool) {
        let ended = self
            .simulation
            .as_mut()
            .and_then(|simulation| simulation.open.remove(member));
        let Some(SimulatedTransaction {
            mut records,
            positions,
            ..
        }) = ended
        else {
            return;
        };
        records.sort_unstable();
        for touched in records.chunk_by(|left, right| left.0 == right.0) {
            let log = &mut self.logs[touched[0].0];
            if !is_committed {
                log.retain(&mut self.pool, |entry| {
                    let is_void = |(_, offset): &(usize, i64)| offset.cmp(&entry.offset);
                    touched.binary_search_by(is_void).is_err()
                });
            }
            // The control record takes an offset.
            log.skip(1);
        }
        for (number, position) in positions.into_iter().filter(|_| is_committed) {
            self.logs[number].committed = Some(position);
        }
        self.hold_back();
    }

    /// Holds readers back before the first record of every open transaction.
    fn hold_back(&mut self) {
        for log in &mut self.logs {
            log.held_from = i64::MAX;
        }
        let open = self
            .simulation
            .iter()
            .flat_map(|simulation| simulation.open.values());
        for (number, offset) in open.flat_map(|open| &open.records) {
            let log = &mut self.logs[*number];
            log.held_from = log.held_from.min(*offset);
        }
    }

    /// Aborts overdue transactions, and fences their owners.
    pub(crate) fn end_overdue_transactions(&mut self) {
        let Some(simulation) = &self.simulation else {
            return;
        };
        let (clock, longest) = (
            &simulation.conditions.clock,
            simulation.conditions.transaction,
        );
        let is_overdue = |open: &SimulatedTransaction| clock.since(open.began) > longest;
        let overdue = simulation.open.iter().filter(|(_, open)| is_overdue(open));
        let overdue: Vec<String> = overdue.map(|(member, _)| member.clone()).collect();
        for member in overdue {
            self.fence(&member);
        }
    }

    /// Aborts the open transaction of this name, fences its owner, and returns the new epoch.
    pub(crate) fn fence(&mut self, member: &str) -> u64 {
        self.end_transaction(member, false);
        self.begin_epoch(member)
    }
}
