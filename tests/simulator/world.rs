//! A world and its steps.

use std::cell::{Cell, RefCell, RefMut};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use flockwise_memory::{Conditions, MemoryBroker};
use flockwise_runtime::broker::Failure;
use flockwise_runtime::clock::Clock;
use flockwise_runtime::metrics::Metrics;
use flockwise_runtime::pipeline::Pipeline;
use flockwise_runtime::topics::Topic;
use prometheus::Registry;

use super::cluster::{ClientId, Cluster, Member};
use super::committed_log::CommittedLog;
use super::disk::Disk;
use super::latest_starts::Starts;
use super::producers::Producers;
use super::scenario::Scenario;
use super::seeded_random::SeededRandom;
use super::setup::Setup;
use super::standbys::InstanceStandbys;
use super::trace::{Trace, TraceEvent};

/// When every world begins.
pub(super) const START_MS: i64 = 1_800_000_000_000;

/// Everything that there is.
pub(super) struct World {
    pub(super) scenario: Scenario,
    /// The pipeline that reads every input.
    pub(super) pipeline: Arc<Pipeline>,
    /// What instances are configured with.
    pub(super) setups: Vec<Setup>,
    pub(super) broker: MemoryBroker,
    /// Of the brokers; nobody sets it.
    pub(super) clock: Clock,
    /// Of each instance as of its latest start, when it was right.
    pub(super) clocks: RefCell<Vec<Clock>>,
    /// Where the inputs begin that have been read.
    pub(super) starts: RefCell<Starts>,
    pub(super) random: SeededRandom,
    pub(super) trace: Rc<Trace>,
    /// Of all workers.
    pub(super) metrics: Metrics,
    pub(super) registry: Registry,
    /// Nothing goes wrong any more.
    pub(super) is_calm: Cell<bool>,
    feed: RefCell<Producers>,
    committed_log: RefCell<CommittedLog>,
    cluster: RefCell<Cluster>,
    /// Of each instance.
    disks: RefCell<Vec<Disk>>,
    /// Of each instance as of its latest start.
    warm: RefCell<Vec<InstanceStandbys>>,
    pub(super) depth: Cell<usize>,
}

impl World {
    pub(super) fn new(scenario: Scenario, trace: Rc<Trace>) -> Rc<Self> {
        let random = SeededRandom::new(!scenario.seed);
        let setups = Setup::all(&scenario);
        let pipeline = Arc::clone(&setups[0].pipeline);
        let clock = Clock::simulated(START_MS);
        let last: Vec<u32> = scenario
            .input_partitions
            .iter()
            .map(|(_, last)| *last)
            .collect();
        let conditions = Conditions {
            clock: clock.clone(),
            seed: random.number(),
            session: scenario.session,
            transaction: scenario.transaction,
            tombstones: scenario.trusted,
            is_static: scenario.is_static,
            idle_percent: scenario.idle_percent,
            most_records: scenario.most_records,
        };
        let broker = MemoryBroker::new(pipeline.topics.clone(), &last)
            .simulated(conditions)
            .skipping_lost_records();
        for (input, (first, _)) in (0..).zip(&scenario.input_partitions) {
            broker.show_partitions(Topic::Input(input), *first);
        }
        let registry = Registry::new();
        let world = Self {
            metrics: Metrics::register_by(&registry, &clock).expect("a new registry"),
            registry,
            feed: RefCell::new(Producers::new(&scenario, pipeline.partitioner, &random)),
            committed_log: RefCell::new(CommittedLog::new(Arc::clone(&pipeline))),
            cluster: RefCell::new(Cluster::new(scenario.instances, scenario.shards)),
            disks: RefCell::new((0..scenario.instances).map(|_| Disk::default()).collect()),
            warm: RefCell::new(
                (0..scenario.instances)
                    .map(|_| InstanceStandbys::new(&scenario, &clock))
                    .collect(),
            ),
            starts: RefCell::default(),
            is_calm: Cell::new(false),
            depth: Cell::new(0),
            clocks: RefCell::new(
                (0..scenario.instances)
                    .map(|_| Clock::simulated(START_MS))
                    .collect(),
            ),
            scenario,
            pipeline,
            setups,
            broker,
            clock,
            random,
            trace,
        };
        world.cluster().instances.iter_mut().for_each(|instance| {
            let late = u64::from(world.random.percent(50)) * world.random.scale(1, 20_000);
            instance.back_at_ms = Some(START_MS + late as i64);
        });
        if world.scenario.variations.backlog {
            world.feed().produce(&world, usize::MAX);
        }
        if world.scenario.variations.latest {
            let count = world.random.scale(1, world.scenario.events / 2);
            world.feed().produce(&world, count as usize);
        }
        Rc::new(world)
    }

