//! A task: the customers of one state partition, and what happens to them.

mod commit;
mod describe;
mod expiry;
mod restore;
mod sampling;
mod scoring;
mod sweeping;

pub use describe::CustomerDescription;
pub use flockwise_vocabulary::topics::InputPartition;
pub use scoring::share_nearer;

use std::collections::BTreeMap;
use std::sync::Arc;

use flockwise_kmeans::Scratch;

use crate::aggregate::{self, NEVER_MS};
use crate::change::{Change, Trigger};
use crate::decide::Suppression;
use crate::dedup::order_key;
use crate::event::Event;
use crate::feature::DAY_MS;
use crate::model::Model;
use crate::plan::Plan;
use crate::policy::{DecisionPolicy, HistoryPolicy, LearningPolicy, TimePolicy};
use crate::rows::Rows;
use crate::sweep_schedule::{SkippedSpan, SweepSchedule};
use crate::trainer::MiniBatch;
use commit::CommittedState;

/// What every task of a pipeline goes by.
#[derive(Clone, Debug)]
pub struct TaskSettings {
    /// The feature plan.
    pub plan: Arc<Plan>,
    /// Margin, patience, dwell, cooldown.
    pub decision: DecisionPolicy,
    /// Lateness and sweep.
    pub time: TimePolicy,
    /// Sampling.
    pub learning: LearningPolicy,
    /// What happened before the pipeline was first started.
    pub history: HistoryPolicy,
    /// State partitions of the pipeline.
    pub tasks: u32,
}

/// How far an input partition has been read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The next offset to read.
    pub next_offset: i64,
    /// Latest event time on it, by which lateness is judged.
    pub time_ms: i64,
    /// Leader epoch up to which it was read, at least that of the record before `next_offset`: by it the brokers tell
    /// whether that record is still there. `None` where it is not known, and then nothing can be told.
    pub leader_epoch: Option<i32>,
}

impl Progress {
    /// Nothing has been read.
    const NONE: Self = Self {
        next_offset: 0,
        time_ms: NEVER_MS,
        leader_epoch: None,
    };
}

/// What is written down about a task besides its rows.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskPosition {
    /// Input partitions read by the task.
    pub inputs: BTreeMap<InputPartition, Progress>,
    /// Positions in topics that are no inputs of this configuration, by name and partition: should one
    /// become an input again, it is read on from there.
    pub other_inputs: BTreeMap<(String, u32), Progress>,
    /// Of which topics the positions are: ids by name. A topic of another id is another topic.
    pub topic_ids: BTreeMap<String, String>,
    /// The next offset of its repartition partition.
    pub repartition_offset: i64,
    /// Latest event time of the task's customers.
    pub stream_ms: i64,
    /// The time that has passed for the sweep: `stream_ms`, but no later than the watermark.
    pub passed_ms: i64,
    /// The time that has passed for sampling: the watermark, or `stream_ms` where nothing holds that back.
    pub sampled_ms: i64,
    /// The instant that the sweep has reached.
    pub swept_ms: Option<i64>,
    /// What it left out on the way, less than a period before.
    pub leap: Option<SkippedSpan>,
    /// Version of the model in use; 0: none.
    pub version: u64,
    /// The instant that the sweep had reached when it came into use: customers due later were scored by
    /// it.
    pub version_since_ms: Option<i64>,
    /// How many customers the task has, to see whether all of them come back; `None` where it was written by a
    /// version that did not count them.
    pub customers: Option<u64>,
}

/// The model in use and the one before, which tells what a new version alone has moved.
#[derive(Clone, Debug)]
pub struct Versions {
    /// The version that scores.
    pub current: Arc<Model>,
    /// Its predecessor, as long as it is at hand.
    pub previous: Option<Arc<Model>>,
}

/// What a task gives out; the caller owns, reads and clears it.
#[derive(Clone, Debug, Default)]
pub struct Output {
    /// Changes of segment in the order in which they were decided.
    pub changes: Vec<Change>,
    /// For the trainer.
    pub mini_batches: Vec<MiniBatch>,
    /// Flips suppressed, in the order of [`crate::decide::Suppression::ALL`].
    pub suppressed: [u64; Suppression::ALL.len()],
    /// Scorings by the sweep.
    pub swept: u64,
    /// Those of them that found the customer far from every segment.
    pub swept_outliers: u64,
    /// Events left out because they were seen before.
    pub duplicates: u64,
}

/// Why an event is refused by its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Untimely {
    /// Too far behind its input partition.
    TooLate,
    /// Too far ahead of the clock.
    TooFarAhead,
}

/// The customers of one state partition.
#[derive(Clone, Debug)]
pub struct Task {
    settings: Arc<TaskSettings>,
    rows: Rows,
    calendar: SweepSchedule,
    position: TaskPosition,
    /// Whose turn it is to be sampled: as far as the watermark, or the stream's time, whatever the sweep does.
    sampling: SweepSchedule,
    settled: CommittedState,
    sweeping: Sweeping,
    /// No event before this time is to come: nothing is swept beyond it. Milliseconds since the epoch.
    watermark_ms: i64,
    period: Option<Period>,
    raw: Vec<f64>,
    vector: Vec<f64>,
    scaled: Vec<f64>,
    scratch: Scratch,
    approached: Vec<u32>,
}

