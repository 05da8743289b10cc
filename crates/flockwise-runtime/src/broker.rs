//! The ports to a broker, which Kafka and the in-process broker implement.
//!
//! All calls block. A worker owns one [`Broker`]: one consumer, one transactional producer, one reader of topics.

use std::time::Duration;

pub use flockwise_vocabulary::start_position::Start;

use crate::batch::{Batch, Record};
use crate::topics::{Topic, TopicPartition};

/// The header of a model version that holds the transactional id of the worker that published it.
pub const ORIGIN_HEADER: &str = "flockwise.origin";

/// The key of the pipeline record on its topic.
pub const PIPELINE_KEY: &[u8] = b"pipeline";

/// What a poll returned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WorkerEvent {
    /// The batch holds at least one record.
    Records,
    /// The group assigns these partitions: under an eager protocol all that the worker has, under a cooperative one the new
    /// ones. Acknowledge with [`GroupConsumer::open`].
    Assigned(Vec<TopicPartition>),
    /// The group revokes these partitions: commit, then acknowledge with [`GroupConsumer::close`].
    Revoked(Vec<TopicPartition>),
    /// Others already own these partitions: abort, then acknowledge with [`GroupConsumer::close`].
    Lost(Vec<TopicPartition>),
    /// Nothing arrived within the timeout.
    Idle,
}

/// How far [`TopicReader::replay`] got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replayed {
    /// To the end: the next offset.
    Whole(i64),
    /// Up to this offset. The transaction behind it is open, and did not end soon.
    Held(i64),
    /// Nowhere: the offset is before the oldest or behind the newest record.
    Gone,
}

/// A record to produce.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing<'a> {
    /// Its topic.
    pub topic: Topic,
    /// Its partition.
    pub partition: u32,
    /// Its key, if it has one.
    pub key: Option<&'a [u8]>,
    /// Its value; `None`: a tombstone.
    pub value: Option<&'a [u8]>,
    /// Its headers, in order.
    pub headers: &'a [(&'a str, &'a [u8])],
}

/// An error, named by what the caller must do next.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Another process has taken over this worker's transactional id or `group.instance.id`: build a new client.
    #[error("{0}; the worker starts again with a new client")]
    Fenced(String),
    /// The client cannot be used any more: build a new one.
    #[error("{0}; the worker starts again with a new client")]
    Fatal(String),
    /// The transaction cannot be committed: abort, roll back, continue.
    #[error("{0}; the transaction is aborted and done again")]
    Abort(String),
    /// Only a changed configuration or cluster helps: wrong password, missing topic, missing permission.
    #[error("{0}")]
    Config(String),
}

/// A worker's client of a broker: a group member, a transactional producer and a reader of topics.
pub trait Broker: GroupConsumer + Transactions + TopicReader {}

impl<T: GroupConsumer + Transactions + TopicReader> Broker for T {}

/// Reads partitions as a member of the consumer group.
pub trait GroupConsumer {
    /// Waits for an event, for `timeout` at most. Clears `batch` and fills it with at most `limit` records. Reads
    /// partitions in step: of those with records at hand, first the one that is furthest behind in event time, according
    /// to [`GroupConsumer::report_progress`].
    ///
    /// # Errors
    /// See [`Failure`].
    fn poll(
        &mut self,
        timeout: Duration,
        limit: usize,
        batch: &mut Batch,
    ) -> Result<WorkerEvent, Failure>;

    /// Acknowledges an assignment, even an empty one, by reading these partitions from these positions. A partition that
    /// is open already starts over at its new position. The other open ones continue undisturbed, even after an eager
    /// revocation: only [`GroupConsumer::close`] ends them.
    ///
    /// # Errors
    /// See [`Failure`].
    fn open(&mut self, reads: &[(TopicPartition, Start)]) -> Result<(), Failure>;

    /// Acknowledges a revocation or loss by no longer reading these partitions.
    ///
    /// # Errors
    /// See [`Failure`].
    fn close(&mut self, topic_partitions: &[TopicPartition]) -> Result<(), Failure>;

    /// Reports the event time up to which a partition is processed, milliseconds since the epoch.
    fn report_progress(&mut self, topic_partition: TopicPartition, event_time_ms: i64);

    /// Pauses exactly these partitions: [`GroupConsumer::poll`] gives no records of them. All others are resumed.
    fn pause(&mut self, topic_partitions: &[TopicPartition]);

    /// The next offset to read of an open partition, if it is beyond the last polled record: behind control records and
    /// aborted records. This is the offset to commit: retention may leave nothing but a control record, and the offset
    /// before that is then gone.
    fn position(&self, _topic_partition: TopicPartition) -> Option<i64> {
        None
    }

    /// The leader epoch up to which an open partition was read, to be kept with its position; `None` if unknown.
    fn leader_epoch(&self, _topic_partition: TopicPartition) -> Option<i32> {
        None
    }

    /// The latest time that a broker has stamped on a polled record, milliseconds since the epoch; `None` if all records
    /// have the time of their producers.
    fn log_append_ms(&self) -> Option<i64> {
        None
    }

