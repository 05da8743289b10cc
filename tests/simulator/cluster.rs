//! The cluster: instances with slots, and a worker in each slot.

use flockwise_runtime::model_log::SharedModels;
use flockwise_runtime::task_id::TaskId;
use flockwise_runtime::worker::Worker;

use super::client::Client;
use super::rolling_configurations::Setup;

/// A simulated worker.
pub(super) type SimulatedWorker = Worker<Client>;

/// Identifies a client, and the instance and slot that it belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ClientId {
    /// Unique in a simulation.
    pub(super) client: u64,
    pub(super) slot: usize,
    pub(super) instance: usize,
    /// Which start of the instance it belongs to, counted from 1.
    pub(super) incarnation: u64,
}

/// The operation during which a fault may be injected into a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum InjectionPoint {
    Anywhere,
    /// A commit has begun.
    BeforeOffsets,
    /// The positions are sent, and the transaction is still open.
    BeforeEnd,
    /// The same, in a transaction with a model version.
    BeforeEndOfVersion,
    /// A commit is done, and the worker has not got the answer.
    AfterEnd,
    /// A checkpoint is about to be written.
    BeforeCheckpoint,
}

/// A planned pause of a worker.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pause {
    /// The point at which it pauses; `None` is any.
    pub(super) point: Option<InjectionPoint>,
    /// Number of such points that it passes before.
    pub(super) after: u64,
    pub(super) steps: u64,
}

/// A planned refusal of a call, which aborts the transaction.
#[derive(Clone, Copy, Debug)]
pub(super) struct Refusal {
    pub(super) is_send: bool,
    pub(super) after: u64,
    /// Number of further calls that are refused right after it.
    pub(super) again: u64,
}

/// A process.
#[derive(Debug, Default)]
pub(super) struct Instance {
    /// The model versions that its workers have read.
    pub(super) models: SharedModels,
    /// Its configuration; `None` before its first start.
    pub(super) setup: Option<Setup>,
    pub(super) incarnation: u64,
    pub(super) is_up: bool,
    pub(super) back_at_ms: Option<i64>,
    /// Number of operations of its clients until it is killed; `None` if no kill is planned.
    pub(super) kill_countdown: Option<u64>,
}

/// The slot of one worker.
#[derive(Default)]
pub(super) struct Slot {
    /// `None` while it runs, and if there is none.
    pub(super) worker: Option<SimulatedWorker>,
    /// The client that the slot belongs to.
    pub(super) client_id: Option<ClientId>,
    pub(super) back_at_ms: Option<i64>,
    pub(super) pause: Option<Pause>,
    pub(super) refusal: Option<Refusal>,
    /// True if the current run began with records or an idle poll, not with an assignment, revocation or loss.
    is_plain: bool,
    /// Tasks that the current run committed, if it sent nothing after the commit.
    committed: Vec<TaskId>,
}

/// All instances and slots.
pub(super) struct Cluster {
    pub(super) instances: Vec<Instance>,
    pub(super) slots: Vec<Slot>,
    /// Workers whose slot has been given to another one of the same name.
    pub(super) superseded: Vec<(ClientId, SimulatedWorker)>,
    clients: u64,
}

impl Cluster {
    pub(super) fn new(instances: usize, shards: usize) -> Self {
        Self {
            instances: (0..instances).map(|_| Instance::default()).collect(),
            slots: (0..instances * shards).map(|_| Slot::default()).collect(),
            superseded: Vec::new(),
            clients: 0,
        }
    }

    pub(super) fn shards(&self) -> usize {
        self.slots.len() / self.instances.len()
    }

    pub(super) fn slots_of(&self, instance: usize) -> std::ops::Range<usize> {
        let shards = self.shards();
        instance * shards..(instance + 1) * shards
    }

    /// Gives a slot to a new client. Its worker, if any, is superseded.
    pub(super) fn new_client(&mut self, slot: usize) -> ClientId {
        self.clients += 1;
        let instance = slot / self.shards();
        let client_id = ClientId {
            client: self.clients,
            slot,
            instance,
            incarnation: self.instances[instance].incarnation,
        };
        let before = self.slots[slot].client_id.replace(client_id);
        let worker = self.slots[slot].worker.take();
        self.superseded.extend(before.zip(worker));
        client_id
    }

    pub(super) fn is_alive(&self, client_id: &ClientId) -> bool {
        let instance = &self.instances[client_id.instance];
        instance.is_up && instance.incarnation == client_id.incarnation
    }

    /// Takes a worker out of its slot, to run it.
    pub(super) fn take(&mut self, slot: usize) -> Option<(ClientId, SimulatedWorker)> {
        let slot = &mut self.slots[slot];
        Some((slot.client_id?, slot.worker.take()?))
    }

    /// Puts a worker back into its slot, or into `superseded`. Returns it if its process is dead.
    pub(super) fn put_back(
        &mut self,
        client_id: ClientId,
        worker: SimulatedWorker,
    ) -> Option<SimulatedWorker> {
        if !self.is_alive(&client_id) {
            return Some(worker);
        }
        let slot = &mut self.slots[client_id.slot];
        if slot.client_id == Some(client_id) {
            slot.worker = Some(worker);
        } else {
            self.superseded.push((client_id, worker));
        }
        None
    }

    /// Kills an instance. Returns its workers that are not running at the moment; the caller must drop them.
    pub(super) fn kill(&mut self, instance: usize, back_at_ms: i64) -> Vec<SimulatedWorker> {
        let state = &mut self.instances[instance];
        state.is_up = false;
        state.kill_countdown = None;
        state.back_at_ms = Some(back_at_ms);
        let mut dead = Vec::new();
        for slot in self.slots_of(instance) {
            let slot = &mut self.slots[slot];
            *slot = Slot {
                worker: {
                    dead.extend(slot.worker.take());
                    None
                },
                ..Slot::default()
            };
        }
        dead
    }

    pub(super) fn begin_run(&mut self, slot: usize, is_plain: bool) {
        let slot = &mut self.slots[slot];
        slot.is_plain = is_plain;
        slot.committed.clear();
    }

    pub(super) fn commit(&mut self, slot: usize, tasks: Vec<TaskId>) {
        self.slots[slot].committed = tasks;
    }

    /// The current run sent a record after its commit.
    pub(super) fn continue_run(&mut self, slot: usize) {
        self.slots[slot].committed.clear();
    }

    /// Tasks that are unchanged since their commit in the current run.
    pub(super) fn committed(&self, slot: usize) -> &[TaskId] {
        let slot = &self.slots[slot];
        if slot.is_plain { &slot.committed } else { &[] }
    }
}
