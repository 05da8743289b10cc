//! What happens to clients in the middle of their calls.

use std::rc::Rc;
use std::time::Duration;

use flockwise_runtime::broker::Failure;

use super::cluster::{ClientId, Place};
use super::world::World;

/// Workers that stand still inside of each other, at most.
const DEEPEST: usize = 3;

impl World {
    /// What happens to a client between two things that it does.
    pub(super) fn inject(
        self: &Rc<Self>,
        client_id: &ClientId,
        place: Place,
    ) -> Result<(), Failure> {
        self.die_if_due(client_id)?;
        if let Some(steps) = self.nap_due(client_id, place) {
            self.note(Some(client_id.slot), "stands still", [steps as i64, 0]);
            self.depth.set(self.depth.get() + 1);
            // Long enough for the group to go on without it, or for its transaction to be ended, or neither.
            let behind = self.scenario.session + self.random.ms(1, 1_500);
            let pause = [Duration::ZERO, behind, self.random.ms(500, 30_000)];
            self.advance(self.random.one_of(&pause));
            if place == Place::BeforeKeep && self.random.percent(70) && self.is_seated(client_id) {
                self.sit(client_id.slot);
            }
            (0..steps).for_each(|_| self.step());
            self.depth.set(self.depth.get() - 1);
            self.note(Some(client_id.slot), "goes on", [0, 0]);
            self.die_if_due(client_id)?;
        }
        Ok(())
    }

    fn die_if_due(&self, client_id: &ClientId) -> Result<(), Failure> {
        let dead = || Err(Failure::Fatal("the process is dead".to_owned()));
        let mut cluster = self.cluster();
        if !cluster.is_alive(client_id) {
            return dead();
        }
        match &mut cluster.instances[client_id.instance].kill_countdown {
            None => return Ok(()),
            Some(0) => {}
            Some(left) => {
                *left -= 1;
                return Ok(());
            }
        }
        let killed = cluster.kill(client_id.instance, self.later_ms(1, 40_000));
        drop(cluster);
        drop(killed);
        self.disks()[client_id.instance].crash(&self.random);
        self.note(Some(client_id.slot), "dies", [0, 0]);
        dead()
    }

    fn nap_due(&self, client_id: &ClientId, place: Place) -> Option<u64> {
        if self.is_calm.get() || self.depth.get() >= DEEPEST {
            return None;
        }
        let mut cluster = self.cluster();
        let slot = &mut cluster.slots[client_id.slot];
        let pause = slot
            .pause
            .as_mut()
            .filter(|_| slot.client_id == Some(*client_id))?;
        if pause.place.is_some_and(|wanted| wanted != place) {
            return None;
        }
        if pause.after > 0 {
            pause.after -= 1;
            return None;
        }
        slot.pause.take().map(|pause| pause.steps)
    }

    /// Does a call come to nothing?
    pub(super) fn refuse(&self, client_id: &ClientId, is_send: bool) -> Result<(), Failure> {
        let mut cluster = self.cluster();
        let slot = &mut cluster.slots[client_id.slot];
        let Some(refusal) = slot
            .refusal
            .as_mut()
            .filter(|refusal| refusal.is_send == is_send)
        else {
            return Ok(());
        };
        if refusal.after > 0 {
            refusal.after -= 1;
            return Ok(());
        }
        match refusal.again {
            0 => slot.refusal = None,
            _ => refusal.again -= 1,
        }
        drop(cluster);
        self.note(Some(client_id.slot), "is refused", [i64::from(is_send), 0]);
        Err(Failure::Abort("as it was drawn".to_owned()))
    }
}
