//! The port behind which Kafka and the in-process broker stand.
//!
//! Blocking calls in the order in which the worker loop makes them. A worker owns one `Broker`: one
//! consumer, one transactional producer.

use std::time::Duration;

use crate::batch::{Batch, Record};
use crate::topics::{Topic, TopicPartition};

/// The header under which a forwarded event carries `topic/partition/offset` of where it came from, and a
/// version of the model the name of the worker that made it.
pub const ORIGIN_HEADER: &str = "flockwise.origin";

/// The key of the pipeline record on its topic.
pub const PIPELINE_KEY: &[u8] = b"pipeline";

/// What a poll brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WorkerEvent {
    /// The batch holds at least one record.
    Records,
    /// These partitions of subscribed topics are now this worker's; under an eager protocol the list
    /// is all that the worker has, under a cooperative one what is new. Answer with [`Broker::open`].
    Assigned(Vec<TopicPartition>),
    /// These are to be handed over in good order: commit, then answer with [`Broker::close`].
    Revoked(Vec<TopicPartition>),
    /// These are already somebody else's: abort, then answer with [`Broker::close`].
    Lost(Vec<TopicPartition>),
    /// Nothing arrived within the patience.
    Idle,
}

/// Where reading starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// At this offset.
    Offset(i64),
    /// At this offset, if the records before it are still those that were read; otherwise records are lost, as where
    /// the next one is gone.
    Verified {
        /// The next offset to read.
        offset: i64,
        /// Leader epoch up to which the partition was read, at least that of the record before `offset`.
        leader_epoch: i32,
    },
    /// At the oldest record there is.
    Earliest,
    /// After the newest record there is.
    Latest,
    /// At the first record with a timestamp not below, milliseconds since the epoch.
    Time(i64),
}

impl Start {
    /// At an offset, verified where the leader epoch of what was read before it is known.
    #[must_use]
    pub fn at(offset: i64, leader_epoch: Option<i32>) -> Self {
        match leader_epoch {
            Some(leader_epoch) => Self::Verified {
                offset,
                leader_epoch,
            },
            None => Self::Offset(offset),
        }
    }

    /// The offset, where it is known without asking a broker.
    #[must_use]
    pub fn offset(self) -> Option<i64> {
        match self {
            Self::Offset(offset) | Self::Verified { offset, .. } => Some(offset),
            Self::Earliest | Self::Latest | Self::Time(_) => None,
        }
    }

    /// The leader epoch to verify the offset by.
    #[must_use]
    pub fn leader_epoch(self) -> Option<i32> {
        match self {
            Self::Verified { leader_epoch, .. } => Some(leader_epoch),
            _ => None,
        }
    }
}

/// How far [`Broker::replay`] got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replayed {
    /// To the end: the next offset.
    Whole(i64),
    /// Up to this offset, behind which a transaction is open that has not ended within a moment.
    Held(i64),
    /// The offset asked for is not there: before the oldest or behind the newest record.
    Gone,
}

/// A record to be produced within the present transaction.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing<'a> {
    /// Where to.
    pub topic: Topic,
    /// Which partition of it.
    pub partition: u32,
    /// Its key, if it has one.
    pub key: Option<&'a [u8]>,
    /// `None`: a tombstone.
    pub value: Option<&'a [u8]>,
    /// Headers in order.
    pub headers: &'a [(&'a str, &'a [u8])],
}

/// What the caller must do next is what tells errors apart.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Another process has taken over this worker's transactional id or `group.instance.id`: build a new client.
    #[error("{0}; the worker starts again with a new client")]
    Fenced(String),
    /// This worker's client is of no more use: build a new one.
    #[error("{0}; the worker starts again with a new client")]
    Fatal(String),
    /// The transaction is void: abort, take back what it did, go on.
    #[error("{0}; the transaction is aborted and done again")]
    Abort(String),
    /// Nothing here can help: wrong password, missing topic, no permission.
    #[error("{0}")]
    Config(String),
}

/// One worker's view of a broker.
pub trait Broker {
    /// Waits at most `patience` for something to happen and clears and fills `batch` with at most
    /// `limit` records. Partitions are read in step: of those with records at hand, the one that
    /// [`Broker::lead`] says is furthest behind comes first.
    ///
    /// # Errors
    /// See [`Failure`].
    fn poll(
        &mut self,
        patience: Duration,
        limit: usize,
        batch: &mut Batch,
    ) -> Result<WorkerEvent, Failure>;

    /// Acknowledges an assignment (an empty one too) by reading these sources from there on. A
    /// source that is open already starts again where it is told; the others go on undisturbed,
    /// also where an eager revocation came in between: [`Broker::close`] alone ends a source.
    ///
    /// # Errors
    /// See [`Failure`].
    fn open(&mut self, reads: &[(TopicPartition, Start)]) -> Result<(), Failure>;

    /// Acknowledges a revocation or loss by reading from these sources no more.
    ///
    /// # Errors
    /// See [`Failure`].
    fn close(&mut self, sources: &[TopicPartition]) -> Result<(), Failure>;

    /// Says how far in event time a source has been processed, milliseconds since the epoch.
    fn report_progress(&mut self, source: TopicPartition, event_time_ms: i64);

    /// Says of which sources [`Broker::poll`] is to give no records for now, in place of what was said before.
    fn pause(&mut self, sources: &[TopicPartition]);

