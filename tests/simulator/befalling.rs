//! What happens to clients in the middle of their calls.

use std::rc::Rc;
use std::time::Duration;

use flockwise_runtime::broker::Failure;

use super::staff::{Place, Post};
use super::world::World;

/// Shards that stand still inside of each other, at most.
const DEEPEST: usize = 3;

impl World {
    /// What happens to a client between two things that it does.
    pub(super) fn befall(self: &Rc<Self>, post: &Post, place: Place) -> Result<(), Failure> {
        self.die_if_due(post)?;
        if let Some(steps) = self.nap_due(post, place) {
            self.note(Some(post.seat), "stands still", [steps as i64, 0]);
            self.depth.set(self.depth.get() + 1);
            // Long enough for the group to go on without it, or for its transaction to be ended, or neither.
            let behind = self.scenario.session + self.dice.ms(1, 1_500);
            let pause = [Duration::ZERO, behind, self.dice.ms(500, 30_000)];
            self.advance(self.dice.one_of(&pause));
            if place == Place::BeforeKeep && self.dice.percent(70) && self.is_seated(post) {
                self.sit(post.seat);
            }
            (0..steps).for_each(|_| self.step());
            self.depth.set(self.depth.get() - 1);
            self.note(Some(post.seat), "goes on", [0, 0]);
            self.die_if_due(post)?;
        }
        Ok(())
    }

    fn die_if_due(&self, post: &Post) -> Result<(), Failure> {
        let dead = || Err(Failure::Fatal("the process is dead".to_owned()));
        let mut staff = self.staff();
        if !staff.is_alive(post) {
            return dead();
        }
        match &mut staff.instances[post.instance].fuse {
            None => return Ok(()),
            Some(0) => {}
            Some(left) => {
                *left -= 1;
                return Ok(());
            }
        }
        let killed = staff.kill(post.instance, self.later_ms(1, 40_000));
        drop(staff);
        drop(killed);
        self.disks()[post.instance].crash(&self.dice);
        self.note(Some(post.seat), "dies", [0, 0]);
        dead()
    }

    fn nap_due(&self, post: &Post, place: Place) -> Option<u64> {
        if self.is_calm.get() || self.depth.get() >= DEEPEST {
            return None;
        }
        let mut staff = self.staff();
        let seat = &mut staff.seats[post.seat];
        let nap = seat.nap.as_mut().filter(|_| seat.post == Some(*post))?;
        if nap.place.is_some_and(|wanted| wanted != place) {
            return None;
        }
        if nap.after > 0 {
            nap.after -= 1;
            return None;
        }
        seat.nap.take().map(|nap| nap.steps)
    }

    /// Does a call come to nothing?
    pub(super) fn refuse(&self, post: &Post, is_send: bool) -> Result<(), Failure> {
        let mut staff = self.staff();
        let seat = &mut staff.seats[post.seat];
        let Some(refusal) = seat
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
            0 => seat.refusal = None,
            _ => refusal.again -= 1,
        }
        drop(staff);
        self.note(Some(post.seat), "is refused", [i64::from(is_send), 0]);
        Err(Failure::Abort("as it was drawn".to_owned()))
    }
}
