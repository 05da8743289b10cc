//! Questions about customers, put to the shards of this process from other threads.
//!
//! Each shard has a short queue, and answers one question a turn at most: about a customer of its own, or that it has
//! no such task. Asking changes nothing. An answer is what the shard knows now, which may be ahead of its last commit.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use flockwise_core::task::{Told, Versions};

use crate::broker::Broker;
use crate::clock::Clock;
use crate::shard::Shard;

/// Questions that wait for one shard, at most.
const WAITING: usize = 32;

/// Where questions are left; clones are the same place.
#[derive(Clone, Debug)]
pub struct Questions {
    desks: Arc<[Desk]>,
    clock: Clock,
}

/// A customer, and the versions of the model that the names of segments are taken from.
#[derive(Clone, Debug)]
pub struct Known {
    /// Where and why.
    pub told: Told,
    /// The model in use, if there is one yet.
    pub versions: Option<Versions>,
}

/// Why a question has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unanswered {
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
    /// Shards wait for their tasks to be shared out.
    #[error("tasks are being shared out: ask again in a moment")]
    Unsettled,
    /// Too many questions.
    #[error("too many questions at once: ask again in a moment")]
    Busy,
    /// A shard does not answer in time.
    #[error("no answer in time, as while tasks are being restored: ask again in a moment")]
    Late,
}

/// One shard's queue; clones are the same one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Desk(Arc<Queue>);

#[derive(Debug, Default)]
struct Queue {
    /// How many there are, to be looked at without a lock.
    waiting: AtomicUsize,
    questions: Mutex<VecDeque<Question>>,
}

#[derive(Debug)]
struct Question {
    customer_id: Arc<str>,
    answers: SyncSender<Answer>,
    /// Gone when nobody waits any more.
    asker: Weak<()>,
}

type Answer = Result<Box<Known>, Unanswered>;

impl Questions {
    /// To so many shards.
    #[must_use]
    pub fn new(shards: usize) -> Self {
        Self {
            desks: (0..shards).map(|_| Desk::default()).collect(),
            clock: Clock::System,
        }
    }

    pub(crate) fn desk(&self, shard: usize) -> Desk {
        self.desks.get(shard).cloned().unwrap_or_default()
    }

    /// Asks all shards, and waits for the one that has the customer's task.
    ///
    /// # Errors
    /// Where there is no such customer, where the task is not here, and where nobody can say so at the moment.
    pub fn ask(&self, customer_id: &str, patience: Duration) -> Result<Box<Known>, Unanswered> {
        // With a place for each of them no shard ever waits to be heard.
        let (answers, answered) = sync_channel(self.desks.len());
        let (asker, start) = (Arc::new(()), self.clock.now());
        let customer_id = Arc::from(customer_id);
        for desk in self.desks.iter() {
            let question = Question {
                customer_id: Arc::clone(&customer_id),
                answers: answers.clone(),
                asker: Arc::downgrade(&asker),
            };
            if !desk.leave(question) {
                // Heard below, with what the others say.
                drop(answers.try_send(Err(Unanswered::Busy)));
            }
        }
        let mut why = None;
        for _ in self.desks.iter() {
            let left = patience.saturating_sub(self.clock.since(start));
            match answered.recv_timeout(left) {
                Ok(Err(found @ Unanswered::Elsewhere { .. })) => why = why.or(Some(found)),
                Ok(Err(found @ (Unanswered::Unsettled | Unanswered::Busy))) => why = Some(found),
                Ok(answer) => return answer,
                Err(_) => return Err(Unanswered::Late),
            }
        }
        Err(why.unwrap_or(Unanswered::Unsettled))
    }
}

impl Desk {
    /// `false` where too many wait.
    fn leave(&self, question: Question) -> bool {
        let mut questions = self.lock();
        questions.retain(|question| question.asker.strong_count() > 0);
        let has_room = questions.len() < WAITING;
        if has_room {
            questions.push_back(question);
        }
        self.0.waiting.store(questions.len(), Ordering::Relaxed);
        has_room
    }

    /// Does nobody wait? Looked at without a lock, every turn.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.waiting.load(Ordering::Relaxed) == 0
    }

    /// The first that somebody still waits for.
    fn take(&self) -> Option<Question> {
        if self.is_empty() {
            return None;
        }
        let mut questions = self.lock();
        questions.retain(|question| question.asker.strong_count() > 0);
        let question = questions.pop_front();
        self.0.waiting.store(questions.len(), Ordering::Relaxed);
        question
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Question>> {
        self.0
            .questions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl<B: Broker> Shard<B> {
    /// Answers a question, if there is one. The loop does so every turn; whoever drives a shard otherwise may do it
    /// where there is no turn to take.
    pub fn answer(&self) {
        let Some(question) = self.desk.take() else {
            return;
        };
        let answer = self.answer_about(&question.customer_id);
        // Who asked may have gone meanwhile.
        drop(question.answers.try_send(answer));
    }

    fn answer_about(&self, customer_id: &str) -> Answer {
        if !self.is_assigned {
            return Err(Unanswered::Unsettled);
        }
        let task = self.pipeline.home(customer_id);
        let Some(open) = self.tasks.get(&task) else {
            return Err(Unanswered::Elsewhere { task });
        };
        let model = self.versions.as_ref().map(|versions| &*versions.current);
        let told = open.task.tell(customer_id, model);
        let told = told.ok_or(Unanswered::Unknown)?;
        Ok(Box::new(Known {
            told,
            versions: self.versions.clone(),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BRIEFLY: Duration = Duration::from_millis(1);

    #[test]
    fn nobody_waits_for_ever_and_a_queue_has_an_end() {
        let questions = Questions::new(1);
        assert_eq!(questions.ask("ann", BRIEFLY).unwrap_err(), Unanswered::Late);
        let (answers, _answered) = sync_channel(WAITING);
        let asker = Arc::new(());
        let desk = questions.desk(0);
        let leave = || {
            desk.leave(Question {
                customer_id: Arc::from("ann"),
                answers: answers.clone(),
                asker: Arc::downgrade(&asker),
            })
        };
        assert!((0..WAITING).all(|_| leave()));
        assert!(!leave());
        assert_eq!(questions.ask("ann", BRIEFLY).unwrap_err(), Unanswered::Busy);
        // Nobody is told what nobody waits for.
        drop(asker);
        assert!(desk.take().is_none());
        assert_eq!(questions.ask("ann", BRIEFLY).unwrap_err(), Unanswered::Late);
    }

    #[test]
    fn what_a_shard_cannot_say_now_counts_for_more_than_that_another_does_not_have_it() {
        let questions = Questions::new(3);
        let answers = [
            Unanswered::Unsettled,
            Unanswered::Elsewhere { task: 4 },
            Unanswered::Elsewhere { task: 4 },
        ];
        std::thread::scope(|scope| {
            for (shard, answer) in answers.into_iter().enumerate() {
                let desk = questions.desk(shard);
                scope.spawn(move || {
                    let question = loop {
                        if let Some(question) = desk.take() {
                            break question;
                        }
                        std::thread::yield_now();
                    };
                    question.answers.send(Err(answer)).unwrap();
                });
            }
            let found = questions.ask("ann", Duration::from_secs(20));
            assert_eq!(found.unwrap_err(), Unanswered::Unsettled);
        });
    }
}
