//! Drains the simulation: ends all faults, and runs the cluster until every record is processed.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use flockwise_core::task::Task;
use flockwise_runtime::task_id::TaskId;
use flockwise_runtime::topics::{Topic, TopicPartition};

use super::cluster::SimulatedWorker;
use super::simulation::Simulation;

/// Maximum number of rounds that draining may take. Each round runs every worker once.
const ROUNDS: usize = 3_000;

/// Maximum records per poll while draining.
const DRAIN_POLL_RECORDS: usize = 100;

/// The round in which an instance is restarted, so that a rebalance finds new partitions. All instances are up by
/// then.
const REASSIGN_ROUND: usize = 50;

impl Simulation {
    /// Ends all faults and runs the cluster until every record is processed.
    pub(super) fn drain(self: &Rc<Self>) {
        self.is_draining.set(true);
        self.note(None, "faults end", [0, 0]);
        self.producers().grow(&self.broker);
        self.cancel_faults();
        self.restart_partial_instances();
        // Workers exchange watermarks as records. With one record per poll they would produce more than they read.
        self.broker.limit_poll(DRAIN_POLL_RECORDS);
        for round in 0..ROUNDS {
            self.drain_round();
            if round == REASSIGN_ROUND && self.scenario.grows() {
                // The next assignment finds the new partitions.
                self.shut_down(0, Some(self.clock.wall_ms()));
            }
            let is_done = self.producers().is_done() && self.has_erased_all();
            if is_done && self.is_drained() {
                if self.producers().begin_final_day() {
                    self.note(None, "drained up to the final day", [0, 0]);
                    continue;
                }
                self.drain_round();
                self.check_readiness();
                (0..self.scenario.instances).for_each(|instance| self.shut_down(instance, None));
                return;
            }
        }
        panic!(
            "not drained after {ROUNDS} rounds; pending: {}",
            self.pending()
        );
    }

    /// Cancels pending faults, and lets all instances that are down start now.
    fn cancel_faults(&self) {
        let now_ms = self.clock.wall_ms();
        let mut cluster = self.cluster();
        for instance in &mut cluster.instances {
            instance.kill_countdown = None;
            if !instance.is_up {
                instance.back_at_ms = Some(now_ms);
            }
        }
        for slot in &mut cluster.slots {
            slot.pause = None;
            slot.refusal = None;
        }
    }

    fn drain_round(self: &Rc<Self>) {
        self.advance(Duration::from_millis(100));
        self.broker.expire_overdue();
        self.start_what_is_due();
        let share = self.random.scale(1, self.scenario.events) as usize;
        self.erase_some();
        if self.has_erased_all() {
            self.producers().produce(self, share);
        }
        (0..self.scenario.instances).for_each(|instance| self.poll_standbys(instance));
        let superseded = std::mem::take(&mut self.cluster().superseded);
        for (client_id, worker) in superseded {
            self.run_worker(client_id, worker);
        }
        let slots = self.scenario.instances * self.scenario.shards;
        (0..slots).for_each(|slot| self.run_slot(slot));
    }

    /// Checks that every worker with tasks reports that it is assigned.
    fn check_readiness(&self) {
        let cluster = self.cluster();
        for worker in cluster.slots.iter().filter_map(|slot| slot.worker.as_ref()) {
            let tasks = worker.tasks().count();
            assert!(
                worker.is_assigned() || tasks == 0,
                "a worker has {tasks} tasks but is not assigned"
            );
        }
    }

    fn is_drained(&self) -> bool {
        self.pending().is_empty()
    }

    /// Input, repartition and sample partitions that are not read to their ends, tasks whose summary is older than their
    /// state, and what [`Self::pending_tasks`] lists.
    fn pending(&self) -> String {
        let unread = self.unread();
        let committed_log = self.committed_log();
        let read = |topic, partition| {
            let topic_partition = TopicPartition { topic, partition };
            committed_log
                .positions
                .get(&topic_partition)
                .copied()
                .unwrap_or(0)
        };
        let mut left = String::new();
        for (input, partition) in unread {
            left += &format!("{:?}/{partition} ", Topic::Input(input));
        }
        let own = [
            (Topic::Repartition, self.pipeline.topics.state_partitions),
            (Topic::Samples, 1),
        ];
        for (topic, partitions) in own {
            for partition in 0..partitions {
                let position = read(topic, partition);
                if !self.broker.read(topic, partition, position).is_empty() {
                    left += &format!("{topic:?}/{partition} ");
                }
            }
        }
        for task in committed_log.unsummarised() {
            left += &format!("summary of task {task} ");
        }
        left + &self.pending_tasks()
    }

    /// Tasks without an owner or with a sweep that is due, and workers with records that were read but not processed.
    /// These may also be of a topic that no longer exists.
    fn pending_tasks(&self) -> String {
        let cluster = self.cluster();
        let shards = cluster.slots.iter().filter_map(|slot| slot.worker.as_ref());
        if shards.clone().any(SimulatedWorker::is_holding) {
            return "buffered records ".to_owned();
        }
        let tasks: BTreeMap<_, _> = shards.flat_map(SimulatedWorker::tasks).collect();
        let waits = |task: &Task| task.has_due() || task.watermark_ms() < task.stream_ms();
        let is_due = |task: &TaskId| tasks.get(task).copied().is_none_or(waits);
        let due = TaskId::all(self.scenario.state_partitions).filter(is_due);
        due.map(|task| format!("sweep/{task} ")).collect()
    }
}
