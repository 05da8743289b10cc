//! Faults that are injected between steps.

use std::rc::Rc;

use flockwise_runtime::topics::Topic;

use super::cluster::{InjectionPoint, Pause, Refusal};
use super::simulation::Simulation;
use super::truncated_reads::Reading;

/// Trace event: an input is deleted and recreated.
pub(super) const RECREATES: &str = "recreates an input";

const DAY_MS: i64 = 86_400_000;

/// Trace event: an input partition loses its latest records.
pub(super) const TRUNCATES: &str = "truncates an input partition";

/// Maximum number of records that a truncation removes.
const MAX_LOST_RECORDS: u64 = 12;

/// A kind of fault.
type FaultInjection = fn(&Rc<Simulation>);

impl Simulation {
    /// Injects each kind of fault with its probability. Some take effect later.
    pub(super) fn inject_faults(self: &Rc<Self>) {
        let rates = self.scenario.rates;
        let kinds: [(u64, FaultInjection); 12] = [
            (rates.crash, |simulation| simulation.prepare_kill()),
            (rates.abort, |simulation| simulation.prepare_refusal()),
            (rates.pause, |simulation| simulation.prepare_pause()),
            (rates.supersede, Self::supersede),
            (rates.leave, Self::leave),
            (rates.expire, |simulation| {
                simulation.broker.expire_offsets();
            }),
            (rates.compact, |simulation| simulation.compact()),
            (rates.retain, |simulation| simulation.apply_retention()),
            (rates.skip_offsets, |simulation| simulation.skip_offsets()),
            (rates.skip_time, |simulation| simulation.skip_time()),
            (rates.set_clock, |simulation| simulation.set_clock()),
            (rates.recreate, |simulation| simulation.recreate()),
        ];
        for (rate, inject) in kinds {
            if self.random.per_mille(rate) {
                inject(self);
            }
        }
        if self.scenario.variations.truncated && self.random.per_mille(rates.truncate) {
            self.truncate();
        }
        if self.random.per_mille(5) {
            self.producers().grow(&self.broker);
        }
    }

    fn random_slot(&self) -> usize {
        self.random
            .index(self.scenario.instances * self.scenario.shards)
    }

    fn prepare_kill(&self) {
        let instance = self.random.index(self.scenario.instances);
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
        self.cluster().slots[self.random_slot()].refusal = Some(Refusal {
            is_send,
            after,
            again,
        });
    }

    fn prepare_pause(&self) {
        let mut point = self.random.one_of(&[
            None,
            Some(InjectionPoint::BeforeOffsets),
            Some(InjectionPoint::BeforeEnd),
            Some(InjectionPoint::BeforeEndOfVersion),
            Some(InjectionPoint::AfterEnd),
        ]);
        if self.scenario.variations.contention && self.random.percent(60) {
            point = Some(InjectionPoint::BeforeCheckpoint);
        }
        let after = match point {
            None => self.random.scale(1, 60) - 1,
            Some(_) => 0,
        };
        let steps = match point {
            Some(InjectionPoint::BeforeCheckpoint) => self.random.between(40, 150),
            _ => self.random.scale(1, 100),
        };
        let pause = Pause {
            point,
            after,
            steps,
        };
        let slot = self.random_slot();
        let mut cluster = self.cluster();
        match point {
            // All workers, since any of them may host the trainer.
            Some(InjectionPoint::BeforeEndOfVersion) => {
                cluster
                    .slots
                    .iter_mut()
                    .for_each(|slot| slot.pause = Some(pause));
            }
            _ => cluster.slots[slot].pause = Some(pause),
        }
    }

    /// Starts a second worker under the name of one that still runs.
    fn supersede(self: &Rc<Self>) {
        let slot = self.random_slot();
        let is_taken = self.cluster().slots[slot].client_id.is_some();
        if is_taken {
            self.start_worker(slot);
        }
    }

    /// Shuts an instance down and starts it again later.
    fn leave(self: &Rc<Self>) {
        let instance = self.random.index(self.scenario.instances);
        let back_at_ms = self.later_ms(100, 60_000);
        self.shut_down(instance, Some(back_at_ms));
    }

