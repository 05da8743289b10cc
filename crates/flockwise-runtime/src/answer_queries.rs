//! How a worker answers queries about its customers.

use crate::broker::Broker;
use crate::queries::{Answer, CustomerAnswer, QueryError};
use crate::worker::Worker;

impl<B: Broker> Worker<B> {
    /// Answers one query, if there is one. Every step of the loop does this; code that drives a worker itself may call
    /// it between steps.
    pub fn answer(&self) {
        let Some(query) = self.queries.pop() else {
            return;
        };
        let answer = self.answer_about(&query.customer_id);
        // Fails if the asker has stopped waiting.
        drop(query.answers.try_send(answer));
    }

    fn answer_about(&self, customer_id: &str) -> Answer {
        if !self.tasks.is_assigned() {
            return Err(QueryError::Unsettled);
        }
        let task = self.pipeline.owner(customer_id);
        let Some(running) = self.tasks.get(task) else {
            return Err(QueryError::Elsewhere { task });
        };
        let model = self.model.versions().map(|versions| &*versions.current);
        let description = running.task().describe(customer_id, model);
        Ok(Box::new(CustomerAnswer {
            told: description.ok_or(QueryError::Unknown)?,
            versions: self.model.versions().cloned(),
        }))
    }
}
