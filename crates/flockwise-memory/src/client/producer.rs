//! The client as a transactional producer. Its records are in no log before it commits them.

use flockwise_runtime::broker::{Failure, Outgoing, Transactions};
use flockwise_runtime::clock::Clock;
use flockwise_runtime::topics::TopicPartition;

use super::MemoryClient;

impl Transactions for MemoryClient {
    fn transactional_id(&self) -> &str {
        &self.member
    }

    fn fence(&mut self, name: &str) -> Result<(), Failure> {
        self.shared.lock().producers.begin(name);
        Ok(())
    }

    fn send(&mut self, record: Outgoing<'_>) -> Result<(), Failure> {
        let Outgoing {
            topic,
            partition,
            key,
            value,
            ..
        } = record;
        let topic_partition = TopicPartition { topic, partition };
        let number = self.shared.layout.accept(topic_partition, key, value);
        let number = number.map_err(Failure::Config)?;
        self.transaction
            .push(number, Clock::System.wall_ms(), key, value, record.headers);
        Ok(())
    }

    fn commit(&mut self, positions: &[(TopicPartition, i64)]) -> Result<(), Failure> {
        let numbered: Result<Vec<(usize, i64)>, String> = positions
            .iter()
            .map(|&(topic_partition, position)| {
                Ok((self.shared.layout.require(topic_partition)?, position))
            })
            .collect();
        let numbered = numbered.map_err(Failure::Config)?;
        let mut state = self.shared.lock();
        state.producers.require_unfenced(&self.member, self.epoch)?;
        state.group.require_current(&self.member, positions)?;
        state.commit(&self.transaction, &numbered);
        self.transaction.clear();
        self.shared.notify(&state);
        Ok(())
    }

    fn abort(&mut self) -> Result<(), Failure> {
        self.transaction.clear();
        let state = self.shared.lock();
        state.producers.require_unfenced(&self.member, self.epoch)
    }
}
