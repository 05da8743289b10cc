//! Commands that erase customers, and what must follow from them.
//!
//! A command lies behind the forwarded events of its task, but inputs are read beside it. So one is sent when every event
//! is read, and the producers wait until it is applied: then it is known which events count again.

use flockwise_runtime::task_id::TaskId;
use std::collections::BTreeMap;

use flockwise_codec::task_command::encode_task_command;
use flockwise_core::task::TaskCommand;
use flockwise_memory::CommittedRecord;
use flockwise_runtime::topics::{Topic, TopicPartition};

use super::simulation::Simulation;

/// Trace event: a customer is to be erased.
pub(super) const ERASES: &str = "erases a customer";

/// Customers that are erased at a time, at most. Some are erased twice.
const MAX_ERASED: u64 = 4;

/// The commands that were sent.
#[derive(Debug, Default)]
pub(super) struct Erasures {
    /// Some customers are to be erased once every event is read.
    is_due: bool,
    /// Offsets of the commands, by task.
    offsets: BTreeMap<TaskId, Vec<i64>>,
    /// For each customer that was erased, the number of valid events produced before.
    events_before: BTreeMap<Vec<u8>, usize>,
}

impl Erasures {
    /// Number of commands to a task from an offset up to another.
    pub(super) fn between(&self, task: TaskId, from: i64, to: i64) -> u64 {
        let offsets = self.offsets.get(&task).into_iter().flatten();
        offsets.filter(|offset| (from..to).contains(offset)).count() as u64
    }

    /// True if the valid event at this index was produced before its customer was erased.
    pub(super) fn has_erased(&self, customer: &[u8], index: usize) -> bool {
        self.events_before
            .get(customer)
            .is_some_and(|before| index < *before)
    }

    /// True if no command was sent.
    pub(super) fn is_empty(&self) -> bool {
        self.offsets.is_empty()
    }

    /// True if a record of the repartition topic is a command. Workers have not sent it.
    pub(super) fn holds(record: &CommittedRecord) -> bool {
        record
            .value
            .as_deref()
            .is_some_and(|value| value.starts_with(b"{"))
    }
}

impl Simulation {
    /// Decides now and then to erase customers.
    pub(super) fn plan_erasures(&self) {
        let may_erase = self.scenario.variations.erased && !self.producers().good.is_empty();
        if may_erase && self.random.percent(4) {
            self.erasures().is_due = true;
        }
    }

    /// Sends the commands that are due, if every event is read.
    pub(super) fn erase_some(&self) {
        let is_due = self.erasures().is_due;
        if !is_due || !self.unread().is_empty() {
            return;
        }
        self.erasures().is_due = false;
        for _ in 0..self.random.between(1, MAX_ERASED) {
            self.erase_one();
        }
    }

    fn erase_one(&self) {
        let (customer, before) = {
            let good = &self.producers().good;
            let (_, record) = &good[self.random.index(good.len())];
            (record.key.clone(), good.len())
        };
        let now_ms = self.clock.wall_ms();
        let tasks = self.scenario.state_partitions;
        let task = self.pipeline.partitioner.partition(&customer, tasks);
        let command = encode_task_command(&TaskCommand::Erase {
            customer_id: String::from_utf8_lossy(&customer).into_owned(),
            at_ms: now_ms,
        });
        let offset = self
            .broker
            .append(Topic::Repartition, task, now_ms, None, Some(&command));
        self.note(None, ERASES, [i64::from(task), offset]);
        let mut erasures = self.erasures();
        erasures
            .offsets
            .entry(TaskId(task))
            .or_default()
            .push(offset);
        erasures.events_before.insert(customer, before);
    }

    /// True unless customers are to be erased or are being erased.
    pub(super) fn has_erased_all(&self) -> bool {
        let erasures = self.erasures();
        let committed_log = self.committed_log();
        let is_applied = |(task, offsets): (&TaskId, &Vec<i64>)| {
            let position = committed_log
                .positions
                .get(&TopicPartition::repartition(*task));
            offsets.last() < position
        };
        !erasures.is_due && erasures.offsets.iter().all(is_applied)
    }
}
