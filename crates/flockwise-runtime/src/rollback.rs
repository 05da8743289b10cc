//! What rolls back when a transaction is aborted: all that has changed in memory since the last commit.

use crate::broker::{Broker, Failure};
use crate::worker::Worker;

impl<B: Broker> Worker<B> {
    /// Returns to the last commit after an abort.
    pub(crate) fn roll_back(&mut self) -> Result<(), Failure> {
        self.broker.abort()?;
        self.roll_back_state();
        self.reopen()
    }

    /// Rolls back everything in memory. The broker has aborted the transaction.
    pub(crate) fn roll_back_state(&mut self) {
        self.transaction.roll_back();
        self.tasks.roll_back();
        self.output = Default::default();
        self.roll_back_watermarks();
    }

    /// Reads on from the tasks' positions, with the trainer as of the last version. What looks like a truncated input
    /// may be another topic of the same name.
    pub(crate) fn reopen(&mut self) -> Result<(), Failure> {
        self.look_at_topic_ids_if_told();
        let mut reads = Vec::new();
        for task_id in self.tasks.ids() {
            reads.extend(self.task_reads(task_id)?);
        }
        if self.trainer.is_running() {
            self.trainer.stop();
            self.load_model(false)?;
            reads.push(self.open_trainer()?);
        }
        // Versions that were polled in the aborted transaction are read again.
        reads.push(self.model.read());
        self.open(&reads)
    }
}
