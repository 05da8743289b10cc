//! A task: the customers of one state partition, and what happens to them.

use std::collections::BTreeMap;
use std::sync::Arc;

use flockwise_kmeans::{Delta, Scratch};

use crate::aggregate::{self, NEVER_MS};
use crate::calendar::Calendar;
use crate::change::{Change, Trigger, drivers};
use crate::decide::{Cause, Scoring, Standing, Suppression, Verdict, decide};
use crate::event::{Event, mix};
use crate::feature::DAY_MS;
use crate::model::Model;
use crate::plan::Plan;
use crate::policy::{DecisionPolicy, LearningPolicy, TimePolicy};
use crate::remembered::order_key;
use crate::rows::{Row, Rows};
use crate::trainer::{Lesson, MiniBatch};

/// Share of all customers that a day's mini-batches hold.
const SAMPLED_A_DAY: f64 = 0.1;

/// What every task of a pipeline goes by.
#[derive(Clone, Debug)]
pub struct TaskSettings {
    /// The feature plan.
    pub plan: Arc<Plan>,
    /// Margin, dwell, cooldown.
    pub decision: DecisionPolicy,
    /// Lateness and sweep.
    pub time: TimePolicy,
    /// Sampling.
    pub learning: LearningPolicy,
    /// State partitions of the pipeline.
    pub tasks: u32,
}

impl TaskSettings {
    /// How often the calendar turns: the sweep's period, or a day where the sweep is off and the
    /// calendar only samples.
    #[must_use]
    pub fn period_ms(&self) -> i64 {
        self.time.sweep_ms.unwrap_or(DAY_MS as i64)
    }
}

/// How far an input partition has been read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The next offset to read.
    pub next_offset: i64,
    /// Latest event time on it, by which lateness is judged.
    pub time_ms: i64,
}

/// An input partition: number of the topic, number of the partition.
pub type InputPartition = (u16, u32);

/// What is written down about a task besides its rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Bookmark {
    /// Input partitions read by the task.
    pub inputs: BTreeMap<InputPartition, Progress>,
    /// The next offset of its repartition partition.
    pub repartition_offset: i64,
    /// Latest event time of the task's customers.
    pub stream_ms: i64,
    /// Slots of the calendar swept.
    pub swept: Option<i64>,
    /// Version of the model in use; 0: none.
    pub version: u64,
    /// Slots swept before it came into use: customers due later were scored by it.
    pub version_since: Option<i64>,
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
    /// Flips suppressed, in the order of [`Suppression::ALL`].
    pub suppressed: [u64; 3],
    /// Scorings by the sweep.
    pub swept: u64,
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
    calendar: Calendar,
    bookmark: Bookmark,
    collected: Collected,
    raw: Vec<f64>,
    vector: Vec<f64>,
    scaled: Vec<f64>,
    scratch: Scratch,
}

