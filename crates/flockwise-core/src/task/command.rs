//! What others tell a task to do.

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
