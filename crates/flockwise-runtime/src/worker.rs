//! The worker loop: one place waits, one `match` decides.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use flockwise_codec::watermarks::Learnt;
use flockwise_core::task::{Output, Task, Versions};

use crate::alignment::AlignedPartitions;
use crate::batch::Batch;
use crate::broker::{Broker, Failure, WorkerEvent};
use crate::checkpoint::write_final_checkpoints;
use crate::clock::Moment;
use crate::decode_ahead::DecodeAhead;
use crate::heartbeat::beat;
use crate::learning_thread::{InlineExecutor, LearningExecutor};
pub use crate::metrics::SegmentMoves;
use crate::metrics::{Abort, Metrics, WorkerMeter};
use crate::model_log::{ModelLog, SharedModels};
use crate::outbox::Outbox;
use crate::pipeline::{Pipeline, TimeMode};
use crate::queries::{Queries, QueryQueue};
use crate::reference_clock::ReferenceClock;
use crate::running_task::RunningTask;
use crate::standby::Standbys;
use crate::store::{NoStore, Store};
use crate::topics::{Topic, TopicPartition};
use crate::trainer_host::TrainerHost;
use crate::transaction::Transaction;
use crate::watermarks::WatermarkSender;

/// Records of one poll, at most.
const MAX_POLL_RECORDS: usize = 1000;
/// How often gauges and lags are shown where nothing is committed.
const REPORT_EVERY: Duration = Duration::from_secs(1);
/// How long a poll waits when nothing is pending.
const POLL_TIMEOUT: Duration = Duration::from_millis(100);
/// The same while the trainer is learning: what was learnt is published soon.
const LEARNING_POLL_TIMEOUT: Duration = Duration::from_millis(10);
/// How soon to see whether other workers have come as far as records that are kept.
const HOLDING_POLL_TIMEOUT: Duration = Duration::from_millis(5);

/// One worker: a broker's client, the tasks it owns, and the loop.
pub struct Worker<B> {
    pub(crate) broker: B,
    number: usize,
    pub(crate) store: Box<dyn Store>,
    pub(crate) standbys: Standbys,
    /// Where questions about its customers come in.
    pub(crate) query_queue: QueryQueue,
    /// What tells the changelog from another of the same name, once it was asked for.
    pub(crate) changelog: Option<String>,
    /// Ids of the input topics when they were last looked at.
    pub(crate) input_ids: Vec<String>,
    /// Input topics that were recreated and are not read.
    pub(crate) recreated: BTreeSet<Topic>,
    /// When input topics were last looked at for new partitions.
    pub(crate) looked: Moment,
    pub(crate) pipeline: Arc<Pipeline>,
    pub(crate) time_mode: TimeMode,
    pub(crate) tasks: BTreeMap<u32, RunningTask>,
    /// Tasks handed over that may come back with the next assignment, as they do under an eager
    /// protocol: until then nobody else can have had them.
    pub(crate) suspended: BTreeMap<u32, RunningTask>,
    /// The round of assignments in which they were handed over.
    pub(crate) suspended_generation: Option<i64>,
    pub(crate) trainer: Option<TrainerHost>,
    pub(crate) versions: Option<Versions>,
    /// The model in use is the configured import, and not yet one of the model topic.
    pub(crate) is_imported: bool,
    /// The model topic as far as it was read.
    pub(crate) models: ModelLog,
    pub(crate) shared_models: SharedModels,
    /// Where the trainer learns.
    pub(crate) executor: Box<dyn LearningExecutor>,
    pub(crate) batch: Batch,
    pub(crate) decoded_ahead: DecodeAhead,
    /// The input partitions that it reads, in step.
    pub(crate) input_alignment: AlignedPartitions,
    /// What the other workers know of the tasks' watermarks.
    pub(crate) watermark_sender: WatermarkSender,
    /// The task of other workers that is furthest behind in event time, and its watermark.
    pub(crate) furthest_behind: Option<(u32, i64)>,
    /// How far in event time the trainer has learnt, where others wait for it.
    pub(crate) learnt: Option<Learnt>,
    /// Event time up to which records may be processed, as it was when it was last asked for.
    pub(crate) limit_ms: i64,
    /// Sources that the broker was told to give no records of.
    pub(crate) held: Vec<TopicPartition>,
    /// When waiting for other partitions was last counted.
    pub(crate) wait_counted: Moment,
    pub(crate) output: Output,
    pub(crate) outbox: Outbox,
    /// What the next commit contains.
    pub(crate) transaction: Transaction,
    pub(crate) committed: Moment,
    /// When gauges and lags were last shown.
    pub(crate) reported: Moment,
    /// Right before the last commit: the tasks were this worker's then, whatever has become of them since.
    /// Milliseconds since the epoch.
    pub(crate) committed_ms: i64,
    /// By what events from the future are judged.
    pub(crate) reference: ReferenceClock,
    /// When the present batch arrived: the clock is read once a batch, not for every event.
    pub(crate) polled: Moment,
    pub(crate) metrics: Metrics,
    pub(crate) meter: WorkerMeter,
    pub(crate) is_assigned: bool,
    /// The lineage topic says that the pipeline has caught up.
    pub(crate) is_announced: bool,
}

