//! Starts instances and their workers.

use std::rc::Rc;
use std::sync::Arc;

use flockwise_runtime::clock::Clock;
use flockwise_runtime::pipeline::TimeMode;
use flockwise_runtime::worker::Worker;

use super::client::Client;
use super::disk::DiskStore;
use super::rolling_configurations::REFUSED;
use super::simulation::Simulation;
use super::slow_learning::SlowExecutor;
use super::standbys::InstanceStandbys;

impl Simulation {
    /// Starts instances and workers that are due.
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
                self.start_worker(slot);
            }
        }
    }

    fn start(self: &Rc<Self>, instance: usize) {
        let Some(setup) = self.draw_setup() else {
            let back_at_ms = self.later_ms(100, 10_000);
            let mut cluster = self.cluster();
            cluster.instances[instance].back_at_ms = Some(back_at_ms);
            let slot = cluster.slots_of(instance).start;
            drop(cluster);
            return self.note(Some(slot), REFUSED, [0, 0]);
        };
        let setup = self.pinned(setup);
        let slots = {
            let mut cluster = self.cluster();
            let state = &mut cluster.instances[instance];
            state.setup = Some(setup);
            state.incarnation += 1;
            state.models = Default::default();
            state.is_up = true;
            state.back_at_ms = None;
            state.kill_countdown = None;
            cluster.slots_of(instance)
        };
        let clock = Clock::simulated(self.clock.wall_ms());
        self.instance_standbys()[instance] = InstanceStandbys::new(&self.scenario, &clock);
        self.clocks.borrow_mut()[instance] = clock;
        let found = self.disks()[instance].restart(&self.random);
        self.note(Some(slots.start), found, [0, 0]);
        slots.for_each(|slot| self.start_worker(slot));
    }

    /// Starts a worker in a slot. It supersedes the slot's current worker, which has the same name.
    pub(super) fn start_worker(self: &Rc<Self>, slot: usize) {
        self.note(Some(slot), "starts", [0, 0]);
        let client_id = self.cluster().new_client(slot);
        let inner = self.broker.worker(&Self::name(self.scenario.shards, slot));
        let setup = self.setup_of(client_id.instance);
        let pipeline = Arc::clone(&setup.pipeline);
        let client = Client::new(Rc::clone(self), client_id, setup, inner);
        let time_mode = TimeMode::Live(self.clock_of(client_id.instance));
        let store = Box::new(DiskStore::new(Rc::clone(self), client_id));
        let standbys = self.instance_standbys()[client_id.instance]
            .standbys
            .clone();
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