    pub(super) fn cluster(&self) -> RefMut<'_, Cluster> {
        self.cluster.borrow_mut()
    }

    pub(super) fn committed_log(&self) -> RefMut<'_, CommittedLog> {
        self.committed_log.borrow_mut()
    }

    pub(super) fn disks(&self) -> RefMut<'_, Vec<Disk>> {
        self.disks.borrow_mut()
    }

    pub(super) fn warm(&self) -> RefMut<'_, Vec<InstanceStandbys>> {
        self.warm.borrow_mut()
    }

    pub(super) fn feed(&self) -> RefMut<'_, Producers> {
        self.feed.borrow_mut()
    }

    pub(super) fn note(&self, slot: Option<usize>, what: &'static str, numbers: [i64; 2]) {
        self.trace.note(TraceEvent {
            at_ms: self.clock.wall_ms(),
            depth: self.depth.get(),
            slot,
            what,
            numbers,
        });
    }

    /// The name under which the group knows the worker of a seat.
    pub(super) fn name(shards: usize, slot: usize) -> String {
        format!("i{}s{}", slot / shards, slot % shards)
    }

    /// Time passes, for everybody.
    pub(super) fn advance(&self, by: Duration) {
        self.clock.advance(by);
        for clock in self.clocks.borrow().iter() {
            clock.advance(by);
        }
    }

    /// The clock of an instance.
    pub(super) fn clock_of(&self, instance: usize) -> Clock {
        self.clocks.borrow()[instance].clone()
    }

    /// What an instance is configured with that has started.
    pub(super) fn setup_of(&self, instance: usize) -> Setup {
        let setup = self.cluster().instances[instance].setup.clone();
        setup.expect("a configuration")
    }

    pub(super) fn is_seated(&self, client_id: &ClientId) -> bool {
        self.cluster().slots[client_id.slot].client_id == Some(*client_id)
    }

    /// One thing happens.
    pub(super) fn step(self: &Rc<Self>) {
        let tick = self.random.below(self.scenario.tick_ms + 1);
        self.advance(Duration::from_millis(tick));
        self.broker.expire_overdue();
        self.start_what_is_due();
        self.produce_some();
        if !self.is_calm.get() {
            self.make_mischief();
        }
        if self.scenario.standbys > 0 && self.random.percent(self.scenario.follow_percent) {
            self.keep_warm(self.random.place(self.scenario.instances));
        }
        let superseded = self.cluster().superseded.len();
        if superseded > 0 && self.random.percent(20) {
            let place = self.random.place(superseded);
            let (client_id, worker) = self.cluster().superseded.swap_remove(place);
            self.turn(client_id, worker);
        } else {
            let slot = self.random.place(self.cluster().slots.len());
            self.turn_at(slot);
        }
    }

    fn produce_some(&self) {
        let share = self.scenario.events.div_ceil(self.scenario.steps).max(1);
        if self.random.percent(40) {
            let count = self.random.below(5 * share) as usize;
            self.feed().produce(self, count);
        }
    }

    /// The worker of a seat has a turn, if it is there.
    pub(super) fn turn_at(self: &Rc<Self>, slot: usize) {
        let taken = self.cluster().take(slot);
        if let Some((client_id, worker)) = taken {
            self.turn(client_id, worker);
        }
    }

    pub(super) fn turn(self: &Rc<Self>, client_id: ClientId, mut worker: Member) {
        match worker.run_once(Duration::ZERO) {
            Ok(_) => {
                self.check_commit(&client_id, &worker);
                let dropped = self.cluster().put_back(client_id, worker);
                drop(dropped);
            }
            Err(failure) => self.end(client_id, &failure),
        }
    }

    /// A worker has ended by itself: another takes its seat after a while.
    pub(super) fn end(&self, client_id: ClientId, failure: &Failure) {
        assert!(
            !matches!(failure, Failure::Config(_)),
            "nothing is wrong that only people can mend: {failure}"
        );
        let mut cluster = self.cluster();
        if cluster.is_alive(&client_id)
            && cluster.slots[client_id.slot].client_id == Some(client_id)
        {
            let slot = &mut cluster.slots[client_id.slot];
            slot.client_id = None;
            slot.back_at_ms = Some(self.later_ms(10, 3_000));
        }
        drop(cluster);
        self.note(Some(client_id.slot), "ends", [0, 0]);
    }

    pub(super) fn later_ms(&self, low: u64, high: u64) -> i64 {
        self.clock.wall_ms() + self.random.scale(low, high) as i64
    }

    /// What a worker has just committed is what it holds.
    fn check_commit(&self, client_id: &ClientId, worker: &Member) {
        let cluster = self.cluster();
        let is_there = cluster.is_alive(client_id)
            && cluster.slots[client_id.slot].client_id == Some(*client_id);
        if !is_there {
            return;
        }
        let (committed_log, feed, now_ms) =
            (self.committed_log(), self.feed(), self.clock.wall_ms());
        for (number, task) in worker.tasks() {
            let (stream_ms, latest_ms) = (task.stream_ms(), feed.latest_stream_ms(number, now_ms));
            assert!(
                stream_ms <= latest_ms,
                "the time of task {number}, {stream_ms}, is ahead of the clock by {} ms",
                stream_ms - latest_ms
            );
            let is_committed = cluster.committed(client_id.slot).contains(&number);
            if is_committed && committed_log.is_current(client_id.client, number) {
                let setup = cluster.instances[client_id.instance].setup.as_ref();
                let pipeline = &setup.expect("a configuration").pipeline;
                committed_log.check_live(pipeline, number, task, worker.versions());
            }
        }
    }
}
