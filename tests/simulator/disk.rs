//! An instance's disk, and the store that workers keep on it.
//!
//! What is written is there for good after a while, and may be lost by a crash before: whole or not at all. It
//! outlives its instance, is nobody else's, and may be found older, damaged or gone.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use flockwise_runtime::checkpoint_owner::CheckpointOwners;
use flockwise_runtime::store::{CheckpointBatch, CheckpointState, ExpectedCheckpoint, Store};
use flockwise_runtime::topics::Topic;

use super::cluster::{ClientId, Place};
use super::committed_log::Changelog;
use super::seeded_random::SeededRandom;
use super::task_comparison;
use super::world::World;

/// A task is taken over that was kept warm.
pub(super) const TAKES_OVER: &str = "takes a standby over";

/// A store that no longer owns a task's copy was to write to it.
pub(super) const MAY_NOT_WRITE: &str = "may not write the copy of task";

/// A task's records as they lie on a disk.
#[derive(Clone, Debug, Default)]
struct CheckpointPage {
    changelog: String,
    plan: u64,
    records: Changelog,
    /// `None` as long as it is not complete.
    offset: Option<i64>,
    committed_ms: i64,
    /// Somebody has tampered with it, in a way that a store sees.
    is_damaged: bool,
    /// Somebody has tampered with it, in whatever way.
    is_spoilt: bool,
}

/// A disk.
#[derive(Debug, Default)]
pub(super) struct Disk {
    pages: BTreeMap<u32, CheckpointPage>,
    /// On their way, each with when it will be there.
    writing: BTreeMap<u32, (CheckpointBatch, i64)>,
    /// As it was at some time.
    before: BTreeMap<u32, CheckpointPage>,
    /// Which of the process's stores may write a task's copy.
    owners: CheckpointOwners,
    /// Stores that were opened so far.
    handles: u64,
}

impl CheckpointPage {
    fn take(&mut self, kept: &CheckpointBatch) {
        if self.changelog != kept.changelog || self.plan != kept.plan {
            *self = Self {
                changelog: kept.changelog.clone(),
                plan: kept.plan,
                ..Self::default()
            };
        }
        for (key, value) in kept.records() {
            match value {
                Some(value) => self.records.insert(key.to_vec(), value.to_vec()),
                None => self.records.remove(key),
            };
        }
        if kept.offset.is_some() {
            (self.offset, self.committed_ms) = (kept.offset, kept.committed_ms);
        }
    }
}

impl Disk {
    fn finish(&mut self, task: u32) {
        if let Some((kept, _)) = self.writing.remove(&task) {
            self.pages.entry(task).or_default().take(&kept);
        }
    }

    fn finish_what_is_due(&mut self, now_ms: i64) {
        let is_due = |(_, (_, at_ms)): &(&u32, &(CheckpointBatch, i64))| *at_ms <= now_ms;
        let due: Vec<u32> = self
            .writing
            .iter()
            .filter(is_due)
            .map(|(task, _)| *task)
            .collect();
        due.into_iter().for_each(|task| self.finish(task));
    }

    /// The power goes: what is on its way is there or not.
    pub(super) fn crash(&mut self, random: &SeededRandom) {
        let tasks: Vec<u32> = self.writing.keys().copied().collect();
        for task in tasks {
            if random.percent(50) {
                self.finish(task);
            }
        }
        self.writing.clear();
        self.owners = CheckpointOwners::default();
    }

    /// What a restart may find.
    pub(super) fn age(&mut self, random: &SeededRandom) -> &'static str {
        // An instance that left in good order has seen to it that all is written.
        let writing: Vec<u32> = self.writing.keys().copied().collect();
        writing.into_iter().for_each(|task| self.finish(task));
        match random.below(12) {
            0 => {
                self.pages.clear();
                "finds an empty disk"
            }
            1 => {
                self.pages.clone_from(&self.before);
                "finds an old disk"
            }
            2 => {
                self.pages.values_mut().for_each(|page| page.damage(random));
                "finds a damaged disk"
            }
            3 | 4 => {
                self.before.clone_from(&self.pages);
                "finds its disk"
            }
            _ => "finds its disk",
        }
    }
}

impl CheckpointPage {
    fn damage(&mut self, random: &SeededRandom) {
        self.is_spoilt = true;
        match random.below(4) {
            0 => self.is_damaged = true,
            1 => self.changelog.push_str(", made anew"),
            2 => self.offset = self.offset.map(|offset| offset + 1_000_000),
            _ => {
                let place = random.place(self.records.len().max(1));
                if let Some(value) = self.records.values_mut().nth(place) {
                    value.truncate(value.len() / 2);
                }
            }
        }
    }
}

/// The store of one worker.
pub(super) struct DiskStore {
    world: Rc<World>,
    client_id: ClientId,
    /// Tells it from the other stores of its instance, before and after it.
    handle: u64,
}

impl DiskStore {
    pub(super) fn new(world: Rc<World>, client_id: ClientId) -> Self {
        let handle = {
            let disk = &mut world.disks()[client_id.instance];
            disk.handles += 1;
            disk.handles
        };
        Self {
            world,
            client_id,
            handle,
        }
    }

    /// Between two things that a store does, its process may die.
    fn is_alive(&self) -> bool {
        self.is_alive_at(Place::Anywhere)
    }

