//! The pipeline in this process: the real worker loop over the in-process broker, driven from one
//! thread, so that the same events give the same result.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use flockwise_core::customer_view::{CustomerView, customer_view};
use flockwise_core::model::Model;
use flockwise_core::policy::period_start_ms;
use flockwise_core::task::Period;
use flockwise_core::trainer::{CAUGHT_UP, WarmUp};
use flockwise_memory::{Committed, MemoryBroker, MemoryClient};
use flockwise_runtime::broker::Failure;
use flockwise_runtime::metrics::Metrics;
use flockwise_runtime::pipeline::{Pipeline, TimeMode};
use flockwise_runtime::queries::Queries;
use flockwise_runtime::topics::Topic;
use flockwise_runtime::worker::Worker;

use crate::counts::Tally;
use crate::event_files::Chunk;
use crate::exit::Failed;

/// Slices that a period of sampling is played in.
const SLICES: i64 = 16;

/// A pipeline in this process.
pub(crate) struct Session {
    pub(crate) pipeline: Arc<Pipeline>,
    broker: MemoryBroker,
    shards: Vec<Worker<MemoryClient>>,
    read: BTreeMap<(Topic, u32), i64>,
    pub(crate) events: u64,
    pub(crate) stream_ms: Option<(i64, i64)>,
    /// No event before this time is to come.
    watermark_ms: i64,
    /// The period of learning, as in `flockwise run` over a backlog: the same model comes out.
    period: Option<Period>,
}

impl Session {
    /// Starts workers and gives them their tasks.
    pub(crate) fn start(
        mut pipeline: Pipeline,
        shards: usize,
        metrics: &Metrics,
        queries: &Queries,
    ) -> Result<Self, Failed> {
        // Nobody is there to approve a version: each is used.
        Arc::make_mut(&mut pipeline.task).learning.churn_budget = 1.0;
        let partitions = vec![pipeline.topics.state_partitions; pipeline.topics.inputs.len()];
        let broker = MemoryBroker::new(pipeline.topics.clone(), &partitions);
        let pipeline = Arc::new(pipeline);
        let shards = (0..shards)
            .map(|number| {
                let client = broker.worker(&format!("{}-{number}", pipeline.topics.app));
                let pipeline = Arc::clone(&pipeline);
                Worker::new(number, client, pipeline, TimeMode::Replay, metrics.clone())
                    .with_queries(queries)
            })
            .collect();
        let mut session = Self {
            pipeline,
            broker,
            shards,
            read: BTreeMap::new(),
            events: 0,
            stream_ms: None,
            watermark_ms: i64::MIN,
            period: None,
        };
        session.settle()?;
        Ok(session)
    }

    /// Periods of event time of which a slice is in one, so that what is learnt is soon in use; any where nobody learns.
    pub(crate) fn slices_ms(&self) -> [i64; 2] {
        let learning = &self.pipeline.task.learning;
        match learning.learn {
            true => [(learning.sampling_ms() / SLICES).max(1), learning.look_ms()],
            false => [i64::MAX; 2],
        }
    }

    /// Plays a slice of a chunk and works until nothing is left to do.
    pub(crate) fn play(&mut self, chunk: &Chunk, slice: Range<usize>) -> Result<(), Failed> {
        let mut times = chunk.lines(slice.clone()).map(|(line, _)| line.time_ms);
        if let Some(first_ms) = times.find(|time_ms| *time_ms > i64::MIN) {
            self.pass_to(first_ms)?;
        }
        for (line, text) in chunk.lines(slice) {
            let text = text.trim_ascii_end();
            let topic = Topic::Input(line.input);
            self.broker
                .append(topic, line.partition, line.time_ms.max(0), None, Some(text));
            self.events += 1;
            if line.time_ms > i64::MIN {
                let (first, last) = self.stream_ms.unwrap_or((line.time_ms, line.time_ms));
                self.stream_ms = Some((first.min(line.time_ms), last.max(line.time_ms)));
            }
        }
        self.settle()
    }