    /// The next offset to read of an open source where that is further than the last record handed out:
    /// past control records and what was aborted. It is the one to keep, since retention may leave
    /// nothing but a control record behind, and the offset before it is then gone.
    fn position(&self, _source: TopicPartition) -> Option<i64> {
        None
    }

    /// Leader epoch up to which an open source was read, to be kept with its position; `None` where it is not known.
    fn leader_epoch(&self, _source: TopicPartition) -> Option<i32> {
        None
    }

    /// The latest time that the brokers themselves have stamped a record with which was handed out, milliseconds
    /// since the epoch; `None` where there was none, as with topics whose records carry the producers' time.
    fn log_append_ms(&self) -> Option<i64> {
        None
    }

    /// Number of the group's present round of assignments, one more with each; `None` where it is not
    /// known. Whoever was told of round n and then of n + 1 has missed none in between, in which others
    /// may have worked on what it has handed over.
    fn generation(&self) -> Option<i64> {
        None
    }

    /// Every committed record of a source from an offset on (`None`: from the oldest), oldest first, up
    /// to its end as of now.
    ///
    /// # Errors
    /// See [`Failure`].
    fn replay(
        &mut self,
        source: TopicPartition,
        from: Option<i64>,
        each: &mut dyn FnMut(Record<'_>),
    ) -> Result<Replayed, Failure>;

    /// As [`Broker::replay`] of each of these sources, of all at once where that is quicker: the records of
    /// different sources then come as they come. How far each got, in order.
    ///
    /// # Errors
    /// See [`Failure`].
    fn replay_all(
        &mut self,
        reads: &[(TopicPartition, Option<i64>)],
        each: &mut dyn FnMut(Record<'_>),
    ) -> Result<Vec<Replayed>, Failure> {
        let replay =
            |(source, from): &(TopicPartition, Option<i64>)| self.replay(*source, *from, each);
        reads.iter().map(replay).collect()
    }

    /// Every record of a source from an offset on, committed or not: for who has a transaction open there.
    /// Says nothing where it cannot tell, or not soon.
    ///
    /// # Errors
    /// See [`Failure`].
    fn read_uncommitted(
        &mut self,
        _source: TopicPartition,
        _from: i64,
        _each: &mut dyn FnMut(Record<'_>),
    ) -> Result<(), Failure> {
        Ok(())
    }

    /// The offset behind the newest record of each source, committed or not.
    ///
    /// # Errors
    /// See [`Failure`].
    fn end_offsets(&mut self, sources: &[TopicPartition]) -> Result<Vec<i64>, Failure>;

    /// What tells a topic from another of the same name, made before or after or on another cluster.
    ///
    /// # Errors
    /// See [`Failure`].
    fn topic_id(&mut self, topic: Topic) -> Result<String, Failure>;

    /// The name under which this worker's transactions stand, which no other has: see [`Broker::evict`].
    fn transactional_id(&self) -> &str;

    /// Ends the transaction that somebody has open under this name, and fences whoever it is.
    ///
    /// # Errors
    /// See [`Failure`].
    fn fence(&mut self, name: &str) -> Result<(), Failure>;

    /// Produces a record, beginning a transaction if none is open. Delivery is known at commit.
    ///
    /// # Errors
    /// See [`Failure`].
    fn send(&mut self, record: Outgoing<'_>) -> Result<(), Failure>;

    /// The largest record that a topic takes, as far as is known: bytes of key, value and headers.
    fn max_record_bytes(&self, _topic: Topic) -> usize {
        usize::MAX
    }

    /// Commits the open transaction (or a new empty one) together with the next offset to read of
    /// each source given, under the consumer group.
    ///
    /// # Errors
    /// See [`Failure`].
    fn commit(&mut self, positions: &[(TopicPartition, i64)]) -> Result<(), Failure>;

    /// Aborts the open transaction, if any.
    ///
    /// # Errors
    /// See [`Failure`].
    fn abort(&mut self) -> Result<(), Failure>;

    /// Partitions of a topic as of now.
    ///
    /// # Errors
    /// See [`Failure`].
    fn partitions(&mut self, topic: Topic) -> Result<u32, Failure>;

    /// Records behind the end of a source, where it is known.
    fn lag(&self, source: TopicPartition) -> Option<u64>;

    /// Open sources that are read no more since records are lost: retention removed the next one before it was
    /// read, or the partition was truncated or made anew. They stay so until they are opened again.
    fn halted(&self) -> Vec<TopicPartition> {
        Vec::new()
    }

    /// Are records that are gone unread skipped? Otherwise their partition is not read any further.
    fn skips_lost_records(&self) -> bool {
        false
    }

    /// Leaves the group in good order: what is assigned is revoked through [`Broker::poll`] first.
    /// Returns `true` once there is nothing left to serve; call [`Broker::poll`] until then.
    fn leave(&mut self) -> bool;
}

/// Reads committed records of partitions as they come, as a member of no group: for standbys.
pub trait Follower {
    /// Reads these from these offsets on (`None`: from the oldest) in place of what was read before; a
    /// source that was read already goes on where it is.
    ///
    /// # Errors
    /// See [`Failure`].
    fn follow(&mut self, reads: &[(TopicPartition, Option<i64>)]) -> Result<(), Failure>;

    /// Waits at most `patience` and clears and fills `batch` with at most `limit` records.
    ///
    /// # Errors
    /// See [`Failure`]. [`Failure::Fatal`]: the record to go on at is gone, and what was made of those before
    /// it is of no use.
    fn poll(&mut self, patience: Duration, limit: usize, batch: &mut Batch) -> Result<(), Failure>;
}
