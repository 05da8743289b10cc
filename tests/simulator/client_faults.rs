//! Faults in the middle of a client's calls.

use std::rc::Rc;
use std::time::Duration;

use flockwise_runtime::broker::Failure;

use super::cluster::{ClientId, InjectionPoint};
use super::simulation::Simulation;

/// Maximum depth of nested pauses.
const MAX_DEPTH: usize = 3;

impl Simulation {
    /// Injects a pause or the death of the process between two operations of a client.
    pub(super) fn inject(
        self: &Rc<Self>,
        client_id: &ClientId,
        point: InjectionPoint,
    ) -> Result<(), Failure> {
        self.die_if_due(client_id)?;
        if let Some(steps) = self.take_due_pause(client_id, point) {
            self.note(Some(client_id.slot), "pauses", [steps as i64, 0]);
            self.depth.set(self.depth.get() + 1);
            // None, long enough for a session timeout, or perhaps long enough for a transaction timeout.
            let behind = self.scenario.session + self.random.ms(1, 1_500);
            let pause = [Duration::ZERO, behind, self.random.ms(500, 30_000)];
            self.advance(self.random.one_of(&pause));
            if point == InjectionPoint::BeforeCheckpoint
                && self.random.percent(70)
                && self.holds_slot(client_id)
            {
                self.start_worker(client_id.slot);
            }
            (0..steps).for_each(|_| self.step());
            self.depth.set(self.depth.get() - 1);
            self.note(Some(client_id.slot), "resumes", [0, 0]);
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

    fn take_due_pause(&self, client_id: &ClientId, point: InjectionPoint) -> Option<u64> {
        if self.is_draining.get() || self.depth.get() >= MAX_DEPTH {
            return None;
        }
        let mut cluster = self.cluster();
        let slot = &mut cluster.slots[client_id.slot];
        let pause = slot
            .pause
            .as_mut()
            .filter(|_| slot.client_id == Some(*client_id))?;
        if pause.point.is_some_and(|wanted| wanted != point) {
            return None;
        }
        if pause.after > 0 {
            pause.after -= 1;
            return None;
        }
        slot.pause.take().map(|pause| pause.steps)
    }

    /// Fails a send or commit if a refusal is due.
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
        Err(Failure::Abort("injected".to_owned()))
    }
}
