//! The client as a transactional producer. Its commit has two phases.

use flockwise_memory::CommittedRecord;
use flockwise_runtime::broker::{Failure, Outgoing, Transactions};
use flockwise_runtime::topics::TopicPartition;

use super::SimulatedClient;

impl SimulatedClient {
    /// The first phase of a commit: adds the positions to the transaction. A member that loses its partitions after
    /// this can still commit, and the next owner waits for that.
    ///
    /// # Errors
    /// See [`Transactions::commit`].
    pub fn send_offsets(&mut self, positions: &[(TopicPartition, i64)]) -> Result<(), Failure> {
        let mut state = self.shared.call();
        state.producers.require_unfenced(&self.member, self.epoch)?;
        state.send_offsets(&self.member, positions)
    }

    /// The second phase of a commit: makes the records visible and the positions final.
    ///
    /// # Errors
    /// See [`Transactions::commit`].
    pub fn end_commit(&mut self) -> Result<(), Failure> {
        self.end(true)
    }

    fn end(&mut self, is_committed: bool) -> Result<(), Failure> {
        let mut state = self.shared.call();
        state.producers.require_unfenced(&self.member, self.epoch)?;
        state.end_transaction(&self.member, is_committed);
        Ok(())
    }
}

impl Transactions for SimulatedClient {
    fn transactional_id(&self) -> &str {
        &self.member
    }

    fn send(&mut self, record: Outgoing<'_>) -> Result<(), Failure> {
        let Outgoing {
            topic, partition, ..
        } = record;
        let mut state = self.shared.call();
        state.producers.require_unfenced(&self.member, self.epoch)?;
        let headers = record.headers.iter();
        let stored = CommittedRecord {
            offset: 0,
            timestamp_ms: state.conditions.clock.wall_ms(),
            key: record.key.map(<[u8]>::to_vec),
            value: record.value.map(<[u8]>::to_vec),
            headers: headers
                .map(|(name, content)| ((*name).to_owned(), content.to_vec()))
                .collect(),
        };
        state.send(&self.member, TopicPartition { topic, partition }, stored);
        Ok(())
    }

    fn commit(&mut self, positions: &[(TopicPartition, i64)]) -> Result<(), Failure> {
        self.send_offsets(positions)?;
        self.end_commit()
    }

    fn abort(&mut self) -> Result<(), Failure> {
        self.end(false)
    }

    fn fence(&mut self, transactional_id: &str) -> Result<(), Failure> {
        self.shared.call().fence(transactional_id);
        Ok(())
    }
}
