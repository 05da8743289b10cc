//! What goes wrong.

use std::rc::Rc;

use flockwise_runtime::topics::Topic;

use super::cluster::{Pause, Place, Refusal};
use super::truncated_reads::Reading;
use super::world::World;

/// An input is deleted and made again.
pub(super) const RECREATES: &str = "recreates an input";

const DAY_MS: i64 = 86_400_000;

/// An input partition loses its latest records.
pub(super) const TRUNCATES: &str = "truncates an input partition";

/// Records that it loses then, at most.
const LOST: u64 = 12;

/// One kind of thing that goes wrong.
type FaultInjection = fn(&Rc<World>);

impl World {
    /// Perhaps something goes wrong, now or soon.
    pub(super) fn make_mischief(self: &Rc<Self>) {
        let rates = self.scenario.rates;
        let kinds: [(u64, FaultInjection); 12] = [
            (rates.crash, |world| world.light_fuse()),
            (rates.abort, |world| world.prepare_refusal()),
            (rates.pause, |world| world.prepare_nap()),
            (rates.supersede, Self::supersede),
            (rates.leave, Self::leave),
            (rates.expire, |world| world.broker.expire_offsets()),
            (rates.compact, |world| world.compact()),
            (rates.retain, |world| world.remove_what_was_read()),
            (rates.occupy, |world| world.occupy_offsets()),
            (rates.leap, |world| world.leap()),
            (rates.jump, |world| world.jump()),
            (rates.recreate, |world| world.recreate()),
        ];
        for (rate, happens) in kinds {
            if self.random.per_mille(rate) {
                happens(self);
            }
        }
        if self.scenario.variations.truncated && self.random.per_mille(rates.truncate) {
            self.truncate();
        }
        if self.random.per_mille(5) {
            self.feed().grow(&self.broker);
        }
    }

    fn somewhere(&self) -> usize {
        self.random
            .place(self.scenario.instances * self.scenario.shards)
    }

    fn light_fuse(&self) {
        let instance = self.random.place(self.scenario.instances);
        let mut cluster = self.cluster();
        let instance = &mut cluster.instances[instance];
        if instance.is_up {
            instance.kill_countdown = Some(self.random.scale(1, 200) - 1);
        }
    }

    fn prepare_refusal(&self) {
        let is_send = self.random.percent(30);
        let after = self.random.scale(1, if is_send { 20 } else { 3 }) - 1;
        let again = self.random.scale(1, 4) - 1;
        self.cluster().slots[self.somewhere()].refusal = Some(Refusal {
            is_send,
            after,
            again,
        });
    }

    fn prepare_nap(&self) {
        let mut place = self.random.one_of(&[
            None,
            Some(Place::BeforeOffsets),
            Some(Place::BeforeEnd),
            Some(Place::BeforeEndOfVersion),
            Some(Place::AfterEnd),
        ]);
        if self.scenario.variations.contention && self.random.percent(60) {
            place = Some(Place::BeforeKeep);
        }
        let after = match place {
            None => self.random.scale(1, 60) - 1,
            Some(_) => 0,
        };
        let steps = match place {
            Some(Place::BeforeKeep) => self.random.between(40, 150),
            _ => self.random.scale(1, 100),
        };
        let pause = Pause {
            place,
            after,
            steps,
        };
        let slot = self.somewhere();
        let mut cluster = self.cluster();
        match place {
            // Whoever is the trainer.
            Some(Place::BeforeEndOfVersion) => {
                cluster
                    .slots
                    .iter_mut()
                    .for_each(|slot| slot.pause = Some(pause));
            }
            _ => cluster.slots[slot].pause = Some(pause),
        }
    }

    /// Another starts under the same name although there is one.
    fn supersede(self: &Rc<Self>) {
        let slot = self.somewhere();
        let is_taken = self.cluster().slots[slot].client_id.is_some();
        if is_taken {
            self.sit(slot);
        }
    }

    /// An instance goes in good order, for a while.
    fn leave(self: &Rc<Self>) {
        let instance = self.random.place(self.scenario.instances);
        let back_at_ms = self.later_ms(100, 60_000);
        self.depart(instance, Some(back_at_ms));
    }

