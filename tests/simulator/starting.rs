//! Instances and their shards start.

use std::rc::Rc;
use std::sync::Arc;

use flockwise_runtime::clock::Clock;
use flockwise_runtime::pipeline::TimeMode;
use flockwise_runtime::worker::Worker;

use super::client::Client;
use super::disk::DiskStore;
use super::setup::REFUSED;
use super::warm::Warm;
use super::workbench::Slow;
use super::world::World;

impl World {
    /// Starts instances and shards whose time has come.
    pub(super) fn start_what_is_due(self: &Rc<Self>) {
        let now_ms = self.clock.wall_ms();
        let is_due = |at_ms: Option<i64>| at_ms.is_some_and(|at_ms| at_ms <= now_ms);
        for instance in 0..self.scenario.instances {
            if is_due(self.staff().instances[instance].back_at_ms) {
                self.start(instance);
            }
        }
        for seat in 0..self.scenario.instances * self.scenario.shards {
            if is_due(self.staff().seats[seat].back_at_ms) {
                self.sit(seat);
            }
        }
    }

    fn start(self: &Rc<Self>, instance: usize) {
        let Some(setup) = self.configure() else {
            let back_at_ms = self.later_ms(100, 10_000);
            let mut staff = self.staff();
            staff.instances[instance].back_at_ms = Some(back_at_ms);
            let seat = staff.seats_of(instance).start;
            drop(staff);
            return self.note(Some(seat), REFUSED, [0, 0]);
        };
        let setup = self.pinned(setup);
        let seats = {
            let mut staff = self.staff();
            let state = &mut staff.instances[instance];
            state.setup = Some(setup);
            state.life += 1;
            state.models = Default::default();
            state.is_up = true;
            state.back_at_ms = None;
            state.fuse = None;
            staff.seats_of(instance)
        };
        let clock = Clock::simulated(self.clock.wall_ms());
        self.warm()[instance] = Warm::new(&self.scenario, &clock);
        self.clocks.borrow_mut()[instance] = clock;
        let found = self.disks()[instance].age(&self.dice);
        self.note(Some(seats.start), found, [0, 0]);
        seats.for_each(|seat| self.sit(seat));
    }

    /// A new shard takes a seat, in the place of one of the same name if there is one.
    pub(super) fn sit(self: &Rc<Self>, seat: usize) {
        self.note(Some(seat), "starts", [0, 0]);
        let post = self.staff().appoint(seat);
        let inner = self.broker.shard(&Self::name(self.scenario.shards, seat));
        let setup = self.setup_of(post.instance);
        let pipeline = Arc::clone(&setup.pipeline);
        let client = Client::new(Rc::clone(self), post, setup, inner);
        let time_mode = TimeMode::Live(self.clock_of(post.instance));
        let store = Box::new(DiskStore::new(Rc::clone(self), post));
        let standbys = self.warm()[post.instance].standbys.clone();
        let models = self.staff().instances[post.instance].models.clone();
        let shard = Worker::new(seat, client, pipeline, time_mode, self.metrics.clone())
            .with_store(store)
            .with_standbys(standbys)
            .with_learning(Box::new(Slow))
            .with_shared_models(&models);
        let mut staff = self.staff();
        staff.seats[seat].back_at_ms = None;
        staff.seats[seat].shard = Some(shard);
    }
}
