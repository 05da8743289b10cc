//! Which task of a pipeline.

use std::fmt;

/// A task of a pipeline. Its number, from 0, is that of its partition of the repartition, changelog, segment-changes
/// and dead-letters topics.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TaskId(pub u32);

impl TaskId {
    /// All tasks of a pipeline that has this number of them, ascending.
    pub fn all(tasks: u32) -> impl DoubleEndedIterator<Item = Self> + Clone {
        (0..tasks).map(Self)
    }
}

/// The number alone: logs list the tasks of a worker.
impl fmt::Debug for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
