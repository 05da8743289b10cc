//! Queries about customers, which other threads send to the workers of this process.
//!
//! Each worker has a short queue and answers at most one query in each step of its loop: it describes a customer of its
//! own, or replies that it does not own the task. A query changes nothing. The answer may be ahead of the last commit.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use flockwise_core::task::{CustomerDescription, Versions};
use flockwise_vocabulary::task_id::TaskId;

use crate::clock::Clock;

/// Queries that wait for one worker, at most.
const MAX_WAITING: usize = 32;

/// The query queues of all workers of a process. Clones share them.
#[derive(Clone, Debug)]
pub struct Queries {
    queues: Arc<[QueryQueue]>,
    clock: Clock,
}

/// The answer to a query: a customer, and the model versions that name its segments.
#[derive(Clone, Debug)]
pub struct CustomerAnswer {
    /// The customer, with an explanation of the segment.
    pub told: CustomerDescription,
    /// The model in use, if there is one yet.
    pub versions: Option<Versions>,
}

/// Why a query has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// A worker of this process owns the customer's task, and there is no such customer.
    #[error("there is no such customer")]
    Unknown,
    /// No worker of this process owns the customer's task.
    #[error(
        "the customer belongs to task {task}, which this instance does not own: ask another instance"
    )]
    Elsewhere {
        /// The number of the task.
        task: TaskId,
    },
    /// A worker waits for its assignment: the group rebalances.
    #[error("tasks are being assigned: try again in a moment")]
    Unsettled,
    /// The queue of a worker is full.
    #[error("too many queries are waiting: try again in a moment")]
    Busy,
    /// A worker did not answer in time.
    #[error("no answer in time, perhaps because tasks are being restored: try again in a moment")]
    Late,
}

/// One worker's queue. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct QueryQueue(Arc<Queue>);

#[derive(Debug, Default)]
struct Queue {
    /// Length of `queries`, readable without the lock.
    waiting: AtomicUsize,
    queries: Mutex<VecDeque<CustomerQuery>>,
}

/// A query in a queue.
#[derive(Debug)]
pub(crate) struct CustomerQuery {
    pub(crate) customer_id: Arc<str>,
    pub(crate) answers: SyncSender<Answer>,
    /// Dangling once the asker no longer waits.
    asker: Weak<()>,
}

/// What a worker answers.
pub(crate) type Answer = Result<Box<CustomerAnswer>, QueryError>;

impl Queries {
    /// Empty queues for this number of workers.
    #[must_use]
    pub fn new(workers: usize) -> Self {
        Self {
            queues: (0..workers).map(|_| QueryQueue::default()).collect(),
            clock: Clock::System,
        }
    }

    pub(crate) fn queue(&self, worker: usize) -> QueryQueue {
        self.queues.get(worker).cloned().unwrap_or_default()
    }

    /// Asks all workers, and waits up to `patience` for the one that owns the customer's task.
    ///
    /// # Errors
    /// If there is no such customer, the task is not here, or no worker can tell at the moment: see [`QueryError`].
    pub fn ask(
        &self,
        customer_id: &str,
        patience: Duration,
    ) -> Result<Box<CustomerAnswer>, QueryError> {
        // There is room for an answer of each worker, so that none blocks on sending it.
        let (answers, received) = sync_channel(self.queues.len());
        let (asker, start) = (Arc::new(()), self.clock.now());
        let customer_id = Arc::from(customer_id);
        for query_queue in self.queues.iter() {
            let query = CustomerQuery {
                customer_id: Arc::clone(&customer_id),
                answers: answers.clone(),
                asker: Arc::downgrade(&asker),
            };
            if !query_queue.push(query) {
                // Received below, with the answers of the others.
                drop(answers.try_send(Err(QueryError::Busy)));
            }
        }
        let mut error = None;
        for _ in self.queues.iter() {
            let left = patience.saturating_sub(self.clock.since(start));
            match received.recv_timeout(left) {
                Ok(Err(found @ QueryError::Elsewhere { .. })) => error = error.or(Some(found)),
                Ok(Err(found @ (QueryError::Unsettled | QueryError::Busy))) => error = Some(found),
                Ok(answer) => return answer,
                Err(_) => return Err(QueryError::Late),
            }
        }
        Err(error.unwrap_or(QueryError::Unsettled))
    }
}

impl QueryQueue {
    /// Appends a query; `false` if the queue is full. Drops queries that nobody waits for.
    fn push(&self, query: CustomerQuery) -> bool {
        let mut queries = self.lock();
        queries.retain(|query| query.asker.strong_count() > 0);
        let has_room = queries.len() < MAX_WAITING;
        if has_room {
            queries.push_back(query);
        }
        self.0.waiting.store(queries.len(), Ordering::Relaxed);
        has_room
    }

    /// Is the queue empty? Cheap, without a lock: the worker asks in every step.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.waiting.load(Ordering::Relaxed) == 0
    }

    /// Removes the first query that somebody still waits for.
    pub(crate) fn pop(&self) -> Option<CustomerQuery> {
        if self.is_empty() {
            return None;
        }
        let mut queries = self.lock();
        queries.retain(|query| query.asker.strong_count() > 0);
        let query = queries.pop_front();
        self.0.waiting.store(queries.len(), Ordering::Relaxed);
        query
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<CustomerQuery>> {
        self.0
            .queries
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BRIEFLY: Duration = Duration::from_millis(1);

    #[test]
    fn nobody_waits_for_ever_and_a_queue_has_an_end() {
        let queries = Queries::new(1);
        assert_eq!(queries.ask("ann", BRIEFLY).unwrap_err(), QueryError::Late);
        let (answers, _answered) = sync_channel(MAX_WAITING);
        let asker = Arc::new(());
        let query_queue = queries.queue(0);
        let push = || {
            query_queue.push(CustomerQuery {
                customer_id: Arc::from("ann"),
                answers: answers.clone(),
                asker: Arc::downgrade(&asker),
            })
        };
        assert!((0..MAX_WAITING).all(|_| push()));
        assert!(!push());
        assert_eq!(queries.ask("ann", BRIEFLY).unwrap_err(), QueryError::Busy);
        // A query that nobody waits for is dropped.
        drop(asker);
        assert!(query_queue.pop().is_none());
        assert_eq!(queries.ask("ann", BRIEFLY).unwrap_err(), QueryError::Late);
    }

    #[test]
    fn what_a_shard_cannot_say_now_counts_for_more_than_that_another_does_not_have_it() {
        let queries = Queries::new(3);
        let answers = [
            QueryError::Unsettled,
            QueryError::Elsewhere { task: TaskId(4) },
            QueryError::Elsewhere { task: TaskId(4) },
        ];
        std::thread::scope(|scope| {
            for (worker, answer) in answers.into_iter().enumerate() {
                let query_queue = queries.queue(worker);
                scope.spawn(move || {
                    let query = loop {
                        if let Some(query) = query_queue.pop() {
                            break query;
                        }
                        std::thread::yield_now();
                    };
                    query.answers.send(Err(answer)).unwrap();
                });
            }
            let found = queries.ask("ann", Duration::from_secs(20));
            assert_eq!(found.unwrap_err(), QueryError::Unsettled);
        });
    }
}
