//! A changelog that is made again under a running worker: what is in memory belongs to the former one.

use crate::broker::{Broker, Failure};
use crate::topics::Topic;
use crate::worker::Worker;

impl<B: Broker> Worker<B> {
    /// Checks that the changelog is still the one that the tasks were restored from.
    ///
    /// # Errors
    /// [`Failure::Config`] where it is gone or another one: rows written to that would be half of the state.
    pub(crate) fn check_changelog_id(&mut self) -> Result<(), Failure> {
        let restored_from = self.changelog_id()?;
        match self.broker.topic_id(Topic::Changelog) {
            Ok(found) if found == restored_from => Ok(()),
            Ok(_) => Err(Failure::Config(format!(
                "topic {name} was deleted and made again while this pipeline was running: customers in memory are not in \
                 it. Stop all instances, then bring the former topic back or run `flockwise reset`",
                name = self.pipeline.topics.name(Topic::Changelog)
            ))),
            Err(gone @ Failure::Config(_)) => Err(gone),
            Err(failure) => {
                tracing::debug!("the changelog cannot be looked at: {failure}");
                Ok(())
            }
        }
    }
}
