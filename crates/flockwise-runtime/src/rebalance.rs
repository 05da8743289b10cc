//! Rebalances: assigned, revoked and lost tasks.

use std::collections::BTreeSet;

use crate::broker::{Broker, Failure};
use crate::metrics::Abort;
use crate::running_task::RunningTask;
use crate::topics::{Topic, TopicPartition};
use crate::trainer_host::SAMPLES;
use crate::worker::Worker;
use flockwise_vocabulary::task_id::TaskId;

impl<B: Broker> Worker<B> {
    /// Adopts an assignment. If a transaction aborts meanwhile, it is adopted a second time as a whole: half an
    /// assignment would leave tasks, the trainer or the model unread until the next rebalance.
    pub(crate) fn assigned(&mut self, topic_partitions: &[TopicPartition]) -> Result<(), Failure> {
        let stale = self.tasks.close_stale_suspended(self.broker.generation());
        self.release_checkpoints(&stale);
        self.look_at_topic_ids()?;
        self.inputs.read_all_again();
        match self.adopt_assignment(topic_partitions) {
            Err(Failure::Abort(reason)) => {
                self.note_abort(&reason);
                self.adopt_assignment_again(topic_partitions)
                    .map_err(fatal_if_aborted)
            }
            other => other,
        }
    }

    /// Adopts an assignment after an abort. A cooperative protocol assigns only new tasks, but the abort has rolled back
    /// the others as well: all are read again from their positions.
    fn adopt_assignment_again(
        &mut self,
        topic_partitions: &[TopicPartition],
    ) -> Result<(), Failure> {
        self.broker.abort()?;
        self.roll_back_state();
        let mut all = topic_partitions.to_vec();
        all.extend(
            self.tasks
                .ids()
                .into_iter()
                .map(TopicPartition::repartition),
        );
        all.extend(self.trainer.is_running().then_some(SAMPLES));
        all.sort_unstable();
        all.dedup();
        let revoked = self.take_out(&all);
        self.tasks.suspend(revoked.tasks);
        self.adopt_assignment(&all)
    }

    /// Resumes suspended tasks, restores the other new ones from their changelogs, and closes suspended tasks that were
    /// not assigned again.
    fn adopt_assignment(&mut self, topic_partitions: &[TopicPartition]) -> Result<(), Failure> {
        let trains = topic_partitions
            .iter()
            .any(|topic_partition| topic_partition.topic == Topic::Samples);
        self.load_model(trains && !self.trainer.is_running())?;
        let added = self.resume_or_restore(topic_partitions)?;
        let mut reads = vec![self.model.read()];
        for topic_partition in topic_partitions {
            match topic_partition.topic {
                Topic::Repartition if added.contains(&TaskId(topic_partition.partition)) => {
                    reads.extend(self.task_reads(TaskId(topic_partition.partition))?);
                }
                Topic::Samples if !self.trainer.is_running() => {
                    reads.push(self.open_trainer()?);
                }
                _ => {}
            }
        }
        self.close_suspended();
        self.open(&reads)?;
        self.note_starts()?;
        self.tasks.set_assigned();
        self.watermarks.start_over();
        let owned = self.tasks.ids();
        tracing::info!(tasks = ?owned, "tasks assigned");
        let owned = owned.into_iter().collect::<BTreeSet<TaskId>>();
        self.standbys.owned_by(self.number(), owned);
        self.report_gauges();
        Ok(())
    }

    fn close_suspended(&mut self) {
        let closed = self.tasks.close_suspended();
        self.release_checkpoints(&closed);
    }

    /// Adds the assigned tasks that do not run yet. Returns their numbers.
    fn resume_or_restore(
        &mut self,
        topic_partitions: &[TopicPartition],
    ) -> Result<Vec<TaskId>, Failure> {
        let tasks = topic_partitions
            .iter()
            .filter(|s| s.topic == Topic::Repartition);
        let task_ids = tasks.map(|topic_partition| TaskId(topic_partition.partition));
        let added: Vec<TaskId> = task_ids.filter(|n| !self.tasks.contains(*n)).collect();
        let mut unknown = added.clone();
        unknown.retain(|task_id| !self.tasks.resume(*task_id));
        self.restore(&unknown)?;
        Ok(added)
    }

    /// Commits and gives tasks up. If the commit aborts, the tasks go as of the commit before: the member that waits
    /// for them must not wait for ever.
    pub(crate) fn revoked(&mut self, topic_partitions: &[TopicPartition]) -> Result<(), Failure> {
        match self.commit() {
            Ok(()) => {
                let revoked = self.take_out(topic_partitions);
                self.tasks.suspend(revoked.tasks);
                self.tasks.set_suspended_in(self.broker.generation());
                self.close(&revoked.topic_partitions)
            }
            Err(Failure::Abort(reason)) => {
                self.note_abort(&reason);
                self.give_up(topic_partitions)
            }
            Err(failure) => Err(failure),
        }
    }

    /// Gives up tasks that the group has already assigned to others.
    pub(crate) fn lost(&mut self, topic_partitions: &[TopicPartition]) -> Result<(), Failure> {
        tracing::warn!(
            ?topic_partitions,
            "the session of the worker's consumer timed out, and the group took its partitions away"
        );
        self.count_abort(Abort::Lost);
        self.give_up(topic_partitions)
    }

    /// Gives up tasks without what is not committed.
    fn give_up(&mut self, topic_partitions: &[TopicPartition]) -> Result<(), Failure> {
        self.broker.abort()?;
        self.roll_back_state();
        self.close_suspended();
        let revoked = self.take_out(topic_partitions);
        let task_ids = revoked.tasks.iter().map(|(task_id, _)| *task_id);
        self.release_checkpoints(&task_ids.collect::<Vec<TaskId>>());
        self.close(&revoked.topic_partitions)?;
        // The remaining tasks were in the same transaction.
        self.reopen()
    }

    /// Takes tasks, and the trainer, out of the worker.
    fn take_out(&mut self, topic_partitions: &[TopicPartition]) -> Revoked {
        let mut revoked = Revoked {
            topic_partitions: topic_partitions.to_vec(),
            tasks: Vec::new(),
        };
        for topic_partition in topic_partitions {
            match topic_partition.topic {
                Topic::Repartition => {
                    let task_id = TaskId(topic_partition.partition);
                    if let Some(running) = self.tasks.remove(task_id) {
                        self.forget_lags(&running.inputs);
                        revoked.topic_partitions.extend(&running.inputs);
                        revoked.tasks.push((task_id, running));
                    }
                }
                Topic::Samples => self.trainer.stop(),
                _ => {}
            }
        }
        self.tasks.set_unassigned();
        self.meter.tasks_running = self.tasks.len() as u64;
        revoked
    }

    fn forget_lags(&self, inputs: &[TopicPartition]) {
        for topic_partition in inputs {
            let topic = self.pipeline.topics.name(topic_partition.topic);
            self.metrics.lags.forget(&topic, topic_partition.partition);
        }
    }
}

/// A second abort would leave the trainer unread until the next rebalance: the worker starts over instead.
fn fatal_if_aborted(failure: Failure) -> Failure {
    match failure {
        Failure::Abort(reason) => Failure::Fatal(format!(
            "{reason}; this was the second abort in one assignment"
        )),
        other => other,
    }
}

/// What a worker has given up.
struct Revoked {
    /// The revoked partitions, and the inputs of their tasks.
    topic_partitions: Vec<TopicPartition>,
    tasks: Vec<(TaskId, RunningTask)>,
}
