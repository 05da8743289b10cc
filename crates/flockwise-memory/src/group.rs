//! The consumer group: its members and their partitions.
//!
//! Rebalances are eager and have two phases: all members give up all their partitions, and once all have, the group
//! assigns the partitions again. So no partition ever has two owners.

use std::collections::BTreeMap;

use flockwise_runtime::broker::WorkerEvent;
use flockwise_runtime::topics::{Topic, TopicPartition};

/// The members of the group by name.
#[derive(Debug)]
pub(crate) struct Group {
    subscribed: Vec<(Topic, u32)>,
    members: BTreeMap<String, Member>,
    is_rebalancing: bool,
    /// Number of assignments so far: the group's generation.
    pub(crate) round: i64,
}

#[derive(Debug)]
struct Member {
    standing: MemberState,
    is_leaving: bool,
    /// The last round in which it got an assignment.
    round: i64,
}

/// A member's partitions, and what it knows of them. `is_delivered`: the member's last poll has returned the event.
#[derive(Debug)]
enum MemberState {
    /// Has no partitions, and waits for the others to give up theirs.
    Waiting,
    /// Has an assignment that it does not know of yet.
    Chosen(Vec<TopicPartition>),
    /// Has an assignment and knows of it.
    Serving(Vec<TopicPartition>),
    /// Must give up these partitions.
    Revoking {
        sources: Vec<TopicPartition>,
        is_delivered: bool,
    },
    /// Was expelled: these partitions are no longer its own, and the group does not wait for it.
    Losing {
        sources: Vec<TopicPartition>,
        is_delivered: bool,
    },
}

impl Group {
    pub(crate) fn new(subscribed: Vec<(Topic, u32)>) -> Self {
        Self {
            subscribed,
            members: BTreeMap::new(),
            is_rebalancing: false,
            round: 0,
        }
    }

    /// Adds a member, or replaces the one of the same name.
    pub(crate) fn join(&mut self, name: &str) {
        let member = Member {
            standing: MemberState::Waiting,
            is_leaving: false,
            round: 0,
        };
        self.members.insert(name.to_owned(), member);
        self.rebalance();
    }

    /// A static member comes back under its name: it gets its partitions again, without a rebalance.
    pub(crate) fn rejoin(&mut self, name: &str) {
        let Some(member) = self
            .members
            .get_mut(name)
            .filter(|member| !member.is_leaving)
        else {
            return self.join(name);
        };
        match std::mem::replace(&mut member.standing, MemberState::Waiting) {
            MemberState::Serving(sources) | MemberState::Chosen(sources) => {
                member.standing = MemberState::Chosen(sources);
            }
            MemberState::Revoking { .. } => self.assign_if_all_wait(),
            MemberState::Waiting | MemberState::Losing { .. } => self.join(name),
        }
    }