/// A period of learning, in which all tasks sample alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Period {
    /// Its end, milliseconds since the epoch: no task processes an event of this time or later in it.
    pub end_ms: i64,
    /// Customers of all tasks at its beginning.
    pub customers: u64,
}

/// When customers who have become due are scored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sweeping {
    /// As soon as time has come to it, all of them.
    #[default]
    AtOnce,
    /// By and by, as [`Task::sweep_some`] is called; each before anything else happens to that customer.
    Later,
}

#[derive(Clone, Copy)]
enum Occasion {
    Event(Trigger),
    Sweep,
}

impl Task {
    /// A task without customers.
    #[must_use]
    pub fn new(settings: Arc<TaskSettings>) -> Self {
        let features = settings.plan.len();
        let position = TaskPosition {
            inputs: BTreeMap::new(),
            other_inputs: BTreeMap::new(),
            topic_ids: BTreeMap::new(),
            repartition_offset: 0,
            stream_ms: NEVER_MS,
            swept_ms: None,
            passed_ms: NEVER_MS,
            sampled_ms: NEVER_MS,
            leap: None,
            version: 0,
            version_since_ms: None,
            customers: None,
        };
        Self {
            rows: Rows::new(&settings.plan),
            // Without a sweep nobody looks at it.
            calendar: SweepSchedule::new(settings.time.sweep_ms.unwrap_or(DAY_MS as i64)),
            sampling: SweepSchedule::for_sampling(settings.learning.sampling_ms()),
            settled: CommittedState::new(&position),
            position,
            sweeping: Sweeping::AtOnce,
            watermark_ms: i64::MAX,
            period: None,
            raw: vec![0.0; features],
            vector: vec![0.0; features],
            scaled: Vec::with_capacity(features),
            scratch: Scratch::default(),
            approached: Vec::new(),
            settings,
        }
    }

    /// From now on customers who are due are scored at once or later. Sampling is always done at once.
    pub fn set_sweeping(&mut self, sweeping: Sweeping) {
        self.sweeping = sweeping;
    }

    /// From now on nothing is swept beyond this event time, before which no event is to come (`i64::MAX`: none at
    /// all). The sweep goes on with the next event, or with [`Task::advance_time`].
    pub fn set_watermark(&mut self, watermark_ms: i64) {
        self.watermark_ms = watermark_ms;
    }

    /// In which period of learning the task is, where all tasks and the trainer go from one to the next together;
    /// `None` where they do not, as with live events.
    pub fn set_period(&mut self, period: Option<Period>) {
        self.period = period;
    }

    /// See [`Task::set_watermark`].
    #[must_use]
    pub fn watermark_ms(&self) -> i64 {
        self.watermark_ms
    }

    /// How far each of its input partitions has been read.
    pub fn inputs(&self) -> impl Iterator<Item = (InputPartition, Progress)> {
        self.position
            .inputs
            .iter()
            .map(|(input, progress)| (*input, *progress))
    }

    /// The id of the topic of this name that the positions are of, where one is known.
    #[must_use]
    pub fn topic_id(&self, topic: &str) -> Option<&str> {
        self.position.topic_ids.get(topic).map(String::as_str)
    }

    /// Notes of which topic the positions are.
    pub fn set_topic_id(&mut self, topic: &str, id: &str) {
        self.position
            .topic_ids
            .insert(topic.to_owned(), id.to_owned());
    }

    /// Goes back to the first offset of an input: the positions were those of a topic that is gone.
    pub fn restart_input(&mut self, input: u16) {
        let places = self.position.inputs.iter_mut();
        for (_, progress) in places.filter(|((known, _), _)| *known == input) {
            *progress = Progress::NONE;
        }
    }

    /// The next offset of its repartition partition.
    #[must_use]
    pub fn repartition_offset(&self) -> i64 {
        self.position.repartition_offset
    }

    /// Where the task stands in its inputs and in time.
    #[must_use]
    pub fn position(&self) -> TaskPosition {
        TaskPosition {
            swept_ms: self.calendar.swept_ms(),
            leap: self.calendar.leap(),
            customers: Some(self.rows.len() as u64),
            ..self.position.clone()
        }
    }

    /// The customers.
    #[must_use]
    pub fn rows(&self) -> &Rows {
        &self.rows
    }

    /// Latest event time of the task's customers; [`NEVER_MS`] before the first event.
    #[must_use]
    pub fn stream_ms(&self) -> i64 {
        self.position.stream_ms
    }

    /// Notes that everything before `next_offset` of an input partition has been read.
    pub fn advance_input(&mut self, input: InputPartition, next_offset: i64) {
        self.progress(input).next_offset = next_offset;
    }

    /// Notes that everything before `next_offset` of the repartition partition has been read.
    pub fn advance_repartition(&mut self, next_offset: i64) {
        self.position.repartition_offset = next_offset;
    }