/// Customers sampled since the last hand-over.
#[derive(Clone, Debug, Default)]
struct Collected {
    sample: Vec<(u64, Vec<f64>)>,
    delta: Option<(u64, Delta)>,
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
        Self {
            rows: Rows::new(&settings.plan),
            calendar: Calendar::new(settings.period_ms()),
            bookmark: Bookmark {
                inputs: BTreeMap::new(),
                repartition_offset: 0,
                stream_ms: NEVER_MS,
                swept: None,
                version: 0,
                version_since: None,
            },
            collected: Collected::default(),
            raw: vec![0.0; features],
            vector: vec![0.0; features],
            scaled: Vec::with_capacity(features),
            scratch: Scratch::default(),
            settings,
        }
    }

    /// Puts a row as the changelog has it.
    pub fn restore_row(&mut self, row: &Row<'_>) {
        let known = self.rows.len();
        let number = self.rows.restore(row);
        if self.rows.len() > known {
            self.calendar.enter(number, self.rows.customer_hash(number));
        }
    }

    /// Goes on from a bookmark, once all rows are restored: customers whom the sweep has scored since
    /// they were last written stand as of that scoring.
    pub fn restore_bookmark(&mut self, bookmark: Bookmark) {
        self.calendar.resume(bookmark.swept);
        self.bookmark = bookmark;
        if self.settings.time.sweep_ms.is_none() {
            return;
        }
        let since = self.bookmark.version_since;
        let since_ms = since.map_or(NEVER_MS, |slot| self.calendar.instant_ms(slot));
        for row in 0..self.rows.len() as u32 {
            let due_ms = self.calendar.last_due_ms(self.rows.customer_hash(row));
            let standing = self.rows.standing_mut(row);
            let Some(due_ms) = due_ms.filter(|due_ms| *due_ms > standing.as_of_ms) else {
                continue;
            };
            standing.as_of_ms = due_ms;
            if due_ms > since_ms && self.bookmark.version > 0 {
                standing.version = self.bookmark.version;
            }
        }
    }

    /// How far each of its input partitions has been read.
    pub fn inputs(&self) -> impl Iterator<Item = (InputPartition, Progress)> {
        self.bookmark
            .inputs
            .iter()
            .map(|(input, progress)| (*input, *progress))
    }

    /// The next offset of its repartition partition.
    #[must_use]
    pub fn repartition_offset(&self) -> i64 {
        self.bookmark.repartition_offset
    }

    /// Where the task stands in its inputs and in time.
    #[must_use]
    pub fn bookmark(&self) -> Bookmark {
        Bookmark {
            swept: self.calendar.swept(),
            ..self.bookmark.clone()
        }
    }

    /// The customers.
    #[must_use]
    pub fn rows(&self) -> &Rows {
        &self.rows
    }

    /// The rows touched since the last call are written.
    pub fn settle(&mut self) {
        self.rows.settle();
    }

    /// Latest event time of the task's customers; [`NEVER_MS`] before the first event.
    #[must_use]
    pub fn stream_ms(&self) -> i64 {
        self.bookmark.stream_ms
    }

    /// Notes that everything before `next_offset` of an input partition has been read.
    pub fn advance_input(&mut self, input: InputPartition, next_offset: i64) {
        self.progress(input).next_offset = next_offset;
    }

    /// Notes that everything before `next_offset` of the repartition partition has been read.
    pub fn advance_repartition(&mut self, next_offset: i64) {
        self.bookmark.repartition_offset = next_offset;
    }

    fn progress(&mut self, input: InputPartition) -> &mut Progress {
        self.bookmark.inputs.entry(input).or_insert(Progress {
            next_offset: 0,
            time_ms: NEVER_MS,
        })
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
        let ahead = now_ms.zip(policy.max_ahead_ms);
        if ahead.is_some_and(|(now_ms, max_ahead_ms)| time_ms > now_ms.saturating_add(max_ahead_ms))
        {
            return Err(Untimely::TooFarAhead);
        }
        let progress = self.progress(input);
        if time_ms < progress.time_ms.saturating_sub(policy.lateness_ms) {
            return Err(Untimely::TooLate);
        }
        progress.time_ms = progress.time_ms.max(time_ms);
        Ok(())
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
        let (row, is_new) = self.rows.find_or_add(event.customer_id());
        if is_new {
            self.calendar.enter(row, self.rows.customer_hash(row));
        }
        if self.is_duplicate(row, event) {
            output.duplicates += 1;
            return;
        }
        self.rows.touch(row);
        self.observe(row, event);
        let at_ms = event.time_ms.max(self.rows.row(row).standing.as_of_ms);
        let at_ms = at_ms.max(self.rows.row(row).reference_ms);
        self.score(row, at_ms, Occasion::Event(trigger), versions, output);
        if is_new {
            self.catch_up(row, versions, output);
        }
    }

    /// Scores a customer who comes late as of when the sweep has gone by, so that everybody stands as
    /// of the last sweep at least: a restored task takes that for granted.
    fn catch_up(&mut self, row: u32, versions: Option<&Versions>, output: &mut Output) {
        let due_ms = self.calendar.last_due_ms(self.rows.customer_hash(row));
        let as_of_ms = self.rows.row(row).standing.as_of_ms;
        if let Some(due_ms) = due_ms.filter(|due_ms| *due_ms > as_of_ms) {
            self.sweep(row, due_ms, versions, output);
        }
    }

    fn is_duplicate(&mut self, row: u32, event: &Event) -> bool {
        let plan = &self.settings.plan;
        let bound = self.settings.time.remembered_ids;
        let key = event.order.map(|order| order_key(event.name_hash, order));
        let (_, _, remembered) = self.rows.sums_mut(row);
        // Several partial refunds of one order are all real, so for them the event id alone tells.
        if let Some(key) = key.filter(|_| !plan.is_reversing(event.name)) {
            if remembered.ordered_ms(key).is_some() {
                return true;
            }
            if event.id.is_some_and(|id| remembered.is_repeated(id, bound)) {
                return true;
            }
            remembered.keep_order(key, event.time_ms, bound);
            return false;
        }
        event.id.is_some_and(|id| remembered.is_repeated(id, bound))
    }

    fn observe(&mut self, row: u32, event: &Event) {
        let plan = &self.settings.plan;
        let (columns, reference_ms, remembered) = self.rows.sums_mut(row);
        aggregate::observe(plan, columns, reference_ms, event, |name| {
            let key = order_key(plan.name_hash(name), event.order?);
            remembered.ordered_ms(key)
        });
    }

    /// Lets time pass for the task's customers: those due up to `to_ms` are scored as of when they are
    /// due and sampled for the trainer.
    pub fn advance_time(&mut self, to_ms: i64, versions: Option<&Versions>, output: &mut Output) {
        self.note_version(versions);
        if to_ms <= self.bookmark.stream_ms {
            return;
        }
        self.bookmark.stream_ms = to_ms;
        if self.settings.time.sweep_ms.is_none() && !self.settings.learning.learn {
            return;
        }
        while let Some(slot) = self.calendar.next_slot(to_ms) {
            let due_ms = self.calendar.instant_ms(slot);
            for place in 0..self.calendar.rows(slot).len() {
                let row = self.calendar.rows(slot)[place];
                self.visit(row, due_ms, versions, output);
            }
            if self.calendar.hands_over(slot) {
                self.hand_over(due_ms, output);
            }
        }
    }

    fn note_version(&mut self, versions: Option<&Versions>) {
        let version = versions.map_or(0, |versions| versions.current.version());
        if version != self.bookmark.version {
            self.bookmark.version = version;
            self.bookmark.version_since = self.calendar.swept();
        }
    }

    /// Gives customers who have no segment yet the nearest one, as of the stream's time: for when the
    /// first model comes after the customers did. Looks at so many rows from `row` on; returns where to
    /// go on, or `None` at the end. Does nothing where only events score.
    pub fn place_unplaced(
        &mut self,
        row: u32,
        most: u32,
        versions: &Versions,
        output: &mut Output,
    ) -> Option<u32> {
        self.settings.time.sweep_ms?;
        let end = row.saturating_add(most).min(self.rows.len() as u32);
        for row in row..end {
            let state = self.rows.row(row);
            if state.standing.segment.is_none() {
                let at_ms = self.bookmark.stream_ms.max(state.reference_ms);
                let at_ms = at_ms.max(state.standing.as_of_ms);
                output.swept += 1;
                self.score(row, at_ms, Occasion::Sweep, Some(versions), output);
            }
        }
        (end < self.rows.len() as u32).then_some(end)
    }

    fn visit(&mut self, row: u32, due_ms: i64, versions: Option<&Versions>, output: &mut Output) {
        let state = self.rows.row(row);
        if state.reference_ms > due_ms || state.standing.as_of_ms > due_ms {
            return;
        }
        self.sweep(row, due_ms, versions, output);
        let is_scored = self.settings.time.sweep_ms.is_some() && versions.is_some();
        if self.is_sampled(row, due_ms, versions.is_some()) {
            if !is_scored {
                self.evaluate(row, due_ms);
            }
            self.collect(row, versions);
        }
    }

    fn sweep(&mut self, row: u32, due_ms: i64, versions: Option<&Versions>, output: &mut Output) {
        if self.settings.time.sweep_ms.is_some() {
            output.swept += u64::from(versions.is_some());
            self.score(row, due_ms, Occasion::Sweep, versions, output);
        }
    }

    fn is_sampled(&self, row: u32, due_ms: i64, has_model: bool) -> bool {
        let learning = &self.settings.learning;
        if !learning.learn {
            return false;
        }
        let share = if has_model {
            SAMPLED_A_DAY * self.settings.period_ms() as f64 / DAY_MS
        } else {
            // Enough of everybody for a warm-up several times over.
            let everybody = self.rows.len() as f64 * f64::from(self.settings.tasks);
            4.0 * learning.warm_up_customers as f64 / everybody
        };
        let draw = mix(self.rows.customer_hash(row) ^ mix(due_ms as u64 ^ learning.seed));
        (draw >> 11) as f64 / ((1_u64 << 53) as f64) < share
    }

    fn collect(&mut self, row: u32, versions: Option<&Versions>) {
        let Some(versions) = versions else {
            self.collected
                .sample
                .push((self.rows.customer_hash(row), self.vector.clone()));
            return;
        };
        let model = &versions.current;
        model.scaled(&self.vector, &mut self.scaled);
        let (centroid, _) = model.score(&self.scaled, &mut self.scratch);
        model.tamed(&self.vector, &mut self.scaled);
        let shape = (model.segments().len(), self.vector.len());
        let (_, delta) = match &mut self.collected.delta {
            Some(same) if same.0 == model.version() => same,
            other => other.insert((model.version(), Delta::new(shape.0, shape.1))),
        };
        delta.add(centroid, &self.scaled);
    }

    fn hand_over(&mut self, at_ms: i64, output: &mut Output) {
        let sample = std::mem::take(&mut self.collected.sample);
        if !sample.is_empty() {
            output.mini_batches.push(MiniBatch {
                at_ms,
                lesson: Lesson::Sample(sample),
            });
        }
        if let Some((version, delta)) = self.collected.delta.take() {
            output.mini_batches.push(MiniBatch {
                at_ms,
                lesson: Lesson::Delta { version, delta },
            });
        }
    }

    fn evaluate(&mut self, row: u32, at_ms: i64) {
        let state = self.rows.row(row);
        aggregate::evaluate(
            &self.settings.plan,
            state.columns,
            state.reference_ms,
            at_ms,
            &mut self.raw,
            &mut self.vector,
        );
    }

    fn score(
        &mut self,
        row: u32,
        at_ms: i64,
        occasion: Occasion,
        versions: Option<&Versions>,
        output: &mut Output,
    ) {
        let Some(versions) = versions else {
            self.rows.standing_mut(row).as_of_ms = at_ms;
            return;
        };
        self.evaluate(row, at_ms);
        let model = &versions.current;
        model.scaled(&self.vector, &mut self.scaled);
        let (nearest, distance) = model.score(&self.scaled, &mut self.scratch);
        let standing = *self.rows.row(row).standing;
        let present = standing.segment.and_then(|id| model.index_of(id));
        let scoring = Scoring {
            nearest: model.segments()[nearest].id,
            distance,
            distance_from: present
                .map(|index| model.nearest().squared_distance(&self.scaled, index).sqrt()),
            at_ms,
            cause: self.cause(&standing, present == Some(nearest), occasion, versions),
        };
        let before = standing.candidate;
        let standing = self.rows.standing_mut(row);
        standing.as_of_ms = at_ms;
        standing.version = model.version();
        let verdict = decide(&self.settings.decision, standing, &scoring);
        let is_unchanged = standing.candidate == before;
        match verdict {
            Verdict::Stay => {}
            Verdict::Suppressed(why) => {
                let place = Suppression::ALL.iter().position(|known| *known == why);
                output.suppressed[place.unwrap_or(0)] += 1;
            }
            Verdict::Change(cause) => {
                let change = self.change(row, nearest, &scoring, cause, occasion, model);
                output.changes.push(change);
            }
        }
        if !is_unchanged || matches!(verdict, Verdict::Change(_)) {
            self.rows.touch(row);
        }
    }

    /// What makes the difference, should the customer move: the version, if the one before would have
    /// left the customer alone.
    fn cause(
        &mut self,
        standing: &Standing,
        stays: bool,
        occasion: Occasion,
        versions: &Versions,
    ) -> Cause {
        let plain = match occasion {
            Occasion::Event(_) => Cause::Behaviour,
            Occasion::Sweep if standing.segment.is_none() => Cause::Model,
            Occasion::Sweep => Cause::Time,
        };
        if stays || standing.segment.is_none() || standing.version == versions.current.version() {
            return plain;
        }
        let Some(previous) = &versions.previous else {
            return Cause::Model;
        };
        let mut scaled = Vec::with_capacity(self.vector.len());
        previous.scaled(&self.vector, &mut scaled);
        let (before, _) = previous.score(&scaled, &mut self.scratch);
        let would_stay = standing.segment == Some(previous.segments()[before].id);
        if would_stay { Cause::Model } else { plain }
    }

    fn change(
        &mut self,
        row: u32,
        nearest: usize,
        scoring: &Scoring,
        cause: Cause,
        occasion: Occasion,
        model: &Model,
    ) -> Change {
        let from = self.rows.row(row).standing.segment;
        let left = from
            .and_then(|id| model.index_of(id))
            .map(|index| &model.segments()[index]);
        let left = left.map_or(&model.parts().scaler.means, |segment| &segment.centroid);
        let reached = &model.segments()[nearest].centroid;
        let other = scoring.distance_from.or_else(|| {
            let second = model.nearest().nearest_but(&self.scaled, nearest);
            second.map(|hit| hit.squared.sqrt())
        });
        let drivers = drivers(
            &self.settings.plan,
            model,
            &self.raw,
            &self.vector,
            left,
            reached,
        );
        let standing = self.rows.standing_mut(row);
        standing.segment = Some(scoring.nearest);
        standing.sequence += 1;
        standing.changed_ms = scoring.at_ms;
        Change {
            row,
            sequence: standing.sequence,
            occurred_ms: scoring.at_ms,
            from,
            to: scoring.nearest,
            cause,
            distance: scoring.distance,
            distance_from: scoring.distance_from,
            margin: other.map_or(1.0, |other| share_nearer(scoring.distance, other)),
            drivers,
            model_version: model.version(),
            trigger: match occasion {
                Occasion::Event(trigger) => Some(trigger),
                Occasion::Sweep => None,
            },
        }
    }
}

/// By what share one distance is below another: 1 - d / other; 0 where both are 0.
#[must_use]
pub fn share_nearer(distance: f64, other: f64) -> f64 {
    if other > 0.0 {
        1.0 - distance / other
    } else {
        0.0
    }
}
