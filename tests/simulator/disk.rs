//! The simulated disk of an instance, and the checkpoint store that its workers use.
//!
//! A write becomes durable after a delay. A crash before that loses it completely or not at all. The disk survives
//! its instance and belongs to no other. After a restart it may be unchanged, older, damaged or empty.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use flockwise_runtime::checkpoint_owner::CheckpointOwners;
use flockwise_runtime::store::{CheckpointBatch, CheckpointState, ExpectedCheckpoint, Store};
use flockwise_runtime::task_id::TaskId;
use flockwise_runtime::topics::Topic;

use super::cluster::{ClientId, InjectionPoint};
use super::committed_log::Changelog;
use super::seeded_random::SeededRandom;
use super::simulation::Simulation;
use super::task_comparison;

/// Trace event: a worker takes over a standby.
pub(super) const TAKES_OVER: &str = "takes a standby over";

/// Trace event: a store that no longer owns a task's checkpoint tries to write to it.
pub(super) const MAY_NOT_WRITE: &str = "may not write the checkpoint of task";

/// A task's checkpoint on disk.
#[derive(Clone, Debug, Default)]
struct CheckpointPage {
    changelog: String,
    plan: u64,
    records: Changelog,
    /// Changelog offset that it covers; `None` until it is complete.
    offset: Option<i64>,
    committed_ms: i64,
    /// Damaged in a way that the store detects by itself.
    is_damaged: bool,
    /// Damaged in any way.
    is_altered: bool,
}

/// The checkpoints on an instance's disk, by task.
#[derive(Debug, Default)]
pub(super) struct Disk {
    pages: BTreeMap<TaskId, CheckpointPage>,
    /// Pending writes, each with the time at which it becomes durable.
    writing: BTreeMap<TaskId, (CheckpointBatch, i64)>,
    /// A copy of the pages from an earlier restart.
    earlier_pages: BTreeMap<TaskId, CheckpointPage>,
    /// Which of the process's stores may write each task's checkpoint.
    owners: CheckpointOwners,
    /// Number of stores opened so far.
    handles: u64,
}

impl CheckpointPage {
    fn apply(&mut self, batch: &CheckpointBatch) {
        if self.changelog != batch.changelog || self.plan != batch.plan {
            *self = Self {
                changelog: batch.changelog.clone(),
                plan: batch.plan,
                ..Self::default()
            };
        }
        for (key, value) in batch.records() {
            match value {
                Some(value) => self.records.insert(key.to_vec(), value.to_vec()),
                None => self.records.remove(key),
            };
        }
        if batch.offset.is_some() {
            (self.offset, self.committed_ms) = (batch.offset, batch.committed_ms);
        }
    }
}

impl Disk {
    fn finish(&mut self, task: TaskId) {
        if let Some((batch, _)) = self.writing.remove(&task) {
            self.pages.entry(task).or_default().apply(&batch);
        }
    }

    fn finish_due(&mut self, now_ms: i64) {
        let is_due = |(_, (_, at_ms)): &(&TaskId, &(CheckpointBatch, i64))| *at_ms <= now_ms;
        let due: Vec<TaskId> = self
            .writing
            .iter()
            .filter(is_due)
            .map(|(task, _)| *task)
            .collect();
        due.into_iter().for_each(|task| self.finish(task));
    }

    /// Power loss: each pending write becomes durable or is lost.
    pub(super) fn crash(&mut self, random: &SeededRandom) {
        let tasks: Vec<TaskId> = self.writing.keys().copied().collect();
        for task in tasks {
            if random.percent(50) {
                self.finish(task);
            }
        }
        self.writing.clear();
        self.owners = CheckpointOwners::default();
    }

    /// Draws what a restart finds on the disk, and returns the trace event.
    pub(super) fn restart(&mut self, random: &SeededRandom) -> &'static str {
        // An instance that shut down has waited for its writes.
        let writing: Vec<TaskId> = self.writing.keys().copied().collect();
        writing.into_iter().for_each(|task| self.finish(task));
        match random.below(12) {
            0 => {
                self.pages.clear();
                "finds an empty disk"
            }
            1 => {
                self.pages.clone_from(&self.earlier_pages);
                "finds an old disk"
            }
            2 => {
                self.pages.values_mut().for_each(|page| page.damage(random));
                "finds a damaged disk"
            }
            3 | 4 => {
                self.earlier_pages.clone_from(&self.pages);
                "finds its disk"
            }
            _ => "finds its disk",
        }
    }
}