    /// All workers of an instance leave that do not stand still somewhere.
    pub(super) fn depart(self: &Rc<Self>, instance: usize, back_at_ms: Option<i64>) {
        if !self.cluster().instances[instance].is_up {
            return;
        }
        let slots = self.cluster().seats_of(instance);
        for slot in slots {
            let taken = self.cluster().take(slot);
            if let Some((client_id, worker)) = taken {
                self.note(Some(slot), "leaves", [0, 0]);
                if let Err(failure) = worker.leave() {
                    self.end(client_id, &failure);
                }
            }
        }
        let killed = self.cluster().kill(instance, i64::MAX);
        drop(killed);
        self.cluster().instances[instance].back_at_ms = back_at_ms;
    }

    /// Retention takes what the tasks have read.
    fn remove_what_was_read(&self) {
        let committed_log = self.committed_log();
        let bookmarks: Vec<_> = committed_log.bookmarks.iter().collect();
        if bookmarks.is_empty() {
            return;
        }
        let (task, position) = bookmarks[self.random.place(bookmarks.len())];
        let share = |offset: i64| match self.random.percent(50) {
            true => offset,
            false => offset - offset / 3,
        };
        let feed = self.feed();
        for ((input, partition), progress) in &position.inputs {
            // Positions in an earlier topic of the name say nothing of this one.
            if committed_log.round(position, *input) != feed.generations[usize::from(*input)] {
                continue;
            }
            let lane = feed.lane(*input, *partition);
            let there = committed_log.readings.get(&lane).map(Reading::still_there);
            let below = share(there.unwrap_or(progress.next_offset));
            self.broker.remove(Topic::Input(*input), *partition, below);
        }
        let below = share(position.repartition_offset);
        self.broker.remove(Topic::Repartition, *task, below);
    }

    /// Somebody else's transaction comes to nothing, or ends.
    fn occupy_offsets(&self) {
        let partitions: Vec<_> = self.feed().partitions().collect();
        let (input, partition) = partitions[self.random.place(partitions.len())];
        let offsets = self.random.between(1, 4) as u32;
        self.broker
            .skip_offsets(Topic::Input(input), partition, offsets);
    }

    /// Partitions of a topic as some broker has them, of those that there are.
    pub(super) fn as_metadata_has_it(&self, topic: Topic, known: u32) -> u32 {
        let is_old = self.scenario.variations.stale_metadata && self.random.percent(20);
        match topic {
            Topic::Input(input) if is_old && !self.is_calm.get() => {
                let (first, _) = self.scenario.input_partitions[usize::from(input)];
                known.min(first)
            }
            _ => known,
        }
    }

    /// Tombstones are kept for much longer than anybody takes to restore a task, also one who stands still
    /// meanwhile.
    fn compact(&self) {
        if !self.scenario.lets_go() || self.depth.get() == 0 {
            self.broker.compact();
        }
    }

    fn leap(&self) {
        self.advance(self.random.ms(500, 60_000));
    }

    /// An input is deleted and made again, while nobody is in the middle of a call.
    fn recreate(&self) {
        if self.depth.get() == 0 {
            let input = self.random.place(self.scenario.input_partitions.len()) as u16;
            self.feed().recreate(input, &self.broker);
            self.note(None, RECREATES, [i64::from(input), 0]);
        }
    }

    /// A replica without the latest records of a partition becomes its leader, while nobody is in the middle of a call.
    fn truncate(&self) {
        if self.depth.get() > 0 {
            return;
        }
        let mut feed = self.feed();
        let partitions: Vec<_> = feed.partitions().collect();
        let (input, partition) = partitions[self.random.place(partitions.len())];
        let records = self.random.scale(1, LOST + 1) as usize - 1;
        let to = feed.truncate((input, partition), records, &self.broker);
        let lane = feed.lane(input, partition);
        let mut committed_log = self.committed_log();
        committed_log.readings.entry(lane).or_default().truncate(to);
        self.note(None, TRUNCATES, [i64::from(partition), to]);
    }

    /// Somebody sets the clock of an instance, or NTP puts it right.
    fn jump(&self) {
        let instance = self.random.place(self.scenario.instances);
        let by_ms = self.random.one_of(&[-400, -1, 1, 400]) * DAY_MS;
        self.clock_of(instance).set_wall(by_ms);
        let slot = self.cluster().seats_of(instance).start;
        self.note(Some(slot), "has its clock set", [by_ms, 0]);
    }
}
