//! The worker loop: one place waits, one `match` decides.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use flockwise_codec::decode::Decoder;
use flockwise_core::feature_inputs::FeatureInputs;
use flockwise_core::task::{DuplicateBy, Output, Task, Versions};
use flockwise_vocabulary::task_id::TaskId;

use crate::arrival::Arrival;
use crate::batch::Batch;
use crate::broker::{Broker, Failure, WorkerEvent};
use crate::checkpoint::{Checkpointer, write_final_checkpoints};
use crate::clock::Moment;
use crate::decode_ahead::DecodeAhead;
use crate::event_time_alignment::InputAlignment;
use crate::heartbeat::beat;
use crate::input_topics::InputTopics;
use crate::latest_commit::CommitTimes;
use crate::learning_thread::LearningExecutor;
pub use crate::metrics::SegmentMoves;
use crate::metrics::{Abort, Metrics, WorkerMeter};
use crate::model_log::SharedModels;
use crate::model_state::ModelState;
use crate::outbox::Outbox;
use crate::pipeline::{Pipeline, TimeMode};
use crate::queries::{Queries, QueryQueue};
use crate::standby::Standbys;
use crate::store::{NoStore, Store};
use crate::tasks::Tasks;
use crate::trainer_host::TrainerHost;
use crate::transaction::Transaction;
use crate::watermark_exchange::WatermarkExchange;

/// Records of one poll, at most.
const MAX_POLL_RECORDS: usize = 1000;
/// How often gauges and lags are reported if nothing is committed.
const REPORT_EVERY: Duration = Duration::from_secs(1);
/// How long a poll waits if the worker has nothing to do.
const POLL_TIMEOUT: Duration = Duration::from_millis(100);
/// The same while the trainer learns, so that a version is published soon.
const LEARNING_POLL_TIMEOUT: Duration = Duration::from_millis(10);
/// The same while records wait for other workers.
const HOLDING_POLL_TIMEOUT: Duration = Duration::from_millis(5);

/// One worker: a broker's client, the tasks that it owns, and the loop.
///
/// Each part owns its flags: they are private to the part's file.
pub struct Worker<B> {
    pub(crate) broker: B,
    number: usize,
    pub(crate) pipeline: Arc<Pipeline>,
    pub(crate) time_mode: TimeMode,
    /// The tasks that it owns, and suspended ones.
    pub(crate) tasks: Tasks,
    /// What the next commit contains besides the tasks' changes.
    pub(crate) transaction: Transaction,
    pub(crate) commits: CommitTimes,
    /// Input topics: their ids, and which are not read.
    pub(crate) inputs: InputTopics,
    pub(crate) batch: Batch,
    /// The decoder of each input's events, in order, with the schemas that it has needed so far.
    pub(crate) decoders: Vec<Decoder>,
    pub(crate) decoded_ahead: DecodeAhead,
    /// Input partitions, read in step.
    pub(crate) alignment: InputAlignment,
    /// When the batch arrived, and the clock by which future events are judged.
    pub(crate) arrival: Arrival,
    pub(crate) watermarks: WatermarkExchange,
    pub(crate) model: ModelState,
    pub(crate) trainer: TrainerHost,
    pub(crate) checkpointer: Checkpointer,
    pub(crate) standbys: Standbys,
    pub(crate) queries: QueryQueue,
    pub(crate) output: Output,
    pub(crate) outbox: Outbox,
    pub(crate) metrics: Metrics,
    pub(crate) meter: WorkerMeter,
    /// When gauges and lags were last reported.
    pub(crate) reported: Moment,
}

impl<B: Broker> Worker<B> {
    /// A worker without tasks. `number` counts the workers of an instance from 0.
    pub fn new(
        number: usize,
        broker: B,
        pipeline: Arc<Pipeline>,
        time_mode: TimeMode,
        metrics: Metrics,
    ) -> Self {
        let clock = time_mode.clock().clone();
        let now = clock.now();
        Self {
            broker,
            number,
            tasks: Tasks::default(),
            transaction: Transaction::default(),
            commits: CommitTimes::new(now),
            inputs: InputTopics::new(now),
            batch: Batch::default(),
            decoders: pipeline.decoders.clone(),
            decoded_ahead: DecodeAhead::default(),
            alignment: InputAlignment::new(pipeline.alignment, now),
            arrival: Arrival::new(now),
            watermarks: WatermarkExchange::new(now),
            model: ModelState::new(&pipeline),
            trainer: TrainerHost::new(),
            checkpointer: Checkpointer::new(Box::new(NoStore)),
            standbys: Standbys::new(0, pipeline.topics.state_partitions, clock),
            queries: QueryQueue::default(),
            output: Output::default(),
            outbox: Outbox::new(&pipeline),
            metrics,
            meter: WorkerMeter::new(number, pipeline.task.plan.feature_names()),
            reported: now,
            time_mode,
            pipeline,
        }
    }