impl CheckpointPage {
    fn damage(&mut self, random: &SeededRandom) {
        self.is_altered = true;
        match random.below(4) {
            0 => self.is_damaged = true,
            1 => self.changelog.push_str(", recreated"),
            2 => self.offset = self.offset.map(|offset| offset + 1_000_000),
            _ => {
                let index = random.index(self.records.len().max(1));
                if let Some(value) = self.records.values_mut().nth(index) {
                    value.truncate(value.len() / 2);
                }
            }
        }
    }
}

/// The checkpoint store of one worker.
pub(super) struct DiskStore {
    simulation: Rc<Simulation>,
    client_id: ClientId,
    /// Unique among all stores that its instance has opened.
    handle: u64,
}

impl DiskStore {
    pub(super) fn new(simulation: Rc<Simulation>, client_id: ClientId) -> Self {
        let handle = {
            let disk = &mut simulation.disks()[client_id.instance];
            disk.handles += 1;
            disk.handles
        };
        Self {
            simulation,
            client_id,
            handle,
        }
    }

    /// An injection point between two operations of the store: the process may die here.
    fn is_alive(&self) -> bool {
        self.is_alive_at(InjectionPoint::Anywhere)
    }

    fn is_alive_at(&self, point: InjectionPoint) -> bool {
        self.simulation.inject(&self.client_id, point).is_ok()
    }

    fn with<T>(&self, act: impl FnOnce(&mut Disk) -> T) -> T {
        let disk = &mut self.simulation.disks()[self.client_id.instance];
        disk.finish_due(self.simulation.clock.wall_ms());
        act(disk)
    }

    fn discard(&self, what: &'static str, task: TaskId) {
        if self.is_alive() {
            self.note(what, task, 0);
            self.with(|disk| {
                if disk.owners.claim(task, self.handle) {
                    disk.writing.remove(&task);
                    disk.pages.remove(&task);
                }
            });
        }
    }

    fn note(&self, what: &'static str, task: TaskId, number: i64) {
        let numbers = [i64::from(task.0), number];
        self.simulation
            .note(Some(self.client_id.slot), what, numbers);
    }
}