    /// Notes the leader epoch of what was read of an input partition, see [`Progress::leader_epoch`].
    pub fn set_leader_epoch(&mut self, input: InputPartition, leader_epoch: Option<i32>) {
        self.progress(input).leader_epoch = leader_epoch;
    }

    fn progress(&mut self, input: InputPartition) -> &mut Progress {
        let inputs = &mut self.position.inputs;
        inputs.entry(input).or_insert(Progress::NONE)
    }

    /// Judges an event by its time against its own input partition and the clock, wherever its customer
    /// belongs.
    ///
    /// # Errors
    /// Where it comes too late or from too far ahead; the partition's time then stays.
    pub fn judge_time(
        &mut self,
        input: InputPartition,
        time_ms: i64,
        now_ms: Option<i64>,
    ) -> Result<(), Untimely> {
        let policy = self.settings.time;
        if policy.is_too_far_ahead(time_ms, now_ms) {
            return Err(Untimely::TooFarAhead);
        }
        let progress = self.progress(input);
        if time_ms < progress.time_ms.saturating_sub(policy.lateness_ms) {
            return Err(Untimely::TooLate);
        }
        progress.time_ms = progress.time_ms.max(time_ms);
        Ok(())
    }

    /// Says whose events come next, by [`Event::customer_hash`]. It changes nothing but how long
    /// [`Task::process`] then waits for memory; a few dozen at a time are best.
    pub fn prefetch(&mut self, customers: &[u64]) {
        self.rows.prefetch(customers, &mut self.approached);
    }

    /// Takes in an event of one of the task's customers: sweeps up to its time, updates the customer's
    /// features, scores, decides.
    pub fn process(
        &mut self,
        event: &Event,
        trigger: Trigger,
        versions: Option<&Versions>,
        output: &mut Output,
    ) {
        self.advance_time(event.time_ms, versions, output);
        let (row, is_new) = self.row_of(event, versions, output);
        if self.is_duplicate(row, event) {
            output.duplicates += 1;
            return;
        }
        if !is_new {
            self.sample_before(row, event.time_ms, versions.is_some(), output);
        }
        self.rows.touch(row);
        self.observe(row, event);
        let at_ms = event.time_ms.max(self.rows.standing(row).as_of_ms);
        let at_ms = at_ms.max(self.rows.reference_ms(row));
        self.score(row, at_ms, Occasion::Event(trigger), versions, output);
        if is_new {
            self.catch_up(row, versions, output);
        }
    }

    /// A customer's row, made if need be, and whether it is new. Who is there and due is scored first.
    fn row_of(
        &mut self,
        event: &Event,
        versions: Option<&Versions>,
        output: &mut Output,
    ) -> (u32, bool) {
        let (hash, customer_id) = (event.customer_hash(), event.customer_id());
        if let Some(row) = self.rows.look_up(hash, customer_id) {
            self.visit_before(row, event.time_ms, versions, output);
            if self.rows.is_live(row) {
                return (row, false);
            }
        }
        let row = self.rows.add(hash, customer_id);
        self.enter(row, hash);
        (row, true)
    }

    fn enter(&mut self, row: u32, customer_hash: u64) {
        self.calendar.enter(row, customer_hash);
        self.sampling.enter(row, customer_hash);
    }

    /// Scores a customer who comes late as of when the sweep has gone by, so that everybody stands as
    /// of the last sweep at least: a restored task takes that for granted.
    fn catch_up(&mut self, row: u32, versions: Option<&Versions>, output: &mut Output) {
        let due_ms = self.calendar.last_due_ms(self.rows.customer_hash(row));
        let as_of_ms = self.rows.standing(row).as_of_ms;
        if let Some(due_ms) = due_ms.filter(|due_ms| *due_ms > as_of_ms) {
            self.sweep(row, due_ms, versions, output);
        }
    }

    fn is_duplicate(&mut self, row: u32, event: &Event) -> bool {
        let plan = &self.settings.plan;
        let bound = self.settings.time.remembered_ids;
        let key = event.order.map(|order| order_key(event.name_hash, order));
        // Several partial refunds of one order are all real, so for them the event id alone tells.
        if let Some(key) = key.filter(|_| !plan.is_reversing(event.name)) {
            if self.rows.dedup(row).ordered_ms(key).is_some() {
                return true;
            }
            if event
                .id
                .is_some_and(|id| self.rows.is_repeated(row, id, bound))
            {
                return true;
            }
            self.rows.remember_order(row, key, event.time_ms, bound);
            return false;
        }
        event
            .id
            .is_some_and(|id| self.rows.is_repeated(row, id, bound))
    }

    fn observe(&mut self, row: u32, event: &Event) {
        let plan = &self.settings.plan;
        let (columns, reference_ms, ordered_ms) = self.rows.sums_mut(row);
        aggregate::observe(plan, columns, reference_ms, event, |name| {
            ordered_ms(order_key(plan.name_hash(name), event.order?))
        });
    }
}