    /// The generation of the group, one more with each assignment; `None` if unknown. A member that was told of
    /// generation n and then of n + 1 has missed none, in which another might have changed its revoked tasks.
    fn generation(&self) -> Option<i64> {
        None
    }

    /// Number of records between the position and the end of an open partition; `None` if unknown.
    fn lag(&self, topic_partition: TopicPartition) -> Option<u64>;

    /// Open partitions that are not read on because records are lost: retention deleted the next one, or the partition
    /// was truncated or recreated. They stay halted until they are opened again.
    fn halted(&self) -> Vec<TopicPartition> {
        Vec::new()
    }

    /// Does the consumer skip lost records? Otherwise it halts their partition.
    fn skips_lost_records(&self) -> bool {
        false
    }

    /// Leaves the group: assigned partitions are revoked through [`GroupConsumer::poll`] first. Poll until it returns `true`.
    fn leave(&mut self) -> bool;
}

/// Produces records and commits positions in transactions.
pub trait Transactions {
    /// The transactional id, which no other worker has.
    fn transactional_id(&self) -> &str;

    /// Produces a record. Begins a transaction if none is open. Delivery is known at the commit.
    ///
    /// # Errors
    /// See [`Failure`].
    fn send(&mut self, record: Outgoing<'_>) -> Result<(), Failure>;

    /// The largest record that a topic accepts, as far as known: bytes of key, value and headers.
    fn max_record_bytes(&self, _topic: Topic) -> usize {
        usize::MAX
    }

    /// Commits the open transaction, or an empty one, with the next offset to read of each of these partitions.
    ///
    /// # Errors
    /// See [`Failure`].
    fn commit(&mut self, positions: &[(TopicPartition, i64)]) -> Result<(), Failure>;

    /// Aborts the open transaction, if there is one.
    ///
    /// # Errors
    /// See [`Failure`].
    fn abort(&mut self) -> Result<(), Failure>;

    /// Ends the open transaction of the worker with this transactional id, and fences that worker.
    ///
    /// # Errors
    /// See [`Failure`].
    fn fence(&mut self, transactional_id: &str) -> Result<(), Failure>;
}

/// Reads topics, outside the group.
pub trait TopicReader {
    /// Reads the committed records of a partition from an offset (`None`: the oldest) to its present end, oldest first.
    ///
    /// # Errors
    /// See [`Failure`].
    fn replay(
        &mut self,
        topic_partition: TopicPartition,
        from: Option<i64>,
        each: &mut dyn FnMut(Record<'_>),
    ) -> Result<Replayed, Failure>;

    /// As [`TopicReader::replay`] of each of these partitions, all at once if that is faster; records of different
    /// partitions are then interleaved. Returns how far each got, in order.
    ///
    /// # Errors
    /// See [`Failure`].
    fn replay_all(
        &mut self,
        reads: &[(TopicPartition, Option<i64>)],
        each: &mut dyn FnMut(Record<'_>),
    ) -> Result<Vec<Replayed>, Failure> {
        let replay = |(topic_partition, from): &(TopicPartition, Option<i64>)| {
            self.replay(*topic_partition, *from, each)
        };
        reads.iter().map(replay).collect()
    }

    /// Reads the records of a partition from an offset on, committed or not, to find out who has a transaction open. Reads
    /// nothing if it cannot do so, or not soon.
    ///
    /// # Errors
    /// See [`Failure`].
    fn read_uncommitted(
        &mut self,
        _topic_partition: TopicPartition,
        _from: i64,
        _each: &mut dyn FnMut(Record<'_>),
    ) -> Result<(), Failure> {
        Ok(())
    }

    /// The end offsets of these partitions, uncommitted records included.
    ///
    /// # Errors
    /// See [`Failure`].
    fn end_offsets(&mut self, topic_partitions: &[TopicPartition]) -> Result<Vec<i64>, Failure>;

    /// The topic's id. It differs from that of any other topic of the same name, earlier, later or on another cluster.
    ///
    /// # Errors
    /// See [`Failure`].
    fn topic_id(&mut self, topic: Topic) -> Result<String, Failure>;

    /// The present number of partitions of a topic.
    ///
    /// # Errors
    /// See [`Failure`].
    fn partitions(&mut self, topic: Topic) -> Result<u32, Failure>;
}

/// Reads committed records of partitions as they arrive, outside the group: for standbys.
pub trait Follower {
    /// Follows exactly these partitions, each from an offset (`None`: the oldest). One that is followed already continues
    /// where it is.
    ///
    /// # Errors
    /// See [`Failure`].
    fn follow(&mut self, reads: &[(TopicPartition, Option<i64>)]) -> Result<(), Failure>;

    /// Waits for records, for `timeout` at most. Clears `batch` and fills it with at most `limit` of them.
    ///
    /// # Errors
    /// See [`Failure`]. [`Failure::Fatal`]: the next record is gone, and what was built from those before is of no use.
    fn poll(&mut self, timeout: Duration, limit: usize, batch: &mut Batch) -> Result<(), Failure>;
}