    /// Shuts an instance down. Its workers leave, except those that are paused.
    pub(super) fn shut_down(self: &Rc<Self>, instance: usize, back_at_ms: Option<i64>) {
        if !self.cluster().instances[instance].is_up {
            return;
        }
        let slots = self.cluster().slots_of(instance);
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

    /// Retention removes records that a task has read.
    fn apply_retention(&self) {
        let committed_log = self.committed_log();
        let task_positions: Vec<_> = committed_log.task_positions.iter().collect();
        if task_positions.is_empty() {
            return;
        }
        let (task, position) = task_positions[self.random.index(task_positions.len())];
        let share = |offset: i64| match self.random.percent(50) {
            true => offset,
            false => offset - offset / 3,
        };
        let producers = self.producers();
        for ((input, partition), progress) in &position.inputs {
            // Positions in an earlier topic of this name do not apply.
            if committed_log.generation_of(position, *input)
                != producers.generations[usize::from(*input)]
            {
                continue;
            }
            let input_key = producers.input_key(*input, *partition);
            let there = committed_log
                .readings
                .get(&input_key)
                .map(Reading::surviving_offset);
            let below = share(there.unwrap_or(progress.next_offset));
            self.broker.remove(Topic::Input(*input), *partition, below);
        }
        let below = share(position.repartition_offset);
        self.broker.remove(Topic::Repartition, task.0, below);
    }

    /// Skips offsets, as another producer's aborted records or transaction markers do.
    fn skip_offsets(&self) {
        let partitions: Vec<_> = self.producers().partitions().collect();
        let (input, partition) = partitions[self.random.index(partitions.len())];
        let offsets = self.random.between(1, 4) as u32;
        self.broker
            .skip_offsets(Topic::Input(input), partition, offsets);
    }

    /// The number of partitions of a topic that a broker reports. Outdated metadata may report fewer than there are.
    pub(super) fn metadata_partitions(&self, topic: Topic, known: u32) -> u32 {
        let is_old = self.scenario.variations.stale_metadata && self.random.percent(20);
        match topic {
            Topic::Input(input) if is_old && !self.is_draining.get() => {
                let (first, _) = self.scenario.input_partitions[usize::from(input)];
                known.min(first)
            }
            _ => known,
        }
    }

    /// Compacts the changelogs. If customers expire, only while no worker is paused: tombstones outlive every
    /// restore, even a paused one.
    fn compact(&self) {
        if !self.scenario.has_expiry() || self.depth.get() == 0 {
            self.broker.compact();
        }
    }

    fn skip_time(&self) {
        self.advance(self.random.ms(500, 60_000));
    }

    /// Deletes and recreates an input, unless a worker is in the middle of a call.
    fn recreate(&self) {
        if self.depth.get() == 0 {
            let input = self.random.index(self.scenario.input_partitions.len()) as u16;
            self.producers().recreate(input, &self.broker);
            self.note(None, RECREATES, [i64::from(input), 0]);
        }
    }

    /// A replica without the latest records of a partition becomes its leader, unless a worker is in the middle of a
    /// call.
    fn truncate(&self) {
        if self.depth.get() > 0 {
            return;
        }
        let mut producers = self.producers();
        let partitions: Vec<_> = producers.partitions().collect();
        let (input, partition) = partitions[self.random.index(partitions.len())];
        let records = self.random.scale(1, MAX_LOST_RECORDS + 1) as usize - 1;
        let to = producers.truncate((input, partition), records, &self.broker);
        let input_key = producers.input_key(input, partition);
        let mut committed_log = self.committed_log();
        committed_log
            .readings
            .entry(input_key)
            .or_default()
            .truncate(to);
        self.note(None, TRUNCATES, [i64::from(partition), to]);
    }

    /// Sets the clock of an instance, as an operator or NTP may do.
    fn set_clock(&self) {
        let instance = self.random.index(self.scenario.instances);
        let by_ms = self.random.one_of(&[-400, -1, 1, 400]) * DAY_MS;
        self.clock_of(instance).set_wall(by_ms);
        let slot = self.cluster().slots_of(instance).start;
        self.note(Some(slot), "has its clock set", [by_ms, 0]);
    }
}