    /// Whether the group has a member of this name, even one that does not know yet that it was expelled.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.members.contains_key(name)
    }

    /// Names of all members.
    pub(crate) fn names(&self) -> Vec<String> {
        self.members.keys().cloned().collect()
    }

    /// Whether a member believes that it may read.
    pub(crate) fn believes_to_serve(&self, name: &str) -> bool {
        self.standing(name).is_some_and(|standing| {
            matches!(
                standing,
                MemberState::Serving(_)
                    | MemberState::Revoking {
                        is_delivered: false,
                        ..
                    }
                    | MemberState::Losing {
                        is_delivered: false,
                        ..
                    }
            )
        })
    }

    /// The last round in which a member got an assignment; `None` if it is not in the group.
    pub(crate) fn round_of(&self, name: &str) -> Option<i64> {
        self.members.get(name).map(|member| member.round)
    }

    /// Removes a member that is gone without having left.
    pub(crate) fn remove(&mut self, name: &str) {
        if self.members.remove(name).is_some() {
            self.rebalance();
        }
    }

    /// Expels a member. It learns of that with its next poll.
    pub(crate) fn expel(&mut self, name: &str) {
        let Some(member) = self.members.get_mut(name) else {
            return;
        };
        let sources = member.standing.sources().to_vec();
        member.standing = match sources.is_empty() {
            true => MemberState::Waiting,
            false => MemberState::Losing {
                sources,
                is_delivered: false,
            },
        };
        self.rebalance();
    }

    /// A member wants to leave. Returns whether it has left, which it cannot before it gives up its partitions.
    pub(crate) fn leave(&mut self, name: &str) -> bool {
        let Some(member) = self.members.get_mut(name) else {
            return true;
        };
        member.is_leaving = true;
        member.standing.revoke();
        if member.standing.has_nothing() {
            self.remove(name);
            return true;
        }
        false
    }

    /// The next event for a member, if there is one.
    pub(crate) fn turn(&mut self, name: &str) -> Option<WorkerEvent> {
        self.members.get_mut(name)?.standing.take_event()
    }

    /// A member has closed these partitions.
    pub(crate) fn hand_over(&mut self, name: &str, closed: &[TopicPartition]) {
        let Some(member) = self.members.get_mut(name) else {
            return;
        };
        let (sources, is_lost) = match &mut member.standing {
            MemberState::Revoking {
                sources,
                is_delivered,
            } if *is_delivered => (sources, false),
            MemberState::Losing {
                sources,
                is_delivered,
            } if *is_delivered => (sources, true),
            _ => return,
        };
        sources.retain(|source| !closed.contains(source));
        if !sources.is_empty() {
            return;
        }
        member.standing = MemberState::Waiting;
        if member.is_leaving {
            self.remove(name);
        } else if is_lost {
            self.rebalance();
        } else {
            self.assign_if_all_wait();
        }
    }

    /// Whether a member may read.
    pub(crate) fn is_serving(&self, name: &str) -> bool {
        self.standing(name)
            .is_some_and(|standing| matches!(standing, MemberState::Serving(_)))
    }

    /// Whether a member may commit positions.
    pub(crate) fn is_current(&self, name: &str) -> bool {
        self.standing(name).is_some_and(|standing| {
            matches!(
                standing,
                MemberState::Serving(_) | MemberState::Revoking { .. }
            )
        })
    }

    /// Whether a member was expelled and has not given up its partitions yet.
    pub(crate) fn is_lost(&self, name: &str) -> bool {
        self.standing(name)
            .is_some_and(|standing| matches!(standing, MemberState::Losing { .. }))
    }

    fn standing(&self, name: &str) -> Option<&MemberState> {
        self.members.get(name).map(|member| &member.standing)
    }

    fn rebalance(&mut self) {
        self.is_rebalancing = true;
        for member in self.members.values_mut() {
            member.standing.revoke();
        }
        self.assign_if_all_wait();
    }

    fn assign_if_all_wait(&mut self) {
        let is_ready = |member: &Member| !matches!(member.standing, MemberState::Revoking { .. });
        if !self.is_rebalancing || !self.members.values().all(is_ready) {
            return;
        }
        self.is_rebalancing = false;
        self.round += 1;
        let mut waiting: Vec<&mut Member> = self
            .members
            .values_mut()
            .filter(|member| matches!(member.standing, MemberState::Waiting))
            .collect();
        let lists = ranges(&self.subscribed, waiting.len());
        for (member, sources) in waiting.iter_mut().zip(lists) {
            member.standing = MemberState::Chosen(sources);
            member.round = self.round;
        }
    }
}

impl MemberState {
    fn sources(&self) -> &[TopicPartition] {
        match self {
            Self::Waiting | Self::Chosen(_) => &[],
            Self::Serving(sources)
            | Self::Revoking { sources, .. }
            | Self::Losing { sources, .. } => sources,
        }
    }

    fn has_nothing(&self) -> bool {
        matches!(self, Self::Waiting)
    }

    /// Asks the member to give up its partitions. Without partitions it need not be told.
    fn revoke(&mut self) {
        *self = match std::mem::replace(self, Self::Waiting) {
            Self::Waiting | Self::Chosen(_) => Self::Waiting,
            Self::Serving(sources) if sources.is_empty() => Self::Waiting,
            Self::Serving(sources) => Self::Revoking {
                sources,
                is_delivered: false,
            },
            asked => asked,
        }
    }

    fn take_event(&mut self) -> Option<WorkerEvent> {
        match self {
            Self::Chosen(sources) => {
                let sources = std::mem::take(sources);
                *self = Self::Serving(sources.clone());
                Some(WorkerEvent::Assigned(sources))
            }
            Self::Revoking {
                sources,
                is_delivered,
            } if !*is_delivered => {
                *is_delivered = true;
                Some(WorkerEvent::Revoked(sources.clone()))
            }
            Self::Losing {
                sources,
                is_delivered,
            } if !*is_delivered => {
                *is_delivered = true;
                Some(WorkerEvent::Lost(sources.clone()))
            }
            _ => None,
        }
    }
}

/// Kafka's range assignment: every member gets a run of each topic's partitions, and the first members get one more.
fn ranges(subscribed: &[(Topic, u32)], members: usize) -> Vec<Vec<TopicPartition>> {
    let mut lists = vec![Vec::new(); members];
    for &(topic, count) in subscribed {
        let mut partitions = (0..count).map(|partition| TopicPartition { topic, partition });
        for (member, list) in lists.iter_mut().enumerate() {
            let extra = usize::from(member < count as usize % members);
            list.extend(partitions.by_ref().take(count as usize / members + extra));
        }
    }
    lists
}
