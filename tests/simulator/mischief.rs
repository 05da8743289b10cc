//! What goes wrong.

use std::rc::Rc;

use flockwise_runtime::topics::Topic;

use super::reading::Reading;
use super::staff::{Nap, Place, Refusal};
use super::world::World;

/// An input is deleted and made again.
pub(super) const RECREATES: &str = "recreates an input";

const DAY_MS: i64 = 86_400_000;

/// An input partition loses its latest records.
pub(super) const TRUNCATES: &str = "truncates an input partition";

/// Records that it loses then, at most.
const LOST: u64 = 12;

/// One kind of thing that goes wrong.
type Mischief = fn(&Rc<World>);

impl World {
    /// Perhaps something goes wrong, now or soon.
    pub(super) fn make_mischief(self: &Rc<Self>) {
        let rates = self.scenario.rates;
        let kinds: [(u64, Mischief); 12] = [
            (rates.crash, |world| world.light_fuse()),
            (rates.abort, |world| world.prepare_refusal()),
            (rates.nap, |world| world.prepare_nap()),
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
            if self.dice.per_mille(rate) {
                happens(self);
            }
        }
        if self.scenario.twists.truncated && self.dice.per_mille(rates.truncate) {
            self.truncate();
        }
        if self.dice.per_mille(5) {
            self.feed().grow(&self.broker);
        }
    }

    fn somewhere(&self) -> usize {
        self.dice
            .place(self.scenario.instances * self.scenario.shards)
    }

    fn light_fuse(&self) {
        let instance = self.dice.place(self.scenario.instances);
        let mut staff = self.staff();
        let instance = &mut staff.instances[instance];
        if instance.is_up {
            instance.fuse = Some(self.dice.scale(1, 200) - 1);
        }
    }

    fn prepare_refusal(&self) {
        let is_send = self.dice.percent(30);
        let after = self.dice.scale(1, if is_send { 20 } else { 3 }) - 1;
        let again = self.dice.scale(1, 4) - 1;
        self.staff().seats[self.somewhere()].refusal = Some(Refusal {
            is_send,
            after,
            again,
        });
    }

    fn prepare_nap(&self) {
        let mut place = self.dice.one_of(&[
            None,
            Some(Place::BeforeOffsets),
            Some(Place::BeforeEnd),
            Some(Place::BeforeEndOfVersion),
            Some(Place::AfterEnd),
        ]);
        if self.scenario.twists.contention && self.dice.percent(60) {
            place = Some(Place::BeforeKeep);
        }
        let after = match place {
            None => self.dice.scale(1, 60) - 1,
            Some(_) => 0,
        };
        let steps = match place {
            Some(Place::BeforeKeep) => self.dice.between(40, 150),
            _ => self.dice.scale(1, 100),
        };
        let nap = Nap {
            place,
            after,
            steps,
        };
        let seat = self.somewhere();
        let mut staff = self.staff();
        match place {
            // Whoever is the trainer.
            Some(Place::BeforeEndOfVersion) => {
                staff.seats.iter_mut().for_each(|seat| seat.nap = Some(nap));
            }
            _ => staff.seats[seat].nap = Some(nap),
        }
    }

    /// Another starts under the same name although there is one.
    fn supersede(self: &Rc<Self>) {
        let seat = self.somewhere();
        let is_taken = self.staff().seats[seat].post.is_some();
        if is_taken {
            self.sit(seat);
        }
    }

    /// An instance goes in good order, for a while.
    fn leave(self: &Rc<Self>) {
        let instance = self.dice.place(self.scenario.instances);
        let back_at_ms = self.later_ms(100, 60_000);
        self.depart(instance, Some(back_at_ms));
    }

    /// All shards of an instance leave that do not stand still somewhere.
    pub(super) fn depart(self: &Rc<Self>, instance: usize, back_at_ms: Option<i64>) {
        if !self.staff().instances[instance].is_up {
            return;
        }
        let seats = self.staff().seats_of(instance);
        for seat in seats {
            let taken = self.staff().take(seat);
            if let Some((post, shard)) = taken {
                self.note(Some(seat), "leaves", [0, 0]);
                if let Err(failure) = shard.leave() {
                    self.end(post, &failure);
                }
            }
        }
        let killed = self.staff().kill(instance, i64::MAX);
        drop(killed);
        self.staff().instances[instance].back_at_ms = back_at_ms;
    }

    /// Retention takes what the tasks have read.
    fn remove_what_was_read(&self) {
        let ledger = self.ledger();
        let bookmarks: Vec<_> = ledger.bookmarks.iter().collect();
        if bookmarks.is_empty() {
            return;
        }
        let (task, position) = bookmarks[self.dice.place(bookmarks.len())];
        let share = |offset: i64| match self.dice.percent(50) {
            true => offset,
            false => offset - offset / 3,
        };
        let feed = self.feed();
        for ((input, partition), progress) in &position.inputs {
            // Positions in an earlier topic of the name say nothing of this one.
            if ledger.round(position, *input) != feed.generations[usize::from(*input)] {
                continue;
            }
            let lane = feed.lane(*input, *partition);
            let there = ledger.readings.get(&lane).map(Reading::still_there);
            let below = share(there.unwrap_or(progress.next_offset));
            self.broker.remove(Topic::Input(*input), *partition, below);
        }
        let below = share(position.repartition_offset);
        self.broker.remove(Topic::Repartition, *task, below);
    }

    /// Somebody else's transaction comes to nothing, or ends.
    fn occupy_offsets(&self) {
        let partitions: Vec<_> = self.feed().partitions().collect();
        let (input, partition) = partitions[self.dice.place(partitions.len())];
        let offsets = self.dice.between(1, 4) as u32;
        self.broker.occupy(Topic::Input(input), partition, offsets);
    }

    /// Partitions of a topic as some broker has them, of those that there are.
    pub(super) fn as_metadata_has_it(&self, topic: Topic, known: u32) -> u32 {
        let is_old = self.scenario.twists.stale_metadata && self.dice.percent(20);
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
        self.advance(self.dice.ms(500, 60_000));
    }

    /// An input is deleted and made again, while nobody is in the middle of a call.
    fn recreate(&self) {
        if self.depth.get() == 0 {
            let input = self.dice.place(self.scenario.input_partitions.len()) as u16;
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
        let (input, partition) = partitions[self.dice.place(partitions.len())];
        let records = self.dice.scale(1, LOST + 1) as usize - 1;
        let to = feed.truncate((input, partition), records, &self.broker);
        let lane = feed.lane(input, partition);
        let mut ledger = self.ledger();
        ledger.readings.entry(lane).or_default().truncate(to);
        self.note(None, TRUNCATES, [i64::from(partition), to]);
    }

    /// Somebody sets the clock of an instance, or NTP puts it right.
    fn jump(&self) {
        let instance = self.dice.place(self.scenario.instances);
        let by_ms = self.dice.one_of(&[-400, -1, 1, 400]) * DAY_MS;
        self.clock_of(instance).set_wall(by_ms);
        let seat = self.staff().seats_of(instance).start;
        self.note(Some(seat), "has its clock set", [by_ms, 0]);
    }
}
