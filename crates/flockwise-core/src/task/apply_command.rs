//! How a task applies a command.

use super::command::TaskCommand;
use super::{Output, Task, Versions};
use crate::decide::Cause;

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
