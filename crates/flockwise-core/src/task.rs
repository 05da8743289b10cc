//! A task: the customers of one state partition, and the work on them.

mod apply_command;
mod command;
mod commit_and_rollback;
mod committed_state;
mod customer_description;
mod describe_customer;
mod expiry;
mod learning_period;
mod observing;
mod output;
mod position;
mod restore;
mod sampling;
mod scoring;
mod sweeping;
mod versions;

pub use command::TaskCommand;
pub use customer_description::CustomerDescription;
pub use flockwise_vocabulary::topics::InputPartition;
pub use learning_period::Period;
pub use output::{DuplicateBy, Output};
pub use position::{Progress, TaskPosition};
pub use versions::Versions;

use std::sync::Arc;

use flockwise_kmeans::Scratch;

use crate::change::Trigger;
use crate::event::Event;
use crate::feature::DAY_MS;
use crate::orders::OrderEntries;
use crate::plan::Plan;
use crate::policy::{DecisionPolicy, HistoryPolicy, LearningPolicy, TimePolicy};
use crate::rows::Rows;
use crate::segment_sizes::SegmentSizes;
use crate::sweep_schedule::SweepSchedule;
use committed_state::CommittedState;

/// Settings that all tasks of a pipeline share.
#[derive(Clone, Debug)]
pub struct TaskSettings {
    /// The feature plan.
    pub plan: Arc<Plan>,
    /// Margin, patience, dwell, cooldown.
    pub decision: DecisionPolicy,
    /// Lateness, sweep, dedup and expiry.
    pub time: TimePolicy,
    /// How customers are sampled for the trainer.
    pub learning: LearningPolicy,
    /// What counts as history.
    pub history: HistoryPolicy,
    /// Number of state partitions of the pipeline.
    pub tasks: u32,
}

/// Why an event is rejected because of its time.
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
    segment_sizes: SegmentSizes,
    calendar: SweepSchedule,
    position: TaskPosition,
    /// The schedule of sampling. It follows the watermark, or stream time, whatever the sweep does.
    sampling: SweepSchedule,
    settled: CommittedState,
    sweeping: Sweeping,
    /// The watermark, milliseconds since the epoch: no earlier event is expected, and nothing is swept beyond it.
    watermark_ms: i64,
    period: Option<Period>,
    raw: Vec<f64>,
    vector: Vec<f64>,
    scaled: Vec<f64>,
    scratch: Scratch,
    approached: Vec<u32>,
    orders: OrderEntries,
}