impl<B: Broker> Worker<B> {
    /// A worker that owns nothing yet.
    pub fn new(
        number: usize,
        broker: B,
        pipeline: Arc<Pipeline>,
        time_mode: TimeMode,
        metrics: Metrics,
    ) -> Self {
        let versions = pipeline.imported().map(|current| Versions {
            current,
            previous: None,
        });
        let now = time_mode.clock().now();
        Self {
            broker,
            number,
            store: Box::new(NoStore),
            standbys: Standbys::new(
                0,
                pipeline.topics.state_partitions,
                time_mode.clock().clone(),
            ),
            query_queue: QueryQueue::default(),
            changelog: None,
            input_ids: Vec::new(),
            recreated: BTreeSet::new(),
            looked: now,
            time_mode,
            tasks: BTreeMap::new(),
            suspended: BTreeMap::new(),
            suspended_generation: None,
            trainer: None,
            is_imported: versions.is_some(),
            versions,
            models: ModelLog::default(),
            shared_models: SharedModels::default(),
            executor: Box::new(InlineExecutor),
            batch: Batch::default(),
            decoded_ahead: DecodeAhead::default(),
            input_alignment: AlignedPartitions::new(pipeline.alignment),
            watermark_sender: WatermarkSender::new(now),
            furthest_behind: None,
            learnt: None,
            limit_ms: i64::MIN,
            held: Vec::new(),
            wait_counted: now,
            output: Output::default(),
            outbox: Outbox::new(&pipeline),
            transaction: Transaction::default(),
            committed: now,
            reported: now,
            committed_ms: 0,
            reference: ReferenceClock::default(),
            polled: now,
            metrics,
            meter: WorkerMeter::new(number),
            is_assigned: false,
            is_announced: false,
            pipeline,
        }
    }

    /// Keeps the tasks' state in a store as well, so that the next start is quick.
    #[must_use]
    pub fn with_store(mut self, store: Box<dyn Store>) -> Self {
        self.store = store;
        self
    }

    /// Takes tasks over from what the process keeps warm.
    #[must_use]
    pub fn with_standbys(mut self, standbys: Standbys) -> Self {
        self.standbys = standbys;
        self
    }

    /// Learns on this workbench, where this worker is the trainer. Without one it learns within its own loop, which
    /// stands still meanwhile.
    #[must_use]
    pub fn with_learning(mut self, executor: Box<dyn LearningExecutor>) -> Self {
        self.executor = executor;
        self
    }

    /// Reads of the model topic only what no worker with the same log has read yet.
    #[must_use]
    pub fn with_shared_models(mut self, models: &SharedModels) -> Self {
        self.shared_models = models.clone();
        self
    }

    /// Answers questions about its customers.
    #[must_use]
    pub fn with_queries(mut self, queries: &Queries) -> Self {
        self.query_queue = queries.query_queue(self.number);
        self
    }

    pub(crate) fn number(&self) -> usize {
        self.number
    }

    /// Works until told to stop, then commits, hands over and leaves; `watch` sees the worker after every
    /// turn.
    ///
    /// # Errors
    /// [`Failure::Fatal`]: start a new worker; [`Failure::Config`]: nothing here can help.
    pub fn run(mut self, stop: &AtomicBool, mut watch: impl FnMut(&Self)) -> Result<(), Failure> {
        while !stop.load(Ordering::Relaxed) {
            self.turn(POLL_TIMEOUT)?;
            watch(&self);
        }
        self.leave()
    }

    /// Waits for one thing and deals with it; `false` where nothing came within the patience.
    ///
    /// # Errors
    /// As [`Worker::run`]; a transaction that must be aborted is done again here.
    pub fn turn(&mut self, patience: Duration) -> Result<bool, Failure> {
        match self.step(patience) {
            Err(Failure::Abort(reason)) => {
                self.note_abort(&reason);
                self.roll_back()?;
                Ok(true)
            }
            other => other,
        }
    }

    pub(crate) fn note_abort(&mut self, reason: &str) {
        tracing::warn!(reason, "transaction aborted; going back to the last commit");
        self.count_abort(Abort::CommandError);
        self.metrics.progress.failed(self.number, reason);
    }

    /// Counts the end of the open transaction; without one there is nothing to abort.
    pub(crate) fn count_abort(&mut self, why: Abort) {
        self.meter.aborts[why as usize] += u64::from(self.transaction.is_open());
    }