    /// Keeps checkpoints in a local store, so that the next start is quick.
    #[must_use]
    pub fn with_store(mut self, store: Box<dyn Store>) -> Self {
        self.checkpointer = Checkpointer::new(store);
        self
    }

    /// Takes tasks over from the standbys of the process.
    #[must_use]
    pub fn with_standbys(mut self, standbys: Standbys) -> Self {
        self.standbys = standbys;
        self
    }

    /// Learns on this executor while the worker hosts the trainer. Without one, learning blocks the worker.
    #[must_use]
    pub fn with_learning(mut self, executor: Box<dyn LearningExecutor>) -> Self {
        self.trainer.set_executor(executor);
        self
    }

    /// Reads of the model topic only what no worker with the same log has read.
    #[must_use]
    pub fn with_shared_models(mut self, models: &SharedModels) -> Self {
        self.model.share(models);
        self
    }

    /// Answers queries about its customers.
    #[must_use]
    pub fn with_queries(mut self, queries: &Queries) -> Self {
        self.queries = queries.queue(self.number);
        self
    }

    pub(crate) fn number(&self) -> usize {
        self.number
    }

    /// Runs until told to stop, then commits and leaves the group. `watch` sees the worker after every step.
    ///
    /// # Errors
    /// [`Failure::Fatal`] and [`Failure::Fenced`]: start a new worker. [`Failure::Config`]: only a changed configuration or
    /// cluster can help.
    pub fn run(mut self, stop: &AtomicBool, mut watch: impl FnMut(&Self)) -> Result<(), Failure> {
        while !stop.load(Ordering::Relaxed) {
            self.run_once(POLL_TIMEOUT)?;
            watch(&self);
        }
        self.leave()
    }

    /// Waits for one event of the broker, for `timeout` at most, and handles it. `false` if there was nothing to do.
    ///
    /// # Errors
    /// As [`Worker::run`]. A transaction that aborts is rolled back here.
    pub fn run_once(&mut self, timeout: Duration) -> Result<bool, Failure> {
        match self.step(timeout) {
            Err(Failure::Abort(reason)) => {
                self.note_abort(&reason);
                self.roll_back()?;
                Ok(true)
            }
            other => other,
        }
    }

    pub(crate) fn note_abort(&mut self, reason: &str) {
        tracing::warn!(
            reason,
            "transaction aborted: the worker reads again from the last commit"
        );
        self.count_abort(Abort::Refused);
        self.metrics.progress.failed(self.number, reason);
    }

    /// Counts the abort of the open transaction. Without one there is nothing to abort.
    pub(crate) fn count_abort(&mut self, why: Abort) {
        self.meter.aborts[why as usize] += u64::from(self.transaction.is_open());
    }

    fn step(&mut self, timeout: Duration) -> Result<bool, Failure> {
        beat();
        let has_queries = !self.queries.is_empty();
        let is_open = self.transaction.is_open();
        let has_work = has_queries || is_open || self.has_unassigned() || self.has_due();
        let is_holding = self.pause();
        let timeout = match has_work {
            true => Duration::ZERO,
            false => timeout.min(self.poll_timeout(is_holding)),
        };
        let broker = &mut self.broker;
        let event = self.alignment.poll(&mut self.batch, |batch| {
            broker.poll(timeout, MAX_POLL_RECORDS, batch)
        })?;
        self.metrics.progress.polled(self.number);
        let is_idle = event == WorkerEvent::Idle;
        let is_rebalance = !matches!(event, WorkerEvent::Idle | WorkerEvent::Records);
        self.meter.rebalances += u64::from(is_rebalance);
        match event {
            WorkerEvent::Records => self.process()?,
            WorkerEvent::Assigned(topic_partitions) => self.assigned(&topic_partitions)?,
            WorkerEvent::Revoked(topic_partitions) => self.revoked(&topic_partitions)?,
            WorkerEvent::Lost(topic_partitions) => self.lost(&topic_partitions)?,
            WorkerEvent::Idle => {}
        }
        self.finish_learning()?;
        let released = self.release()?;
        let is_awaited = self.exchange_watermarks()?;
        self.advance_idle_tasks()?;
        let swept = self.sweep_some()?;
        let assigned = self.assign_initial_segments()?;
        let is_at_rest = is_idle && !released;
        if is_at_rest || is_awaited || self.commit_is_due(is_at_rest) {
            self.mark_caught_up()?;
        }
        self.report_pending();
        let commits = is_awaited || self.commit_is_due(is_at_rest);
        if commits {
            self.commit()?;
        }
        self.renew_if_due()?;
        self.checkpoint_some()?;
        self.look_for_inputs()?;
        self.report_warm_up();
        self.report_if_due();
        self.answer();
        Ok(!is_idle || is_holding || released || swept || assigned || commits)
    }

