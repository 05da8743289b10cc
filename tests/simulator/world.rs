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

use super::dice::Dice;
use super::disk::Disk;
use super::feed::Feed;
use super::ledger::Ledger;
use super::scenario::Scenario;
use super::setup::Setup;
use super::staff::{Member, Post, Staff};
use super::starts::Starts;
use super::story::{Beat, Story};
use super::warm::Warm;

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
    pub(super) dice: Dice,
    pub(super) story: Rc<Story>,
    /// Of all shards.
    pub(super) metrics: Metrics,
    pub(super) registry: Registry,
    /// Nothing goes wrong any more.
    pub(super) is_calm: Cell<bool>,
    feed: RefCell<Feed>,
    ledger: RefCell<Ledger>,
    staff: RefCell<Staff>,
    /// Of each instance.
    disks: RefCell<Vec<Disk>>,
    /// Of each instance as of its latest start.
    warm: RefCell<Vec<Warm>>,
    pub(super) depth: Cell<usize>,
}

impl World {
    pub(super) fn new(scenario: Scenario, story: Rc<Story>) -> Rc<Self> {
        let dice = Dice::new(!scenario.seed);
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
            seed: dice.number(),
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
            broker.show(Topic::Input(input), *first);
        }
        let registry = Registry::new();
        let world = Self {
            metrics: Metrics::register_by(&registry, &clock).expect("a new registry"),
            registry,
            feed: RefCell::new(Feed::new(&scenario, pipeline.partitioner, &dice)),
            ledger: RefCell::new(Ledger::new(Arc::clone(&pipeline))),
            staff: RefCell::new(Staff::new(scenario.instances, scenario.shards)),
            disks: RefCell::new((0..scenario.instances).map(|_| Disk::default()).collect()),
            warm: RefCell::new(
                (0..scenario.instances)
                    .map(|_| Warm::new(&scenario, &clock))
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
            dice,
            story,
        };
        world.staff().instances.iter_mut().for_each(|instance| {
            let late = u64::from(world.dice.percent(50)) * world.dice.scale(1, 20_000);
            instance.back_at_ms = Some(START_MS + late as i64);
        });
        if world.scenario.twists.backlog {
            world.feed().produce(&world, usize::MAX);
        }
        if world.scenario.twists.latest {
            let count = world.dice.scale(1, world.scenario.events / 2);
            world.feed().produce(&world, count as usize);
        }
        Rc::new(world)
    }

    pub(super) fn staff(&self) -> RefMut<'_, Staff> {
        self.staff.borrow_mut()
    }

    pub(super) fn ledger(&self) -> RefMut<'_, Ledger> {
        self.ledger.borrow_mut()
    }

    pub(super) fn disks(&self) -> RefMut<'_, Vec<Disk>> {
        self.disks.borrow_mut()
    }

    pub(super) fn warm(&self) -> RefMut<'_, Vec<Warm>> {
        self.warm.borrow_mut()
    }

    pub(super) fn feed(&self) -> RefMut<'_, Feed> {
        self.feed.borrow_mut()
    }

    pub(super) fn note(&self, seat: Option<usize>, what: &'static str, numbers: [i64; 2]) {
        self.story.note(Beat {
            at_ms: self.clock.wall_ms(),
            depth: self.depth.get(),
            seat,
            what,
            numbers,
        });
    }

    /// The name under which the group knows the shard of a seat.
    pub(super) fn name(shards: usize, seat: usize) -> String {
        format!("i{}s{}", seat / shards, seat % shards)
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
        let setup = self.staff().instances[instance].setup.clone();
        setup.expect("a configuration")
    }

    pub(super) fn is_seated(&self, post: &Post) -> bool {
        self.staff().seats[post.seat].post == Some(*post)
    }

    /// One thing happens.
    pub(super) fn step(self: &Rc<Self>) {
        let tick = self.dice.below(self.scenario.tick_ms + 1);
        self.advance(Duration::from_millis(tick));
        self.broker.let_time_pass();
        self.start_what_is_due();
        self.produce_some();
        if !self.is_calm.get() {
            self.make_mischief();
        }
        if self.scenario.standbys > 0 && self.dice.percent(self.scenario.follow_percent) {
            self.keep_warm(self.dice.place(self.scenario.instances));
        }
        let superseded = self.staff().superseded.len();
        if superseded > 0 && self.dice.percent(20) {
            let place = self.dice.place(superseded);
            let (post, shard) = self.staff().superseded.swap_remove(place);
            self.turn(post, shard);
        } else {
            let seat = self.dice.place(self.staff().seats.len());
            self.turn_at(seat);
        }
    }

    fn produce_some(&self) {
        let share = self.scenario.events.div_ceil(self.scenario.steps).max(1);
        if self.dice.percent(40) {
            let count = self.dice.below(5 * share) as usize;
            self.feed().produce(self, count);
        }
    }

    /// The shard of a seat has a turn, if it is there.
    pub(super) fn turn_at(self: &Rc<Self>, seat: usize) {
        let taken = self.staff().take(seat);
        if let Some((post, shard)) = taken {
            self.turn(post, shard);
        }
    }

    pub(super) fn turn(self: &Rc<Self>, post: Post, mut shard: Member) {
        match shard.turn(Duration::ZERO) {
            Ok(_) => {
                self.check_commit(&post, &shard);
                let dropped = self.staff().put_back(post, shard);
                drop(dropped);
            }
            Err(failure) => self.end(post, &failure),
        }
    }

    /// A shard has ended by itself: another takes its seat after a while.
    pub(super) fn end(&self, post: Post, failure: &Failure) {
        assert!(
            !matches!(failure, Failure::Config(_)),
            "nothing is wrong that only people can mend: {failure}"
        );
        let mut staff = self.staff();
        if staff.is_alive(&post) && staff.seats[post.seat].post == Some(post) {
            let seat = &mut staff.seats[post.seat];
            seat.post = None;
            seat.back_at_ms = Some(self.later_ms(10, 3_000));
        }
        drop(staff);
        self.note(Some(post.seat), "ends", [0, 0]);
    }

    pub(super) fn later_ms(&self, low: u64, high: u64) -> i64 {
        self.clock.wall_ms() + self.dice.scale(low, high) as i64
    }

    /// What a shard has just committed is what it holds.
    fn check_commit(&self, post: &Post, shard: &Member) {
        let staff = self.staff();
        let is_there = staff.is_alive(post) && staff.seats[post.seat].post == Some(*post);
        if !is_there {
            return;
        }
        let (ledger, feed, now_ms) = (self.ledger(), self.feed(), self.clock.wall_ms());
        for (number, task) in shard.tasks() {
            let (stream_ms, latest_ms) = (task.stream_ms(), feed.latest_stream_ms(number, now_ms));
            assert!(
                stream_ms <= latest_ms,
                "the time of task {number}, {stream_ms}, is ahead of the clock by {} ms",
                stream_ms - latest_ms
            );
            let is_committed = staff.committed(post.seat).contains(&number);
            if is_committed && ledger.is_current(post.client, number) {
                let setup = staff.instances[post.instance].setup.as_ref();
                let pipeline = &setup.expect("a configuration").pipeline;
                ledger.check_live(pipeline, number, task, shard.versions());
            }
        }
    }
}