    fn is_alive_at(&self, place: Place) -> bool {
        self.world.inject(&self.client_id, place).is_ok()
    }

    fn with<T>(&self, act: impl FnOnce(&mut Disk) -> T) -> T {
        let disk = &mut self.world.disks()[self.client_id.instance];
        disk.finish_what_is_due(self.world.clock.wall_ms());
        act(disk)
    }

    fn forget(&self, what: &'static str, task: u32) {
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

    fn note(&self, what: &'static str, task: u32, number: i64) {
        let numbers = [i64::from(task), number];
        self.world.note(Some(self.client_id.slot), what, numbers);
    }
}

impl Store for DiskStore {
    fn load(
        &mut self,
        task: u32,
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
        let is_young = self.world.is_young(&page, wanted.now_ms);
        if !is_young && page.offset.is_some() {
            self.note("finds its copy too old", task, page.committed_ms);
        }
        let is_wanted = is_wanted && is_young && !page.is_damaged;
        let offset = page.offset.filter(|_| is_wanted);
        let is_good = offset.is_some() && page.records.iter().all(|(key, value)| each(key, value));
        if !is_good {
            self.note("sets its copy aside", task, 0);
            self.with(|disk| disk.pages.remove(&task));
            return None;
        }
        self.note("loads task", task, offset.unwrap_or(0));
        offset
    }

    fn checkpoint_state(&mut self, task: u32) -> CheckpointState {
        self.with(|disk| match disk.pages.get(&task) {
            _ if !disk.owners.owns(task, self.handle) => CheckpointState::Off,
            _ if disk.writing.contains_key(&task) => CheckpointState::Busy,
            Some(page) if page.offset.is_some() => CheckpointState::Ready,
            _ => CheckpointState::Empty,
        })
    }

    fn await_checkpoint(&mut self, task: u32, _patience: Duration) -> CheckpointState {
        self.with(|disk| {
            if disk.owners.owns(task, self.handle) {
                disk.finish(task);
            }
        });
        self.checkpoint_state(task)
    }

    fn write(&mut self, task: u32, records: CheckpointBatch) {
        if !self.is_alive_at(Place::BeforeKeep) {
            return;
        }
        if !self.with(|disk| disk.owners.owns(task, self.handle)) {
            return self.note(MAY_NOT_WRITE, task, records.len() as i64);
        }
        self.note("keeps records of task", task, records.len() as i64);
        let mut page = self
            .with(|disk| disk.pages.get(&task).cloned())
            .unwrap_or_default();
        page.take(&records);
        self.world.check_page(task, &page);
        let done_ms = self.world.later_ms(1, 2_000) - 1;
        self.with(|disk| {
            let before = disk.writing.insert(task, (records, done_ms));
            assert!(
                before.is_none(),
                "task {task} is written while its copy is busy"
            );
        });
    }

    fn release(&mut self, task: u32) {
        if self.is_alive() {
            self.with(|disk| {
                if disk.owners.release(task, self.handle) {
                    disk.finish(task);
                }
            });
        }
    }

    fn set_aside(&mut self, task: u32, _reason: &str) {
        self.forget("begins its copy anew", task);
    }

    fn remove(&mut self, task: u32) {
        self.forget(TAKES_OVER, task);
    }
}

impl Drop for DiskStore {
    fn drop(&mut self) {
        // At the end of the story the disks have been taken away to be checked.
        if let Some(disk) = self.world.disks().get_mut(self.client_id.instance) {
            disk.owners.release_all(self.handle);
        }
    }
}

impl Disk {
    /// Copies that nobody has tampered with, as of when everything is written.
    fn into_good_pages(mut self) -> BTreeMap<u32, CheckpointPage> {
        let writing: Vec<u32> = self.writing.keys().copied().collect();
        writing.into_iter().for_each(|task| self.finish(task));
        self.pages.retain(|_, page| !page.is_spoilt);
        self.pages
    }
}

impl World {
    /// How old a copy is, at most, that is loaded.
    fn is_young(&self, page: &CheckpointPage, now_ms: i64) -> bool {
        let trusted_ms = self.scenario.trusted.as_millis() as u64;
        page.committed_ms.abs_diff(now_ms) <= trusted_ms
    }

    /// Whatever copy a later start would trust leads to what the changelog says.
    pub(super) fn check_disks(&self) {
        let now_ms = self.clock.wall_ms();
        let disks = std::mem::take(&mut *self.disks());
        for disk in disks {
            for (task, page) in disk.into_good_pages() {
                if self.is_young(&page, now_ms) {
                    self.check_page(task, &page);
                }
            }
        }
    }

    /// A copy and what the changelog has committed from its offset on are what the whole changelog says.
    fn check_page(&self, task: u32, page: &CheckpointPage) {
        let Some(offset) = page.offset else {
            return;
        };
        // Whoever restores from this copy waits for the end, and cannot be asked before.
        if self.broker.is_held_back(Topic::Changelog, task) {
            return;
        }
        let end = self.broker.stable(Topic::Changelog, task);
        assert!(
            offset <= end,
            "the copy of task {task} is at {offset}, the changelog at {end}"
        );
        let mut records = page.records.clone();
        for record in self.broker.read(Topic::Changelog, task, offset) {
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
