//! An instance's standbys, and the follower that reads for them.

use std::rc::Rc;
use std::time::Duration;

use flockwise_runtime::batch::Batch;
use flockwise_runtime::broker::{Failure, Follower};
use flockwise_runtime::clock::Clock;
use flockwise_runtime::standby::{FollowedTasks, Standbys};
use flockwise_runtime::topics::TopicPartition;
use flockwise_simulation::SimulatedFollower;

use super::scenario::Scenario;
use super::simulation::Simulation;

/// An instance's standbys, from its start to its end.
pub(super) struct InstanceStandbys {
    pub(super) standbys: Standbys,
    reader: Option<Reader>,
}

/// A follower and its state. Replaced after a failure.
struct Reader {
    inner: SimulatedFollower,
    followed: FollowedTasks,
    batch: Batch,
}

/// A follower that fails at random.
struct FaultyFollower<'a> {
    simulation: &'a Simulation,
    slot: usize,
    inner: &'a mut SimulatedFollower,
}

impl InstanceStandbys {
    pub(super) fn new(scenario: &Scenario, clock: &Clock) -> Self {
        let (neighbours, tasks) = (scenario.standbys, scenario.state_partitions);
        let standbys = Standbys::new(neighbours, tasks, clock.clone());
        Self {
            standbys: standbys
                .warm_within(scenario.warm_within)
                .trusted_for(scenario.trusted),
            reader: None,
        }
    }
}

impl Simulation {
    /// Polls an instance's standbys once, if it is up and has any.
    pub(super) fn poll_standbys(self: &Rc<Self>, instance: usize) {
        if self.scenario.standbys == 0 || !self.cluster().instances[instance].is_up {
            return;
        }
        let slot = self.cluster().slots_of(instance).start;
        let mut instance_standbys = self.instance_standbys();
        let InstanceStandbys { standbys, reader } = &mut instance_standbys[instance];
        let mut read = reader.take().unwrap_or_else(|| Reader {
            inner: self.broker.follower(),
            followed: FollowedTasks::default(),
            batch: Batch::default(),
        });
        let mut follower = FaultyFollower {
            simulation: self,
            slot,
            inner: &mut read.inner,
        };
        let (followed, batch) = (&mut read.followed, &mut read.batch);
        let pipeline = self.setup_of(instance).pipeline;
        match standbys.follow_on(&mut follower, &pipeline, followed, batch) {
            Ok(()) => *reader = Some(read),
            Err(_) => self.note(Some(slot), "its follower fails", [0, 0]),
        }
    }
}

impl FaultyFollower<'_> {
    fn fail(&self) -> Result<(), Failure> {
        let reason = "injected".to_owned();
        match self.simulation.random.below(300) {
            0 => Err(Failure::Config(reason)),
            1 => Err(Failure::Fatal(reason)),
            _ => Ok(()),
        }
    }
}

impl Follower for FaultyFollower<'_> {
    fn follow(&mut self, reads: &[(TopicPartition, Option<i64>)]) -> Result<(), Failure> {
        self.fail()?;
        self.inner.follow(reads)
    }

    fn poll(&mut self, timeout: Duration, limit: usize, batch: &mut Batch) -> Result<(), Failure> {
        self.fail()?;
        let most = limit.min(self.simulation.scenario.most_records);
        let limit = self.simulation.random.scale(1, most as u64) as usize;
        self.inner.poll(timeout, limit, batch)?;
        if !batch.is_empty() {
            let count = batch.len() as i64;
            self.simulation.note(Some(self.slot), "follows", [count, 0]);
        }
        Ok(())
    }
}