    /// Reports since when work has been waiting for a commit. A worker without tasks has none.
    fn report_pending(&self) {
        let progress = &self.metrics.progress;
        if self.transaction.is_open() {
            progress.pending(self.number);
        } else if self.tasks.is_assigned() && self.tasks.is_empty() {
            progress.nothing_pending(self.number);
        }
    }

    /// Keeps gauges and lags right without traffic.
    fn report_if_due(&mut self) {
        let is_due = self.time_mode.clock().since(self.reported) >= REPORT_EVERY;
        if self.tasks.is_assigned() && is_due {
            self.report_gauges();
        }
    }

    fn poll_timeout(&self, is_holding: bool) -> Duration {
        match (is_holding, self.trainer.is_learning()) {
            (true, _) => HOLDING_POLL_TIMEOUT,
            (false, true) => LEARNING_POLL_TIMEOUT,
            (false, false) => POLL_TIMEOUT,
        }
    }

    /// A replay commits when there is nothing more to read; a live pipeline also at intervals.
    fn commit_is_due(&self, is_idle: bool) -> bool {
        let since = self.time_mode.clock().since(self.commits.latest());
        let is_late = self.time_mode.is_live() && since >= self.pipeline.commit_interval;
        self.transaction.is_open() && (is_idle || is_late)
    }

    /// Commits, gives all tasks up and leaves the group.
    ///
    /// # Errors
    /// As [`Worker::run`].
    pub fn leave(mut self) -> Result<(), Failure> {
        tracing::info!("worker stops: it commits and leaves the group");
        let checkpoints = self.final_checkpoints().unwrap_or_else(|failure| {
            tracing::warn!(%failure, "the final checkpoint was not written: the next start reads more of the changelog");
            Vec::new()
        });
        // Their rows are no longer dirty in the tasks, so nothing else may be written before them.
        let store = self.checkpointer.take_store();
        // What is pending by then is committed when the tasks are revoked.
        while !self.broker.leave() {
            self.run_once(POLL_TIMEOUT)?;
        }
        write_final_checkpoints(store, checkpoints);
        Ok(())
    }

    /// Has the worker adopted an assignment, even an empty one?
    #[must_use]
    pub fn is_assigned(&self) -> bool {
        self.tasks.is_assigned()
    }

    /// Do records wait for other partitions that are behind in event time?
    #[must_use]
    pub fn is_holding(&self) -> bool {
        self.alignment.is_holding()
    }

    /// How customers moved since the worker started, as committed.
    #[must_use]
    pub fn moves(&self) -> &SegmentMoves {
        self.meter.moves()
    }

    /// What the features have found since the worker started, as committed.
    #[must_use]
    pub fn inputs(&self) -> &FeatureInputs {
        self.meter.inputs()
    }

    /// Events that were skipped as duplicates, in the order of [`DuplicateBy::NAMES`].
    #[must_use]
    pub fn duplicates(&self) -> [u64; DuplicateBy::NAMES.len()] {
        self.meter.duplicates()
    }

    /// The tasks that the worker owns, by number.
    pub fn tasks(&self) -> impl Iterator<Item = (TaskId, &Task)> {
        let tasks = self.tasks.iter();
        tasks.map(|(number, running)| (number, running.task()))
    }

    /// The model in use; `None` before the first version.
    #[must_use]
    pub fn versions(&self) -> Option<&Versions> {
        self.model.versions()
    }

    /// Advances the stream time of every task to `to_ms`, as at the end of a replay.
    ///
    /// # Errors
    /// As [`Worker::run`].
    pub fn advance_time(&mut self, to_ms: i64) -> Result<(), Failure> {
        for number in self.tasks.ids() {
            self.advance_task(number, to_ms)?;
        }
        self.commit()
    }
}

impl<B> Drop for Worker<B> {
    fn drop(&mut self) {
        self.pipeline.memory.change(self.meter.state_bytes, 0);
    }
}
