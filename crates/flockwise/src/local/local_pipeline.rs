//! The pipeline in this process, for `demo` and `replay`: the real worker loop over the in-process
//! broker, driven from one thread, so that the same events give the same result.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use flockwise_codec::task_summary::TaskSummary;
use flockwise_core::customer_view::{CustomerView, customer_view};
use flockwise_core::model::Model;
use flockwise_core::policy::period_start_ms;
use flockwise_core::task::Period;
use flockwise_core::trainer::{CAUGHT_UP, WarmUp};
use flockwise_memory::{CommittedRecord, MemoryBroker, MemoryClient};
use flockwise_runtime::broker::Failure;
use flockwise_runtime::metrics::Metrics;
use flockwise_runtime::pipeline::{Pipeline, TimeMode};
use flockwise_runtime::queries::Queries;
use flockwise_runtime::topics::Topic;
use flockwise_runtime::worker::Worker;

use crate::exit::Failed;
use crate::local::event_files::Chunk;
use crate::local::summary_counts::Tally;
use crate::service::shared_view::SharedView;

/// Slices per sampling period.
const SLICES: i64 = 16;

/// A pipeline in this process, with its workers and their broker.
pub(crate) struct Session {
    pub(crate) pipeline: Arc<Pipeline>,
    broker: MemoryBroker,
    workers: Vec<Worker<MemoryClient>>,
    positions: BTreeMap<(Topic, u32), i64>,
    pub(crate) events: u64,
    pub(crate) stream_ms: Option<(i64, i64)>,
    /// No earlier event can come. Milliseconds since the epoch.
    watermark_ms: i64,
    /// The current learning period. Periods are those of `flockwise run` over a backlog, so that the model is the same.
    period: Option<Period>,
}

impl Session {
    /// Starts workers and gives them their tasks. `judged_at_ms`: the time by which they refuse events from the future,
    /// milliseconds since the epoch.
    pub(crate) fn start(
        mut pipeline: Pipeline,
        workers: usize,
        judged_at_ms: Option<i64>,
        metrics: &Metrics,
        queries: &Queries,
    ) -> Result<Self, Failed> {
        // Nobody can approve a version here, so none is held.
        Arc::make_mut(&mut pipeline.task).learning.churn_budget = 1.0;
        let partitions = vec![pipeline.topics.state_partitions; pipeline.topics.inputs.len()];
        let broker = MemoryBroker::new(pipeline.topics.clone(), &partitions);
        let pipeline = Arc::new(pipeline);
        let workers = (0..workers)
            .map(|number| {
                let client = broker.worker(&format!("{}-{number}", pipeline.topics.app));
                let pipeline = Arc::clone(&pipeline);
                let time_mode = TimeMode::Replay { judged_at_ms };
                Worker::new(number, client, pipeline, time_mode, metrics.clone())
                    .with_queries(queries)
            })
            .collect();
        let mut session = Self {
            pipeline,
            broker,
            workers,
            positions: BTreeMap::new(),
            events: 0,
            stream_ms: None,
            watermark_ms: i64::MIN,
            period: None,
        };
        session.run_until_idle()?;
        Ok(session)
    }

    /// The two periods that no slice may span, in milliseconds of event time, so that a new version is in use soon.
    /// [`i64::MAX`] if the model does not learn.
    pub(crate) fn slices_ms(&self) -> [i64; 2] {
        let learning = &self.pipeline.task.learning;
        match learning.learn {
            true => [(learning.sampling_ms() / SLICES).max(1), learning.look_ms()],
            false => [i64::MAX; 2],
        }
    }

