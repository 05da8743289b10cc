//! Instances and their workers start.

use std::rc::Rc;
use std::sync::Arc;

use flockwise_runtime::clock::Clock;
use flockwise_runtime::pipeline::TimeMode;
use flockwise_runtime::worker::Worker;

use super::client::Client;
use super::disk::DiskStore;
use super::learning::SlowExecutor;
use super::setup::REFUSED;
use super::standbys::InstanceStandbys;
use super::world::World;

impl World {
    /// Starts instances and workers whose time has come.
    pub(super) fn start_what_is_due(self: &Rc<Self>) {
        let now_ms = self.clock.wall_ms();
        let is_due = |at_ms: Option<i64>| at_ms.is_some_and(|at_ms| at_ms <= now_ms);
        for instance in 0..self.scenario.instances {
            if is_due(self.cluster().instances[instance].back_at_ms) {
                self.start(instance);
            }
        }
        for slot in 0..self.scenario.instances * self.scenario.shards {
            if is_due(self.cluster().slots[slot].back_at_ms) {
                self.sit(slot);
            }
        }
    }

    fn start(self: &Rc<Self>, instance: usize) {
        let Some(setup) = self.configure() else {
            let back_at_ms = self.later_ms(100, 10_000);
            let mut cluster = self.cluster();
            cluster.instances[instance].back_at_ms = Some(back_at_ms);
            let slot = cluster.seats_of(instance).start;
            drop(cluster);
            return self.note(Some(slot), REFUSED, [0, 0]);
        };
        let setup = self.pinned(setup);
        let slots = {
            let mut cluster = self.cluster();
            let state = &mut cluster.instances[instance];
            state.setup = Some(setup);
            state.life += 1;
            state.models = Default::default();
            state.is_up = true;
            state.back_at_ms = None;
            state.kill_countdown = None;
            cluster.seats_of(instance)
        };
        let clock = Clock::simulated(self.clock.wall_ms());
        self.warm()[instance] = InstanceStandbys::new(&self.scenario, &clock);
        self.clocks.borrow_mut()[instance] = clock;
        let found = self.disks()[instance].age(&self.random);
        self.note(Some(slots.start), found, [0, 0]);
        slots.for_each(|slot| self.sit(slot));
    }

    /// A new worker takes a seat, in the place of one of the same name if there is one.
    pub(super) fn sit(self: &Rc<Self>, slot: usize) {
        self.note(Some(slot), "starts", [0, 0]);
        let client_id = self.cluster().appoint(slot);
        let inner = self.broker.worker(&Self::name(self.scenario.shards, slot));
        let setup = self.setup_of(client_id.instance);
        let pipeline = Arc::clone(&setup.pipeline);
        let client = Client::new(Rc::clone(self), client_id, setup, inner);
        let time_mode = TimeMode::Live(self.clock_of(client_id.instance));
        let store = Box::new(DiskStore::new(Rc::clone(self), client_id));
        let standbys = self.warm()[client_id.instance].standbys.clone();
        let models = self.cluster().instances[client_id.instance].models.clone();
        let worker = Worker::new(slot, client, pipeline, time_mode, self.metrics.clone())
            .with_store(store)
            .with_standbys(standbys)
            .with_learning(Box::new(SlowExecutor))
            .with_shared_models(&models);
        let mut cluster = self.cluster();
        cluster.slots[slot].back_at_ms = None;
        cluster.slots[slot].worker = Some(worker);
    }
}
