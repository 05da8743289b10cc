//! Which store handle may write a task's checkpoint.

use std::collections::BTreeMap;

use flockwise_vocabulary::task_id::TaskId;

/// The owner of each task's checkpoint: the store handle that loaded the task last. Writes of any other handle are
/// outdated and would replace newer records, so a store drops them.
#[derive(Clone, Debug, Default)]
pub struct CheckpointOwners {
    owners: BTreeMap<TaskId, u64>,
}

impl CheckpointOwners {
    /// Makes a handle the task's owner, in place of the former one.
    pub fn take(&mut self, task: TaskId, handle: u64) {
        self.owners.insert(task, handle);
    }

    /// Makes a handle the task's owner if the task has none. Returns whether it is the owner now.
    pub fn claim(&mut self, task: TaskId, handle: u64) -> bool {
        self.owners.entry(task).or_insert(handle);
        self.owns(task, handle)
    }

    /// Removes the task's owner if it is this handle. Returns whether it was.
    pub fn release(&mut self, task: TaskId, handle: u64) -> bool {
        let was_owner = self.owns(task, handle);
        if was_owner {
            self.owners.remove(&task);
        }
        was_owner
    }

    /// Removes the owner of every task that this handle owns. Returns the tasks, in ascending order.
    pub fn release_all(&mut self, handle: u64) -> Vec<TaskId> {
        let owned = self.owners.iter().filter(|(_, owner)| **owner == handle);
        let tasks: Vec<TaskId> = owned.map(|(task, _)| *task).collect();
        self.owners.retain(|_, owner| *owner != handle);
        tasks
    }

    /// Is this handle the task's owner?
    #[must_use]
    pub fn owns(&self, task: TaskId, handle: u64) -> bool {
        self.owners.get(&task) == Some(&handle)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_handle_that_loaded_last_owns_the_copy() {
        let mut ownership = CheckpointOwners::default();
        ownership.take(TaskId(1), 10);
        ownership.take(TaskId(1), 11);
        assert!(!ownership.owns(TaskId(1), 10) && ownership.owns(TaskId(1), 11));
        assert!(!ownership.claim(TaskId(1), 10) && !ownership.release(TaskId(1), 10));
        assert!(ownership.release(TaskId(1), 11) && ownership.claim(TaskId(1), 10));
        ownership.take(TaskId(2), 10);
        ownership.take(TaskId(3), 11);
        assert_eq!(ownership.release_all(10), [1, 2].map(TaskId));
        assert!(!ownership.owns(TaskId(1), 10) && ownership.owns(TaskId(3), 11));
    }
}