    /// Produces the lines of a slice and runs the workers until they are idle.
    pub(crate) fn play(&mut self, chunk: &Chunk, slice: Range<usize>) -> Result<(), Failed> {
        let mut times = chunk.lines(slice.clone()).map(|(line, _)| line.time_ms);
        if let Some(first_ms) = times.find(|time_ms| *time_ms > i64::MIN) {
            self.advance_watermark(first_ms)?;
        }
        for (line, text) in chunk.lines(slice) {
            let topic = Topic::Input(line.input);
            self.broker
                .append(topic, line.partition, line.time_ms.max(0), None, Some(text));
            self.events += 1;
            if line.time_ms > i64::MIN {
                let (first, last) = self.stream_ms.unwrap_or((line.time_ms, line.time_ms));
                self.stream_ms = Some((first.min(line.time_ms), last.max(line.time_ms)));
            }
        }
        self.run_until_idle()
    }

    /// Advances the watermark, and begins the next learning period if it is reached. Does nothing if the model does not
    /// learn.
    fn advance_watermark(&mut self, watermark_ms: i64) -> Result<(), Failed> {
        if !self.pipeline.task.learning.learn || watermark_ms <= self.watermark_ms {
            return Ok(());
        }
        if self
            .period
            .is_none_or(|period| watermark_ms >= period.end_ms)
        {
            self.begin_period(watermark_ms)?;
        }
        self.watermark_ms = watermark_ms;
        self.set_watermark(watermark_ms)
    }

    /// Begins the learning period that contains `time_ms`: the trainer first learns from all earlier samples.
    fn begin_period(&mut self, time_ms: i64) -> Result<(), Failed> {
        let begin_ms = period_start_ms(time_ms, self.period_ms());
        self.set_watermark(begin_ms)?;
        self.run_until_idle()?;
        self.tell_sampled(begin_ms)?;
        let period_ms = self.period_ms();
        self.period = Some(Period {
            end_ms: period_start_ms(begin_ms, period_ms) + period_ms,
            customers: self.customers() as u64,
        });
        Ok(())
    }

    fn period_ms(&self) -> i64 {
        let has_model = self.model().is_some_and(|model| model.version() > 0);
        self.pipeline.task.learning.period_ms(has_model)
    }

    fn set_watermark(&mut self, watermark_ms: i64) -> Result<(), Failed> {
        let period = self.period;
        let mut workers = self.workers.iter_mut();
        workers
            .try_for_each(|worker| worker.set_watermark(watermark_ms, period))
            .map_err(|failure| failed(&failure))
    }

    /// Ends the input: the trainer learns from all remaining samples.
    pub(crate) fn finish(&mut self) -> Result<(), Failed> {
        if !self.pipeline.task.learning.learn {
            return Ok(());
        }
        self.period = None;
        self.set_watermark(i64::MAX)?;
        self.run_until_idle()?;
        self.tell_sampled(CAUGHT_UP)
    }

    /// Tells the trainer that all tasks have sampled up to `to_ms`, and runs the workers until it has learned.
    fn tell_sampled(&mut self, to_ms: i64) -> Result<(), Failed> {
        let mut workers = self.workers.iter_mut();
        workers
            .try_for_each(|worker| worker.tell_sampled(to_ms))
            .map_err(|failure| failed(&failure))?;
        self.run_until_idle()
    }

    /// Advances the time of all tasks to `to_ms`. With a sweep, this scores customers again.
    pub(crate) fn advance_time(&mut self, to_ms: i64) -> Result<(), Failed> {
        for worker in &mut self.workers {
            worker
                .advance_time(to_ms)
                .map_err(|failure| failed(&failure))?;
        }
        self.run_until_idle()
    }

    fn run_until_idle(&mut self) -> Result<(), Failed> {
        loop {
            let mut worked = false;
            for worker in &mut self.workers {
                worked |= worker
                    .run_once(Duration::ZERO)
                    .map_err(|failure| failed(&failure))?;
            }
            if !worked && self.workers.iter().all(Worker::is_assigned) {
                return Ok(());
            }
        }
    }

    /// Answers one waiting customer query per worker. To be called repeatedly while nothing is played.
    pub(crate) fn answer_queries(&self) {
        self.workers.iter().for_each(Worker::answer);
    }