impl Store for DiskStore {
    fn load(
        &mut self,
        task: TaskId,
        wanted: &ExpectedCheckpoint,
        each: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Option<i64> {
        if !self.is_alive() {
            return None;
        }
        let page = self.with(|disk| {
            disk.owners.take(task, self.handle);
            disk.finish(task);
            disk.pages.get(&task).cloned()
        })?;
        let is_wanted = page.changelog == wanted.changelog && page.plan == wanted.plan;
        let is_trusted = self.simulation.is_trusted(&page, wanted.now_ms);
        if !is_trusted && page.offset.is_some() {
            self.note("finds its checkpoint too old", task, page.committed_ms);
        }
        let is_wanted = is_wanted && is_trusted && !page.is_damaged;
        let offset = page.offset.filter(|_| is_wanted);
        let is_loaded =
            offset.is_some() && page.records.iter().all(|(key, value)| each(key, value));
        if !is_loaded {
            self.note("discards its checkpoint", task, 0);
            self.with(|disk| disk.pages.remove(&task));
            return None;
        }
        self.note("loads the checkpoint of task", task, offset.unwrap_or(0));
        offset
    }

    fn checkpoint_state(&mut self, task: TaskId) -> CheckpointState {
        self.with(|disk| match disk.pages.get(&task) {
            _ if !disk.owners.owns(task, self.handle) => CheckpointState::Off,
            _ if disk.writing.contains_key(&task) => CheckpointState::Busy,
            Some(page) if page.offset.is_some() => CheckpointState::Ready,
            _ => CheckpointState::Empty,
        })
    }

    fn await_checkpoint(&mut self, task: TaskId, _timeout: Duration) -> CheckpointState {
        self.with(|disk| {
            if disk.owners.owns(task, self.handle) {
                disk.finish(task);
            }
        });
        self.checkpoint_state(task)
    }

    fn write(&mut self, task: TaskId, records: CheckpointBatch) {
        if !self.is_alive_at(InjectionPoint::BeforeCheckpoint) {
            return;
        }
        if !self.with(|disk| disk.owners.owns(task, self.handle)) {
            return self.note(MAY_NOT_WRITE, task, records.len() as i64);
        }
        self.note("writes the checkpoint of task", task, records.len() as i64);
        let mut page = self
            .with(|disk| disk.pages.get(&task).cloned())
            .unwrap_or_default();
        page.apply(&records);
        self.simulation.check_page(task, &page);
        let done_ms = self.simulation.later_ms(1, 2_000) - 1;
        self.with(|disk| {
            let before = disk.writing.insert(task, (records, done_ms));
            assert!(
                before.is_none(),
                "task {task} is written while an earlier write of its checkpoint is pending"
            );
        });
    }

    fn release(&mut self, task: TaskId) {
        if self.is_alive() {
            self.with(|disk| {
                if disk.owners.release(task, self.handle) {
                    disk.finish(task);
                }
            });
        }
    }

    fn set_aside(&mut self, task: TaskId, _reason: &str) {
        self.discard("sets its checkpoint aside", task);
    }

    fn remove(&mut self, task: TaskId) {
        self.discard(TAKES_OVER, task);
    }
}

impl Drop for DiskStore {
    fn drop(&mut self) {
        // At the end of a simulation the disks have been taken for the checks.
        if let Some(disk) = self.simulation.disks().get_mut(self.client_id.instance) {
            disk.owners.release_all(self.handle);
        }
    }
}

impl Disk {
    /// The undamaged checkpoints, with all pending writes done.
    fn into_intact_pages(mut self) -> BTreeMap<TaskId, CheckpointPage> {
        let writing: Vec<TaskId> = self.writing.keys().copied().collect();
        writing.into_iter().for_each(|task| self.finish(task));
        self.pages.retain(|_, page| !page.is_altered);
        self.pages
    }
}

impl Simulation {
    /// True if a checkpoint is recent enough to be loaded.
    fn is_trusted(&self, page: &CheckpointPage, now_ms: i64) -> bool {
        let trusted_ms = self.scenario.trusted.as_millis() as u64;
        page.committed_ms.abs_diff(now_ms) <= trusted_ms
    }

    /// Checks every checkpoint that a later start would trust.
    pub(super) fn check_disks(&self) {
        let now_ms = self.clock.wall_ms();
        let disks = std::mem::take(&mut *self.disks());
        for disk in disks {
            for (task, page) in disk.into_intact_pages() {
                if self.is_trusted(&page, now_ms) {
                    self.check_page(task, &page);
                }
            }
        }
    }

    /// Checks that a checkpoint plus the committed changelog from its offset on gives the same task as the whole
    /// changelog.
    fn check_page(&self, task: TaskId, page: &CheckpointPage) {
        let Some(offset) = page.offset else {
            return;
        };
        // A restore from this checkpoint would wait for the open transaction, so there is nothing to compare yet.
        if self.broker.is_held_back(Topic::Changelog, task.0) {
            return;
        }
        let end = self.broker.stable(Topic::Changelog, task.0);
        assert!(
            offset <= end,
            "the checkpoint of task {task} covers offset {offset}, but its changelog ends at {end}"
        );
        let mut records = page.records.clone();
        for record in self.broker.read(Topic::Changelog, task.0, offset) {
            let key = record.key.expect("a key");
            match record.value {
                Some(value) => records.insert(key, value),
                None => records.remove(&key),
            };
        }
        let committed_log = self.committed_log();
        let none = Changelog::new();
        let whole = committed_log.changelogs.get(&task).unwrap_or(&none);
        let restored = |records| task_comparison::restore(&self.pipeline, records);
        task_comparison::same(&restored(whole), &restored(&records), task);
    }
}
