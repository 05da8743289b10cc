//! Notices a changelog that is recreated while a worker runs.

use crate::broker::{Broker, Failure};
use crate::topics::Topic;
use crate::worker::Worker;

impl<B: Broker> Worker<B> {
    /// Checks that the changelog is still the topic that the tasks were restored from.
    ///
    /// # Errors
    /// [`Failure::Config`] if it is gone or was recreated: rows written to the new one would be half of the state.
    pub(crate) fn check_changelog_id(&mut self) -> Result<(), Failure> {
        let restored_from = self.changelog_id()?;
        match self.broker.topic_id(Topic::Changelog) {
            Ok(found) if found == restored_from => Ok(()),
            Ok(_) => Err(Failure::Config(format!(
                "topic {name} was deleted and recreated while this pipeline was running: it lacks the customers that are \
                 in memory. Stop all instances, then bring the former topic back or run `flockwise reset`",
                name = self.pipeline.topics.name(Topic::Changelog)
            ))),
            Err(gone @ Failure::Config(_)) => Err(gone),
            Err(error) => {
                tracing::debug!(%error, "cannot get the id of the changelog");
                Ok(())
            }
        }
    }
}