/// When due customers are scored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sweeping {
    /// All of them as soon as they are due.
    #[default]
    AtOnce,
    /// In slices, when [`Task::sweep_some`] is called; each customer before anything else happens to that
    /// customer.
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
        let position = TaskPosition::start();
        Self {
            rows: Rows::new(&settings.plan),
            segment_sizes: SegmentSizes::default(),
            // Unused without a sweep.
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
            orders: OrderEntries::default(),
            settings,
        }
    }

    /// Sets when due customers are scored. Sampling always happens at once.
    pub fn set_sweeping(&mut self, sweeping: Sweeping) {
        self.sweeping = sweeping;
    }

    /// Sets the watermark: the event time before which no event is expected (`i64::MAX`: no event at all). Nothing
    /// is swept beyond it. The sweep continues with the next event, or with [`Task::advance_time`].
    pub fn set_watermark(&mut self, watermark_ms: i64) {
        self.watermark_ms = watermark_ms;
    }

    /// Sets the period of learning, if all tasks and the trainer move from one period to the next together; `None`
    /// if they do not, as with live events.
    pub fn set_period(&mut self, period: Option<Period>) {
        self.period = period;
    }

    /// The watermark, see [`Task::set_watermark`].
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

    /// The id of the topic of this name that the positions refer to; `None` if unknown.
    #[must_use]
    pub fn topic_id(&self, topic: &str) -> Option<&str> {
        self.position.topic_ids.get(topic).map(String::as_str)
    }

    /// Records which topic the positions refer to.
    pub fn set_topic_id(&mut self, topic: &str, id: &str) {
        self.position
            .topic_ids
            .insert(topic.to_owned(), id.to_owned());
    }

    /// Sets the positions of an input to the first offset: they referred to a topic that is gone.
    pub fn restart_input(&mut self, input: u16) {
        let places = self.position.inputs.iter_mut();
        for (_, progress) in places.filter(|((known, _), _)| *known == input) {
            *progress = Progress::NONE;
        }
    }

    /// The next offset of the task's repartition partition.
    #[must_use]
    pub fn repartition_offset(&self) -> i64 {
        self.position.repartition_offset
    }

    /// The task's position in its inputs and in time.
    #[must_use]
    pub fn position(&self) -> TaskPosition {
        TaskPosition {
            swept_ms: self.calendar.swept_ms(),
            leap: self.calendar.leap(),
            customers: Some(self.rows.len() as u64),
            ..self.position.clone()
        }
    }

    /// The customers' rows.
    #[must_use]
    pub fn rows(&self) -> &Rows {
        &self.rows
    }

    /// Number of customers in each segment.
    #[must_use]
    pub fn segment_sizes(&self) -> &SegmentSizes {
        &self.segment_sizes
    }

    /// Stream time: the latest event time of the task's customers; [`crate::aggregate::NEVER_MS`] before the first event.
    #[must_use]
    pub fn stream_ms(&self) -> i64 {
        self.position.stream_ms
    }

    /// Records that everything before `next_offset` of an input partition has been read.
    pub fn advance_input(&mut self, input: InputPartition, next_offset: i64) {
        self.progress(input).next_offset = next_offset;
    }

    /// Records that everything before `next_offset` of the repartition partition has been read.
    pub fn advance_repartition(&mut self, next_offset: i64) {
        self.position.repartition_offset = next_offset;
    }

    /// Records the leader epoch of what was read from an input partition, see [`Progress::leader_epoch`].
    pub fn set_leader_epoch(&mut self, input: InputPartition, leader_epoch: Option<i32>) {
        self.progress(input).leader_epoch = leader_epoch;
    }

    fn progress(&mut self, input: InputPartition) -> &mut Progress {
        let inputs = &mut self.position.inputs;
        inputs.entry(input).or_insert(Progress::NONE)
    }

    /// Checks an event's time against its own input partition and the clock, whichever task owns the customer.
    ///
    /// # Errors
    /// If the event is too late or too far ahead. The partition's time then does not change.
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

    /// Announces whose events come next, by [`Event::customer_hash`]. The only effect is that [`Task::process`]
    /// waits less for memory. A few dozen customers at a time are best.
    pub fn prefetch(&mut self, customers: &[u64]) {
        self.rows.prefetch(customers, &mut self.approached);
    }

    /// Processes an event of one of the task's customers: sweeps up to its time, updates the customer's features,
    /// scores and decides.
    pub fn process(
        &mut self,
        event: &Event,
        trigger: Trigger,
        versions: Option<&Versions>,
        output: &mut Output,
    ) {
        self.advance_time(event.time_ms, versions, output);
        let (row, is_new) = self.row_of(event, versions, output);
        if let Some(by) = self.duplicate(row, event) {
            output.duplicates[by as usize] += 1;
            return;
        }
        if !is_new {
            self.sample_before(row, event.time_ms, versions.is_some(), output);
        }
        self.rows.touch(row);
        self.observe(row, event, &mut output.inputs);
        let at_ms = event.time_ms.max(self.rows.standing(row).as_of_ms);
        let at_ms = at_ms.max(self.rows.reference_ms(row));
        self.score(row, at_ms, Occasion::Event(trigger), versions, output);
        if is_new {
            self.catch_up(row, versions, output);
        }
    }

    /// A customer's row, added if necessary, and whether it is new. An existing customer who is due is scored
    /// first.
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

    /// If the event of a new customer is late, scores the customer as of the last instant that was due. Every
    /// customer is then scored as of the last sweep at least, which a restore relies on.
    fn catch_up(&mut self, row: u32, versions: Option<&Versions>, output: &mut Output) {
        let due_ms = self.calendar.last_due_ms(self.rows.customer_hash(row));
        let as_of_ms = self.rows.standing(row).as_of_ms;
        if let Some(due_ms) = due_ms.filter(|due_ms| *due_ms > as_of_ms) {
            self.sweep(row, due_ms, versions, output);
        }
    }
}