    /// No event before this time is to come: what is due by then is done.
    fn pass_to(&mut self, watermark_ms: i64) -> Result<(), Failed> {
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

    /// Lets the trainer learn from all that was sampled before the period that a time is in.
    fn begin_period(&mut self, time_ms: i64) -> Result<(), Failed> {
        let begin_ms = period_start_ms(time_ms, self.period_ms());
        self.set_watermark(begin_ms)?;
        self.settle()?;
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
        let mut shards = self.shards.iter_mut();
        shards
            .try_for_each(|worker| worker.set_watermark(watermark_ms, period))
            .map_err(|failure| failed(&failure))
    }

    /// All has been played: what is due is done.
    pub(crate) fn finish(&mut self) -> Result<(), Failed> {
        if !self.pipeline.task.learning.learn {
            return Ok(());
        }
        self.period = None;
        self.set_watermark(i64::MAX)?;
        self.settle()?;
        self.tell_sampled(CAUGHT_UP)
    }

    /// Tells the trainer how far all tasks have sampled, and lets it learn.
    fn tell_sampled(&mut self, to_ms: i64) -> Result<(), Failed> {
        let mut shards = self.shards.iter_mut();
        shards
            .try_for_each(|worker| worker.tell_sampled(to_ms))
            .map_err(|failure| failed(&failure))?;
        self.settle()
    }

    /// Lets time pass up to an instant for everybody, as far as there is a sweep.
    pub(crate) fn advance_time(&mut self, to_ms: i64) -> Result<(), Failed> {
        for worker in &mut self.shards {
            worker
                .advance_time(to_ms)
                .map_err(|failure| failed(&failure))?;
        }
        self.settle()
    }

    fn settle(&mut self) -> Result<(), Failed> {
        loop {
            let mut worked = false;
            for worker in &mut self.shards {
                worked |= worker
                    .run_once(Duration::ZERO)
                    .map_err(|failure| failed(&failure))?;
            }
            if !worked && self.shards.iter().all(Worker::is_assigned) {
                return Ok(());
            }
        }
    }

    /// Answers questions while there is nothing to play; to be called again and again.
    pub(crate) fn answer(&self) {
        self.shards.iter().for_each(Worker::answer);
    }

    /// How customers moved so far.
    pub(crate) fn count_moves(&self, tally: &mut Tally) {
        self.shards
            .iter()
            .for_each(|worker| tally.moves(worker.moves()));
    }

    /// Changes of segment so far.
    pub(crate) fn changes(&self) -> u64 {
        self.shards
            .iter()
            .flat_map(|worker| worker.moves().values())
            .sum()
    }

    /// Lets go of what came out on a topic and nobody asks for.
    pub(crate) fn discard(&mut self, topic: Topic) {
        for partition in 0..self.pipeline.topics.partitions(topic) {
            self.broker.forget(topic, partition, i64::MAX);
        }
    }

    /// Customers' changes since the last call. The steps of the lineage that are among them, without a key, have a
    /// topic of their own.
    pub(crate) fn drain_changes(&mut self) -> Vec<Committed> {
        let mut records = self.drain(Topic::SegmentChanges);
        records.retain(|record| record.key.is_some());
        records
    }

    /// What came out on a topic since the last call, by partition and then in order.
    pub(crate) fn drain(&mut self, topic: Topic) -> Vec<Committed> {
        let mut drained = Vec::new();
        for partition in 0..self.pipeline.topics.partitions(topic) {
            let from = self.read.entry((topic, partition)).or_insert(0);
            let records = self.broker.read(topic, partition, *from);
            if let Some(last) = records.last() {
                *from = last.offset + 1;
                self.broker.forget(topic, partition, *from);
            }
            drained.extend(records);
        }
        drained
    }

    /// The model in use.
    pub(crate) fn model(&self) -> Option<&Arc<Model>> {
        let versions = self.shards.iter().filter_map(|worker| worker.versions());
        versions
            .map(|versions| &versions.current)
            .max_by_key(|model| model.version())
    }

    /// What the first version of the model waits for, where there is none.
    pub(crate) fn warm_up(&self) -> Option<WarmUp> {
        self.shards.iter().find_map(Worker::warm_up)
    }

    /// Customers so far.
    pub(crate) fn customers(&self) -> usize {
        self.shards
            .iter()
            .flat_map(Worker::tasks)
            .map(|(_, task)| task.rows().len())
            .sum()
    }

    /// Everybody, by id, as of their last scoring or as of an instant.
    pub(crate) fn portraits(&self, at_ms: Option<i64>) -> Vec<CustomerView> {
        let (plan, model) = (&self.pipeline.task.plan, self.model());
        let mut portraits: Vec<CustomerView> = self
            .shards
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
        portraits.sort_by(|left, right| left.customer_id.cmp(&right.customer_id));
        portraits
    }
}

fn failed(failure: &Failure) -> Failed {
    Failed::running(failure)
}
