//! What others tell a task to do.

use super::{Output, Task, Versions};
use crate::decide::Cause;

/// A command to a task. The task applies it in the order of its repartition partition, once, and takes it back if the
/// transaction is aborted. No command advances stream time: only events and the clock do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TaskCommand {
    /// Remove a customer with all that the task keeps: features, segment, dedup memory. If another event of the
    /// customer is read later, a new customer begins.
    Erase {
        /// The customer's id.
        customer_id: String,
        /// When the command was given, milliseconds since the epoch.
        at_ms: i64,
    },
}

impl TaskCommand {
    /// The names of all commands, in the order of [`TaskCommand::index`].
    pub const NAMES: [&str; 1] = ["erase"];

    /// The place of this command's name in [`TaskCommand::NAMES`].
    #[must_use]
    pub fn index(&self) -> usize {
        match self {
            Self::Erase { .. } => 0,
        }
    }
}

impl Task {
    /// Applies a command. One about an unknown customer changes nothing.
    pub fn apply(
        &mut self,
        command: &TaskCommand,
        versions: Option<&Versions>,
        output: &mut Output,
    ) {
        match command {
            TaskCommand::Erase { customer_id, at_ms } => {
                self.erase(customer_id, *at_ms, versions, output);
            }
        }
    }

    fn erase(
        &mut self,
        customer_id: &str,
        at_ms: i64,
        versions: Option<&Versions>,
        output: &mut Output,
    ) {
        let Some(row) = self.rows.find(customer_id) else {
            return;
        };
        self.note_version(versions);
        // A sweep that is due comes first, so that slices do not change any result. It may find the customer expired.
        self.visit_before(row, self.position.stream_ms, versions, output);
        if !self.rows.is_live(row) {
            return;
        }
        let at_ms = at_ms.max(self.rows.standing(row).as_of_ms);
        self.remove_with_change(row, (at_ms, Cause::Erasure), versions, output);
    }
}
