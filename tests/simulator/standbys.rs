//! An instance's standbys, and who reads for them.

use std::rc::Rc;
use std::time::Duration;

use flockwise_memory::MemoryFollower;
use flockwise_runtime::batch::Batch;
use flockwise_runtime::broker::{Failure, Follower};
use flockwise_runtime::clock::Clock;
use flockwise_runtime::standby::{Followed, Standbys};
use flockwise_runtime::topics::TopicPartition;

use super::scenario::Scenario;
use super::world::World;

/// What an instance keeps warm, from its start to its end.
pub(super) struct InstanceStandbys {
    pub(super) standbys: Standbys,
    reader: Option<Reader>,
}

/// A follower, until it fails.
struct Reader {
    inner: MemoryFollower,
    followed: Followed,
    batch: Batch,
}

/// A follower with what befalls it.
struct FaultyFollower<'a> {
    world: &'a World,
    slot: usize,
    inner: &'a mut MemoryFollower,
}

impl InstanceStandbys {
    pub(super) fn new(scenario: &Scenario, clock: &Clock) -> Self {
        let (reach, tasks) = (scenario.standbys, scenario.state_partitions);
        let standbys = Standbys::new(reach, tasks, clock.clone());
        Self {
            standbys: standbys
                .warm_within(scenario.warm_within)
                .trusted_for(scenario.trusted),
            reader: None,
        }
    }
}

impl World {
    /// The thread of an instance that keeps tasks warm gets on a little, if there is one.
    pub(super) fn keep_warm(self: &Rc<Self>, instance: usize) {
        if self.scenario.standbys == 0 || !self.cluster().instances[instance].is_up {
            return;
        }
        let slot = self.cluster().seats_of(instance).start;
        let mut warm = self.warm();
        let InstanceStandbys { standbys, reader } = &mut warm[instance];
        let mut read = reader.take().unwrap_or_else(|| Reader {
            inner: self.broker.follower(),
            followed: Followed::default(),
            batch: Batch::default(),
        });
        let mut befallen = FaultyFollower {
            world: self,
            slot,
            inner: &mut read.inner,
        };
        let (followed, batch) = (&mut read.followed, &mut read.batch);
        let pipeline = self.setup_of(instance).pipeline;
        match standbys.follow_on(&mut befallen, &pipeline, followed, batch) {
            Ok(()) => *reader = Some(read),
            Err(_) => self.note(Some(slot), "follows no more", [0, 0]),
        }
    }
}

impl FaultyFollower<'_> {
    fn fail(&self) -> Result<(), Failure> {
        let reason = "as it was drawn".to_owned();
        match self.world.random.below(300) {
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

    fn poll(&mut self, patience: Duration, limit: usize, batch: &mut Batch) -> Result<(), Failure> {
        self.fail()?;
        let most = limit.min(self.world.scenario.most_records);
        let limit = self.world.random.scale(1, most as u64) as usize;
        self.inner.poll(patience, limit, batch)?;
        if !batch.is_empty() {
            let count = batch.len() as i64;
            self.world.note(Some(self.slot), "follows", [count, 0]);
        }
        Ok(())
    }
}
