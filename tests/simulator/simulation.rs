//! The state of a simulation, and its steps.

use std::cell::{Cell, RefCell, RefMut};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use flockwise_runtime::broker::Failure;
use flockwise_runtime::clock::Clock;
use flockwise_runtime::metrics::Metrics;
use flockwise_runtime::pipeline::Pipeline;
use flockwise_runtime::topics::Topic;
use flockwise_simulation::{Conditions, SimulatedBroker};
use prometheus::Registry;

use super::cluster::{ClientId, Cluster, SimulatedWorker};
use super::committed_log::CommittedLog;
use super::disk::Disk;
use super::erasures::Erasures;
use super::latest_starts::Starts;
use super::producers::Producers;
use super::rolling_configurations::Setup;
use super::scenario::Scenario;
use super::seeded_random::SeededRandom;
use super::standbys::InstanceStandbys;
use super::trace::{Trace, TraceEvent};

/// Wall time at the start of every simulation, ms since the epoch.
pub(super) const START_MS: i64 = 1_800_000_000_000;

/// The state of a simulation.
pub(super) struct Simulation {
    pub(super) scenario: Scenario,
    /// The pipeline that reads every input.
    pub(super) pipeline: Arc<Pipeline>,
    /// The configurations that instances may start with. The first reads every input.
    pub(super) setups: Vec<Setup>,
    pub(super) broker: SimulatedBroker,
    /// The brokers' clock. No fault sets it.
    pub(super) clock: Clock,
    /// Each instance's clock. Correct when the instance starts; faults may set it later.
    pub(super) clocks: RefCell<Vec<Clock>>,
    /// The fixed start offsets of the inputs that have been read.
    pub(super) starts: RefCell<Starts>,
    pub(super) random: SeededRandom,
    pub(super) trace: Rc<Trace>,
    /// The metrics of all workers.
    pub(super) metrics: Metrics,
    pub(super) registry: Registry,
    /// True once faults have ended and the rest is drained.
    pub(super) is_draining: Cell<bool>,
    producers: RefCell<Producers>,
    committed_log: RefCell<CommittedLog>,
    erasures: RefCell<Erasures>,
    cluster: RefCell<Cluster>,
    /// The disk of each instance.
    disks: RefCell<Vec<Disk>>,
    /// The standbys of each instance since its latest start.
    instance_standbys: RefCell<Vec<InstanceStandbys>>,
    pub(super) depth: Cell<usize>,
}

