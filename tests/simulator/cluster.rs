//! Who is there: instances with their seats, a worker in each.

use flockwise_runtime::model_log::SharedModels;
use flockwise_runtime::worker::Worker;

use super::client::Client;
use super::setup::Setup;

/// A worker at work.
pub(super) type Member = Worker<Client>;

/// Where a client stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ClientId {
    /// No two clients of a world have the same.
    pub(super) client: u64,
    pub(super) slot: usize,
    pub(super) instance: usize,
    /// The how-manieth start of the instance it belongs to.
    pub(super) life: u64,
}

/// Where in its work a client is when something may befall it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Anywhere,
    /// A commit has begun.
    BeforeOffsets,
    /// The group has the positions, and the transaction is open.
    BeforeEnd,
    /// The same, and a version of the model is in it.
    BeforeEndOfVersion,
    /// A commit has taken effect, and nobody has heard of it.
    AfterEnd,
    /// Records are about to be given to the local copy.
    BeforeKeep,
}

/// A worker will stand still, for so many steps of the world.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pause {
    /// Where; `None`: wherever it is.
    pub(super) place: Option<Place>,
    /// Times that it goes by such a place before.
    pub(super) after: u64,
    pub(super) steps: u64,
}

/// A call will be refused, and the transaction is void.
#[derive(Clone, Copy, Debug)]
pub(super) struct Refusal {
    pub(super) is_send: bool,
    pub(super) after: u64,
    /// And so many more right after it.
    pub(super) again: u64,
}

/// A process and the disk that outlives it.
#[derive(Debug, Default)]
pub(super) struct Instance {
    /// What its workers have read of the model topic.
    pub(super) models: SharedModels,
    /// What it is configured with; `None` before its first start.
    pub(super) setup: Option<Setup>,
    pub(super) life: u64,
    pub(super) is_up: bool,
    pub(super) back_at_ms: Option<i64>,
    /// Things that its clients still do before it dies.
    pub(super) kill_countdown: Option<u64>,
}

/// The place of one worker.
#[derive(Default)]
pub(super) struct Slot {
    /// `None` while it works, and while there is none.
    pub(super) worker: Option<Member>,
    /// Whose turn it is to sit here.
    pub(super) client_id: Option<ClientId>,
    pub(super) back_at_ms: Option<i64>,
    pub(super) pause: Option<Pause>,
    pub(super) refusal: Option<Refusal>,
    /// Did the present turn begin with records, or nothing?
    is_plain: bool,
    /// Tasks committed as the last thing of this turn.
    committed: Vec<u32>,
}

/// Everybody.
pub(super) struct Cluster {
    pub(super) instances: Vec<Instance>,
    pub(super) slots: Vec<Slot>,
    /// Workers in whose place there is another of the same name.
    pub(super) superseded: Vec<(ClientId, Member)>,
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

    pub(super) fn seats_of(&self, instance: usize) -> std::ops::Range<usize> {
        let shards = self.shards();
        instance * shards..(instance + 1) * shards
    }

    /// A new client for a seat.
    pub(super) fn appoint(&mut self, slot: usize) -> ClientId {
        self.clients += 1;
        let instance = slot / self.shards();
        let client_id = ClientId {
            client: self.clients,
            slot,
            instance,
            life: self.instances[instance].life,
        };
        let before = self.slots[slot].client_id.replace(client_id);
        let worker = self.slots[slot].worker.take();
        self.superseded.extend(before.zip(worker));
        client_id
    }

    pub(super) fn is_alive(&self, client_id: &ClientId) -> bool {
        let instance = &self.instances[client_id.instance];
        instance.is_up && instance.life == client_id.life
    }

    /// Takes a worker from its seat, to work.
    pub(super) fn take(&mut self, slot: usize) -> Option<(ClientId, Member)> {
        let slot = &mut self.slots[slot];
        Some((slot.client_id?, slot.worker.take()?))
    }

    /// Puts a worker back where it belongs, if it still does; else it comes back.
    pub(super) fn put_back(&mut self, client_id: ClientId, worker: Member) -> Option<Member> {
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

    /// An instance dies; its workers that do not work just now are given out, to be dropped.
    pub(super) fn kill(&mut self, instance: usize, back_at_ms: i64) -> Vec<Member> {
        let state = &mut self.instances[instance];
        state.is_up = false;
        state.kill_countdown = None;
        state.back_at_ms = Some(back_at_ms);
        let mut dead = Vec::new();
        for slot in self.seats_of(instance) {
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

    pub(super) fn begin_turn(&mut self, slot: usize, is_plain: bool) {
        let slot = &mut self.slots[slot];
        slot.is_plain = is_plain;
        slot.committed.clear();
    }

    pub(super) fn commit(&mut self, slot: usize, tasks: Vec<u32>) {
        self.slots[slot].committed = tasks;
    }

    /// The turn went on after its commit.
    pub(super) fn go_on(&mut self, slot: usize) {
        self.slots[slot].committed.clear();
    }

    /// Tasks that stand as they were committed.
    pub(super) fn committed(&self, slot: usize) -> &[u32] {
        let slot = &self.slots[slot];
        if slot.is_plain { &slot.committed } else { &[] }
    }
}