    fn step(&mut self, patience: Duration) -> Result<bool, Failure> {
        beat();
        let is_asked = !self.query_queue.is_empty();
        let has_work =
            is_asked || self.transaction.is_open() || self.has_unassigned() || self.has_due();
        let is_holding = self.hold();
        let patience = match has_work {
            true => Duration::ZERO,
            false => patience.min(self.longest_wait(is_holding)),
        };
        self.input_alignment.set_apart(&mut self.batch);
        let turn = self
            .broker
            .poll(patience, MAX_POLL_RECORDS, &mut self.batch);
        self.input_alignment.keep_apart(&mut self.batch);
        self.input_alignment.polled();
        let turn = turn?;
        self.metrics.progress.polled(self.number);
        let is_idle = turn == WorkerEvent::Idle;
        let is_rebalance = !matches!(turn, WorkerEvent::Idle | WorkerEvent::Records);
        self.meter.rebalances += u64::from(is_rebalance);
        match turn {
            WorkerEvent::Records => self.process()?,
            WorkerEvent::Assigned(sources) => self.assigned(&sources)?,
            WorkerEvent::Revoked(sources) => self.revoked(&sources)?,
            WorkerEvent::Lost(sources) => self.lost(&sources)?,
            WorkerEvent::Idle => {}
        }
        self.finish_learning()?;
        let released = self.release()?;
        let is_awaited = self.exchange_watermarks()?;
        self.advance_idle_tasks()?;
        let swept = self.sweep_some()?;
        let placed = self.assign_initial_segments()?;
        let is_at_rest = is_idle && !released;
        if is_at_rest || is_awaited || self.commit_is_due(is_at_rest) {
            self.note_caught_up()?;
        }
        self.note_pending();
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
        Ok(!is_idle || is_holding || released || swept || placed || commits)
    }

    /// Notes since when something has waited to be committed; who owns nothing waits for nothing.
    fn note_pending(&self) {
        let progress = &self.metrics.progress;
        if self.transaction.is_open() {
            progress.pending(self.number);
        } else if self.is_assigned && self.tasks.is_empty() {
            progress.nothing_pending(self.number);
        }
    }

    /// Gauges and lags are right without traffic too.
    fn report_if_due(&mut self) {
        if self.is_assigned && self.time_mode.clock().since(self.reported) >= REPORT_EVERY {
            self.report_standing();
        }
    }

    /// How long a poll may wait where nothing else is to be done.
    fn longest_wait(&self, is_holding: bool) -> Duration {
        match (is_holding, self.is_learning()) {
            (true, _) => HOLDING_POLL_TIMEOUT,
            (false, true) => LEARNING_POLL_TIMEOUT,
            (false, false) => POLL_TIMEOUT,
        }
    }

    pub(crate) fn is_learning(&self) -> bool {
        self.trainer.as_ref().is_some_and(TrainerHost::is_busy)
    }

    /// A replay commits when it has worked off what there was; a live pipeline also at intervals.
    fn commit_is_due(&self, is_idle: bool) -> bool {
        let interval = self.pipeline.commit_interval;
        let is_late =
            self.time_mode.is_live() && self.time_mode.clock().since(self.committed) >= interval;
        self.transaction.is_open() && (is_idle || is_late)
    }

    /// Commits, hands everything over and leaves the group.
    ///
    /// # Errors
    /// As [`Worker::run`].
    pub fn leave(mut self) -> Result<(), Failure> {
        tracing::info!("leaving");
        let checkpoints = self.final_checkpoints().unwrap_or_else(|failure| {
            tracing::warn!(%failure, "local state stays as it is; the next start reads more of the changelog");
            Vec::new()
        });
        // What they say has been taken out of the tasks, so nothing else may be written before them.
        let store = std::mem::replace(&mut self.store, Box::new(NoStore));
        // What is pending by then is committed when the tasks are handed over.
        while !self.broker.leave() {
            self.turn(POLL_TIMEOUT)?;
        }
        write_final_checkpoints(store, checkpoints);
        Ok(())
    }

    /// Has it been given its tasks, even if none?
    #[must_use]
    pub fn is_assigned(&self) -> bool {
        self.is_assigned
    }

    /// Does it hold records back that are ahead of others in event time?
    #[must_use]
    pub fn is_holding(&self) -> bool {
        self.input_alignment.holding().next().is_some()
    }

    /// How customers moved since the worker started, as committed.
    #[must_use]
    pub fn moves(&self) -> &SegmentMoves {
        self.meter.moves()
    }

    /// The tasks that the worker owns.
    pub fn tasks(&self) -> impl Iterator<Item = (u32, &Task)> {
        self.tasks
            .iter()
            .map(|(number, running)| (*number, running.task()))
    }

    /// The model in use.
    #[must_use]
    pub fn versions(&self) -> Option<&Versions> {
        self.versions.as_ref()
    }

    /// Lets event time pass up to `to_ms` for every task, as at the end of a replay.
    ///
    /// # Errors
    /// As [`Worker::run`].
    pub fn advance_time(&mut self, to_ms: i64) -> Result<(), Failure> {
        let numbers: Vec<u32> = self.tasks.keys().copied().collect();
        for number in numbers {
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