impl Simulation {
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
            skips_lost_records: true,
            idle_percent: scenario.idle_percent,
            most_records: scenario.most_records,
        };
        let broker = SimulatedBroker::new(pipeline.topics.clone(), &last, conditions);
        for (input, (first, _)) in (0..).zip(&scenario.input_partitions) {
            broker.show_partitions(Topic::Input(input), *first);
        }
        let registry = Registry::new();
        let simulation = Self {
            metrics: Metrics::register_by(&registry, &clock).expect("a new registry"),
            registry,
            producers: RefCell::new(Producers::new(&scenario, pipeline.partitioner, &random)),
            committed_log: RefCell::new(CommittedLog::new(Arc::clone(&pipeline))),
            erasures: RefCell::default(),
            cluster: RefCell::new(Cluster::new(scenario.instances, scenario.shards)),
            disks: RefCell::new((0..scenario.instances).map(|_| Disk::default()).collect()),
            instance_standbys: RefCell::new(
                (0..scenario.instances)
                    .map(|_| InstanceStandbys::new(&scenario, &clock))
                    .collect(),
            ),
            starts: RefCell::default(),
            is_draining: Cell::new(false),
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
        simulation
            .cluster()
            .instances
            .iter_mut()
            .for_each(|instance| {
                let late =
                    u64::from(simulation.random.percent(50)) * simulation.random.scale(1, 20_000);
                instance.back_at_ms = Some(START_MS + late as i64);
            });
        if simulation.scenario.variations.backlog {
            simulation.producers().produce(&simulation, usize::MAX);
        }
        if simulation.scenario.variations.latest {
            let count = simulation.random.scale(1, simulation.scenario.events / 2);
            simulation.producers().produce(&simulation, count as usize);
        }
        Rc::new(simulation)
    }

    pub(super) fn cluster(&self) -> RefMut<'_, Cluster> {
        self.cluster.borrow_mut()
    }

    pub(super) fn committed_log(&self) -> RefMut<'_, CommittedLog> {
        self.committed_log.borrow_mut()
    }

    pub(super) fn erasures(&self) -> RefMut<'_, Erasures> {
        self.erasures.borrow_mut()
    }

    pub(super) fn disks(&self) -> RefMut<'_, Vec<Disk>> {
        self.disks.borrow_mut()
    }

    pub(super) fn instance_standbys(&self) -> RefMut<'_, Vec<InstanceStandbys>> {
        self.instance_standbys.borrow_mut()
    }

    pub(super) fn producers(&self) -> RefMut<'_, Producers> {
        self.producers.borrow_mut()
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

    /// The group's name for the worker in a slot.
    pub(super) fn name(shards: usize, slot: usize) -> String {
        format!("i{}s{}", slot / shards, slot % shards)
    }

    /// Advances all clocks.
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

    /// The configuration of an instance that has started.
    pub(super) fn setup_of(&self, instance: usize) -> Setup {
        let setup = self.cluster().instances[instance].setup.clone();
        setup.expect("a configuration")
    }

    pub(super) fn holds_slot(&self, client_id: &ClientId) -> bool {
        self.cluster().slots[client_id.slot].client_id == Some(*client_id)
    }

    /// Runs one step: advances time, injects faults, and runs one worker once.
    pub(super) fn step(self: &Rc<Self>) {
        let tick = self.random.below(self.scenario.tick_ms + 1);
        self.advance(Duration::from_millis(tick));
        self.broker.expire_overdue();
        self.start_what_is_due();
        self.plan_erasures();
        self.erase_some();
        self.produce_some();
        if !self.is_draining.get() {
            self.inject_faults();
        }
        if self.scenario.standbys > 0 && self.random.percent(self.scenario.follow_percent) {
            self.poll_standbys(self.random.index(self.scenario.instances));
        }
        let superseded = self.cluster().superseded.len();
        if superseded > 0 && self.random.percent(20) {
            let index = self.random.index(superseded);
            let (client_id, worker) = self.cluster().superseded.swap_remove(index);
            self.run_worker(client_id, worker);
        } else {
            let slot = self.random.index(self.cluster().slots.len());
            self.run_slot(slot);
        }
    }

    fn produce_some(&self) {
        let share = self.scenario.events.div_ceil(self.scenario.steps).max(1);
        if self.has_erased_all() && self.random.percent(40) {
            let count = self.random.below(5 * share) as usize;
            self.producers().produce(self, count);
        }
    }

    /// Runs the worker in a slot once, if there is one.
    pub(super) fn run_slot(self: &Rc<Self>, slot: usize) {
        let taken = self.cluster().take(slot);
        if let Some((client_id, worker)) = taken {
            self.run_worker(client_id, worker);
        }
    }

    pub(super) fn run_worker(self: &Rc<Self>, client_id: ClientId, mut worker: SimulatedWorker) {
        match worker.run_once(Duration::ZERO) {
            Ok(_) => {
                self.check_commit(&client_id, &worker);
                let dropped = self.cluster().put_back(client_id, worker);
                drop(dropped);
            }
            Err(failure) => self.end(client_id, &failure),
        }
    }

    /// A worker has failed. Another one starts in its slot after a delay.
    pub(super) fn end(&self, client_id: ClientId, failure: &Failure) {
        assert!(
            !matches!(failure, Failure::Config(_)),
            "unexpected configuration failure: {failure}"
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

    /// Checks that a worker's tasks equal what it has just committed, and that their stream time is not ahead of the
    /// clock.
    fn check_commit(&self, client_id: &ClientId, worker: &SimulatedWorker) {
        let cluster = self.cluster();
        let is_there = cluster.is_alive(client_id)
            && cluster.slots[client_id.slot].client_id == Some(*client_id);
        if !is_there {
            return;
        }
        let (committed_log, producers, now_ms) =
            (self.committed_log(), self.producers(), self.clock.wall_ms());
        for (task_id, task) in worker.tasks() {
            let (stream_ms, latest_ms) = (
                task.stream_ms(),
                producers.latest_stream_ms(task_id, now_ms),
            );
            assert!(
                stream_ms <= latest_ms,
                "the stream time of task {task_id}, {stream_ms}, is {} ms later than any event allows",
                stream_ms - latest_ms
            );
            let is_committed = cluster.committed(client_id.slot).contains(&task_id);
            if is_committed && committed_log.is_current(client_id.client, task_id) {
                let setup = cluster.instances[client_id.instance].setup.as_ref();
                let pipeline = &setup.expect("a configuration").pipeline;
                committed_log.check_live(pipeline, task_id, task, worker.versions());
            }
        }
    }
}