    /// Adds all moves so far, and what the features found, to `tally`.
    pub(crate) fn count_moves(&self, tally: &mut Tally) {
        for worker in &self.workers {
            tally.add_moves(worker.moves());
            tally.inputs.add(worker.inputs());
            for (total, count) in tally.duplicates.iter_mut().zip(worker.duplicates()) {
                *total += count;
            }
        }
    }

    /// Number of segment changes so far.
    pub(crate) fn changes(&self) -> u64 {
        self.workers
            .iter()
            .flat_map(|worker| worker.moves().values())
            .sum()
    }

    /// Discards the records of a topic.
    pub(crate) fn discard(&mut self, topic: Topic) {
        for partition in 0..self.pipeline.topics.partitions(topic) {
            self.broker.forget(topic, partition, i64::MAX);
        }
    }

    /// Customers' changes since the last call. Skips the lineage steps on the same topic, which have no key and are
    /// also on the lineage topic.
    pub(crate) fn drain_changes(&mut self) -> Vec<CommittedRecord> {
        let mut records = self.drain(Topic::SegmentChanges);
        records.retain(|record| record.key.is_some());
        records
    }

    /// Shows the view the new versions, and the present customers of each task.
    pub(crate) fn show_to(&mut self, view: &SharedView) -> Result<(), Failed> {
        // Not drained: the workers read the topic too.
        let next = self.positions.entry((Topic::Model, 0)).or_insert(0);
        let versions = self.broker.read(Topic::Model, 0, *next);
        *next = versions.last().map_or(*next, |last| last.offset + 1);
        let tasks = self.workers.iter().flat_map(Worker::tasks);
        let shown = view.update(|view| {
            tasks.for_each(|(number, task)| view.summarise(TaskSummary::of(number, task)));
            versions.iter().try_for_each(|version| {
                view.apply(
                    Topic::Model,
                    version.key.as_deref(),
                    version.value.as_deref(),
                )
            })
        });
        shown.map_err(Failed::runtime)
    }

    /// The records of a topic since the last call, by partition and offset.
    pub(crate) fn drain(&mut self, topic: Topic) -> Vec<CommittedRecord> {
        let mut drained = Vec::new();
        for partition in 0..self.pipeline.topics.partitions(topic) {
            let from = self.positions.entry((topic, partition)).or_insert(0);
            let records = self.broker.read(topic, partition, *from);
            if let Some(last) = records.last() {
                *from = last.offset + 1;
                self.broker.forget(topic, partition, *from);
            }
            drained.extend(records);
        }
        drained
    }

    /// The latest version that a worker uses; `None` before the first version.
    pub(crate) fn model(&self) -> Option<&Arc<Model>> {
        let versions = self.workers.iter().filter_map(|worker| worker.versions());
        versions
            .map(|versions| &versions.current)
            .max_by_key(|model| model.version())
    }

    /// What the first version of the model waits for; `None` once there is one.
    pub(crate) fn warm_up(&self) -> Option<WarmUp> {
        self.workers.iter().find_map(Worker::warm_up)
    }

    /// Number of customers.
    pub(crate) fn customers(&self) -> usize {
        self.workers
            .iter()
            .flat_map(Worker::tasks)
            .map(|(_, task)| task.rows().len())
            .sum()
    }

    /// All customers, sorted by id, as of `at_ms` or else as of their last scoring.
    pub(crate) fn customer_views(&self, at_ms: Option<i64>) -> Vec<CustomerView> {
        let (plan, model) = (&self.pipeline.task.plan, self.model());
        let mut customer_views: Vec<CustomerView> = self
            .workers
            .iter()
            .flat_map(Worker::tasks)
            .flat_map(|(_, task)| {
                task.rows().numbers().map(|row| {
                    let row = task.rows().row(row);
                    let as_of_ms = at_ms.unwrap_or(row.standing.as_of_ms);
                    customer_view(plan, model.map(Arc::as_ref), &row, as_of_ms)
                })
            })
            .collect();
        customer_views.sort_by(|left, right| left.customer_id.cmp(&right.customer_id));
        customer_views
    }
}

fn failed(failure: &Failure) -> Failed {
    Failed::runtime(failure)
}
