//! A client in a simulation: a record gets its offset when it is sent, and a commit has two phases.

use flockwise_runtime::broker::{Failure, Outgoing};
use flockwise_runtime::topics::TopicPartition;

use crate::client::MemoryClient;
use crate::record::Shape;

impl MemoryClient {
    pub(crate) fn send_at_once(
        &mut self,
        number: usize,
        record: &Outgoing<'_>,
    ) -> Result<(), Failure> {
        let mut state = self.shared.look();
        state.require_unfenced(&self.member, self.epoch)?;
        let mut bytes = std::mem::take(&mut state.scratch);
        bytes.clear();
        let shape = Shape::lay(&mut bytes, record.key, record.value, record.headers);
        let timestamp_ms = state
            .simulation
            .as_ref()
            .map_or(0, |simulation| simulation.conditions.clock.wall_ms());
        state.send(&self.member, number, timestamp_ms, shape, &bytes);
        state.scratch = bytes;
        Ok(())
    }

    /// The first phase of a commit: adds the positions to the transaction. A member that loses its partitions after
    /// this can still commit, and the next owner waits for that.
    ///
    /// # Errors
    /// See [`flockwise_runtime::broker::Transactions::commit`].
    pub fn send_offsets(&mut self, positions: &[(TopicPartition, i64)]) -> Result<(), Failure> {
        let numbered = self.numbered(positions)?;
        let mut state = self.shared.look();
        state.require_unfenced(&self.member, self.epoch)?;
        state.send_offsets(&self.member, positions, &numbered)
    }

    /// The second phase of a commit: makes the records visible and the positions final.
    ///
    /// # Errors
    /// See [`flockwise_runtime::broker::Transactions::commit`].
    pub fn end_commit(&mut self) -> Result<(), Failure> {
        let mut state = self.shared.look();
        state.require_unfenced(&self.member, self.epoch)?;
        state.end_transaction(&self.member, true);
        Ok(())
    }
}
