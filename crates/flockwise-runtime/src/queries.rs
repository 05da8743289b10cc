//! Questions about customers, put to the workers of this process from other threads.
//!
//! Each worker has a short queue, and answers one question a turn at most: about a customer of its own, or that it has
//! no such task. Asking changes nothing. An answer is what the worker knows now, which may be ahead of its last commit.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use flockwise_core::task::{CustomerDescription, Versions};

use crate::broker::Broker;
use crate::clock::Clock;
use crate::worker::Worker;

/// Questions that wait for one worker, at most.
const MAX_WAITING: usize = 32;

/// Where questions are left; clones are the same place.
#[derive(Clone, Debug)]
pub struct Queries {
    queues: Arc<[QueryQueue]>,
    clock: Clock,
}

/// A customer, and the versions of the model that the names of segments are taken from.
#[derive(Clone, Debug)]
pub struct CustomerAnswer {
    /// Where and why.
    pub told: CustomerDescription,
    /// The model in use, if there is one yet.
    pub versions: Option<Versions>,
}

/// Why a question has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// The customer's task is here, and knows no such customer.
    #[error("there is no such customer")]
    Unknown,
    /// The customer's task is not of this process.
    #[error(
        "the customer belongs to task {task}, which this instance does not have: ask the others"
    )]
    Elsewhere {
        /// Its number.
        task: u32,
    },
    /// Workers wait for their tasks to be shared out.
    #[error("tasks are being shared out: ask again in a moment")]
    Unsettled,
    /// Too many questions.
    #[error("too many questions at once: ask again in a moment")]
    Busy,
    /// A worker does not answer in time.
    #[error("no answer in time, as while tasks are being restored: ask again in a moment")]
    Late,
}

/// One worker's queue; clones are the same one.
#[derive(Clone, Debug, Default)]
pub(crate) struct QueryQueue(Arc<Queue>);

#[derive(Debug, Default)]
struct Queue {
    /// How many there are, to be looked at without a lock.
    waiting: AtomicUsize,
    queries: Mutex<VecDeque<Query>>,
}

#[derive(Debug)]
struct Query {
    customer_id: Arc<str>,
    answers: SyncSender<Answer>,
    /// Gone when nobody waits any more.
    asker: Weak<()>,
}

type Answer = Result<Box<CustomerAnswer>, QueryError>;

impl Queries {
    /// To so many workers.
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

    /// Asks all workers, and waits for the one that has the customer's task.
    ///
    /// # Errors
    /// Where there is no such customer, where the task is not here, and where nobody can say so at the moment.
    pub fn ask(
        &self,
        customer_id: &str,
        patience: Duration,
    ) -> Result<Box<CustomerAnswer>, QueryError> {
        // With a place for each of them no worker ever waits to be heard.
        let (answers, answered) = sync_channel(self.queues.len());
        let (asker, start) = (Arc::new(()), self.clock.now());
        let customer_id = Arc::from(customer_id);
        for query_queue in self.queues.iter() {
            let query = Query {
                customer_id: Arc::clone(&customer_id),
                answers: answers.clone(),
                asker: Arc::downgrade(&asker),
            };
            if !query_queue.leave(query) {
                // Heard below, with what the others say.
                drop(answers.try_send(Err(QueryError::Busy)));
            }
        }
        let mut why = None;
        for _ in self.queues.iter() {
            let left = patience.saturating_sub(self.clock.since(start));
            match answered.recv_timeout(left) {
                Ok(Err(found @ QueryError::Elsewhere { .. })) => why = why.or(Some(found)),
                Ok(Err(found @ (QueryError::Unsettled | QueryError::Busy))) => why = Some(found),
                Ok(answer) => return answer,
                Err(_) => return Err(QueryError::Late),
            }
        }
        Err(why.unwrap_or(QueryError::Unsettled))
    }
}

impl QueryQueue {
    /// `false` where too many wait.
    fn leave(&self, query: Query) -> bool {
        let mut queries = self.lock();
        queries.retain(|query| query.asker.strong_count() > 0);
        let has_room = queries.len() < MAX_WAITING;
        if has_room {
            queries.push_back(query);
        }
        self.0.waiting.store(queries.len(), Ordering::Relaxed);
        has_room
    }

    /// Does nobody wait? Looked at without a lock, every turn.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.waiting.load(Ordering::Relaxed) == 0
    }

    /// The first that somebody still waits for.
    fn take(&self) -> Option<Query> {
        if self.is_empty() {
            return None;
        }
        let mut queries = self.lock();
        queries.retain(|query| query.asker.strong_count() > 0);
        let query = queries.pop_front();
        self.0.waiting.store(queries.len(), Ordering::Relaxed);
        query
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Query>> {
        self.0
            .queries
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl<B: Broker> Worker<B> {
    /// Answers a question, if there is one. The loop does so every turn; whoever drives a worker otherwise may do it
    /// where there is no turn to take.
    pub fn answer(&self) {
        let Some(query) = self.queries.take() else {
            return;
        };
        let answer = self.answer_about(&query.customer_id);
        // Who asked may have gone meanwhile.
        drop(query.answers.try_send(answer));
    }

    fn answer_about(&self, customer_id: &str) -> Answer {
        if !self.tasks.is_assigned() {
            return Err(QueryError::Unsettled);
        }
        let task = self.pipeline.home(customer_id);
        let Some(running) = self.tasks.get(task) else {
            return Err(QueryError::Elsewhere { task });
        };
        let model = self.model.versions().map(|versions| &*versions.current);
        let told = running.task().describe(customer_id, model);
        let told = told.ok_or(QueryError::Unknown)?;
        Ok(Box::new(CustomerAnswer {
            told,
            versions: self.model.versions().cloned(),
        }))
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
        let leave = || {
            query_queue.leave(Query {
                customer_id: Arc::from("ann"),
                answers: answers.clone(),
                asker: Arc::downgrade(&asker),
            })
        };
        assert!((0..MAX_WAITING).all(|_| leave()));
        assert!(!leave());
        assert_eq!(queries.ask("ann", BRIEFLY).unwrap_err(), QueryError::Busy);
        // Nobody is told what nobody waits for.
        drop(asker);
        assert!(query_queue.take().is_none());
        assert_eq!(queries.ask("ann", BRIEFLY).unwrap_err(), QueryError::Late);
    }

    #[test]
    fn what_a_shard_cannot_say_now_counts_for_more_than_that_another_does_not_have_it() {
        let queries = Queries::new(3);
        let answers = [
            QueryError::Unsettled,
            QueryError::Elsewhere { task: 4 },
            QueryError::Elsewhere { task: 4 },
        ];
        std::thread::scope(|scope| {
            for (worker, answer) in answers.into_iter().enumerate() {
                let query_queue = queries.queue(worker);
                scope.spawn(move || {
                    let query = loop {
                        if let Some(query) = query_queue.take() {
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
