//! Members of the group: who comes, who is silent for too long, and who does not know yet that it was expelled.

use flockwise_memory::group::MemberState;

use crate::cluster_state::ClusterState;

impl ClusterState {
    /// Joins as a client of this name and returns its epoch. Aborts the open transaction of the previous client of the
    /// name.
    pub(crate) fn join(&mut self, member: &str) -> u64 {
        let epoch = self.fence(member);
        self.note_poll(member);
        match self.conditions.is_static {
            true => self.group.rejoin(member),
            false => self.group.join(member),
        }
        epoch
    }

    /// Notes that a member has polled. One that was removed without partitions joins again.
    pub(crate) fn hear(&mut self, member: &str) {
        self.note_poll(member);
        if !self.group.members().contains_key(member) {
            self.group.join(member);
        }
    }

    fn note_poll(&mut self, member: &str) {
        let now = self.conditions.clock.now();
        self.heard.insert(member.to_owned(), now);
    }

    /// Expels the members whose sessions are overdue.
    pub(crate) fn expel_the_silent(&mut self) {
        let now = self.conditions.clock.now();
        let names: Vec<String> = self.group.members().keys().cloned().collect();
        for name in names {
            if self.group.is_lost(&name) {
                continue;
            }
            let heard = self.heard.entry(name.clone()).or_insert(now);
            if now.since(*heard) <= self.conditions.session {
                continue;
            }
            *heard = now;
            self.group.expel(&name);
            if !self.group.is_lost(&name) {
                // It had no partitions, so there is nothing to tell it.
                self.group.remove(&name);
            }
        }
    }

    /// Whether a member believes that it may read.
    pub(crate) fn believes_to_serve(&self, member: &str) -> bool {
        let member = self.group.members().get(member);
        member.is_some_and(|member| match member.state {
            MemberState::Serving(_) => true,
            MemberState::Revoking { is_delivered, .. }
            | MemberState::Losing { is_delivered, .. } => !is_delivered,
            MemberState::Waiting | MemberState::Chosen(_) => false,
        })
    }
}
