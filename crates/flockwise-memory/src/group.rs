//! The consumer group: its members and their partitions.
//!
//! Rebalances are eager and have two phases: all members give up all their partitions, and once all have, the group
//! assigns the partitions again. So no partition ever has two owners.
//!
//! The simulated cluster of the tests, `flockwise-simulation`, has the same group, so that this protocol is written
//! once. Two methods are for it alone: [`Group::rejoin`], for static members, and [`Group::members`], for members that
//! are silent or get their events late.

use std::collections::BTreeMap;

use flockwise_runtime::broker::{Failure, WorkerEvent};
use flockwise_runtime::topics::{Topic, TopicPartition};

/// The members of the group by name.
#[derive(Debug)]
pub struct Group {
    subscribed: Vec<(Topic, u32)>,
    members: BTreeMap<String, Member>,
    is_rebalancing: bool,
    /// Number of assignments so far: the group's generation.
    pub(crate) round: i64,
}

/// A member of the group.
#[derive(Debug)]
pub struct Member {
    /// Its partitions, and what it knows of them.
    pub state: MemberState,
    is_leaving: bool,
    /// The last round in which it got an assignment.
    pub round: i64,
}

/// A member's partitions, and what it knows of them.
#[derive(Debug)]
pub enum MemberState {
    /// Has no partitions, and waits for the others to give up theirs.
    Waiting,
    /// Has an assignment that it does not know of yet.
    Chosen(Vec<TopicPartition>),
    /// Has an assignment and knows of it.
    Serving(Vec<TopicPartition>),
    /// Must give up these partitions.
    Revoking {
        /// Those that it has not given up yet.
        topic_partitions: Vec<TopicPartition>,
        /// The member's last poll has returned [`WorkerEvent::Revoked`].
        is_delivered: bool,
    },
    /// Was expelled: these partitions are no longer its own, and the group does not wait for it.
    Losing {
        /// Those that it has not given up yet.
        topic_partitions: Vec<TopicPartition>,
        /// The member's last poll has returned [`WorkerEvent::Lost`].
        is_delivered: bool,
    },
}

impl Group {
    /// A group without members. `subscribed` has each topic that is assigned, and its number of partitions.
    #[must_use]
    pub fn new(subscribed: Vec<(Topic, u32)>) -> Self {
        Self {
            subscribed,
            members: BTreeMap::new(),
            is_rebalancing: false,
            round: 0,
        }
    }

    /// Adds a member, or replaces the one of the same name.
    pub fn join(&mut self, name: &str) {
        let member = Member {
            state: MemberState::Waiting,
            is_leaving: false,
            round: 0,
        };
        self.members.insert(name.to_owned(), member);
        self.rebalance();
    }

    /// A static member comes back under its name: it gets its partitions again, without a rebalance.
    pub fn rejoin(&mut self, name: &str) {
        let Some(member) = self
            .members
            .get_mut(name)
            .filter(|member| !member.is_leaving)
        else {
            return self.join(name);
        };
        match std::mem::replace(&mut member.state, MemberState::Waiting) {
            MemberState::Serving(topic_partitions) | MemberState::Chosen(topic_partitions) => {
                member.state = MemberState::Chosen(topic_partitions);
            }
            MemberState::Revoking { .. } => self.assign_if_all_wait(),
            MemberState::Waiting | MemberState::Losing { .. } => self.join(name),
        }
    }

    /// The members by name. One that was expelled stays until it knows that and has given up its partitions.
    #[must_use]
    pub fn members(&self) -> &BTreeMap<String, Member> {
        &self.members
    }

    /// Removes a member that is gone without having left.
    pub fn remove(&mut self, name: &str) {
        if self.members.remove(name).is_some() {
            self.rebalance();
        }
    }

    /// Expels a member. It learns of that with its next poll.
    pub fn expel(&mut self, name: &str) {
        let Some(member) = self.members.get_mut(name) else {
            return;
        };
        let topic_partitions = member.state.topic_partitions().to_vec();
        member.state = match topic_partitions.is_empty() {
            true => MemberState::Waiting,
            false => MemberState::Losing {
                topic_partitions,
                is_delivered: false,
            },
        };
        self.rebalance();
    }

    /// A member wants to leave. Returns whether it has left, which it cannot before it gives up its partitions.
    pub fn leave(&mut self, name: &str) -> bool {
        let Some(member) = self.members.get_mut(name) else {
            return true;
        };
        member.is_leaving = true;
        member.state.revoke();
        if member.state.has_nothing() {
            self.remove(name);
            return true;
        }
        false
    }

    /// The next event for a member, if there is one.
    pub fn turn(&mut self, name: &str) -> Option<WorkerEvent> {
        self.members.get_mut(name)?.state.take_event()
    }

    /// A member has closed these partitions.
    pub fn hand_over(&mut self, name: &str, closed: &[TopicPartition]) {
        let Some(member) = self.members.get_mut(name) else {
            return;
        };
        let (topic_partitions, is_lost) = match &mut member.state {
            MemberState::Revoking {
                topic_partitions,
                is_delivered,
            } if *is_delivered => (topic_partitions, false),
            MemberState::Losing {
                topic_partitions,
                is_delivered,
            } if *is_delivered => (topic_partitions, true),
            _ => return,
        };
        topic_partitions.retain(|topic_partition| !closed.contains(topic_partition));
        if !topic_partitions.is_empty() {
            return;
        }
        member.state = MemberState::Waiting;
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
        self.state(name)
            .is_some_and(|state| matches!(state, MemberState::Serving(_)))
    }

    /// Fails if a member was expelled, or commits positions although the group has moved to a later generation without
    /// it.
    ///
    /// # Errors
    /// [`Failure::Abort`].
    pub fn require_current(
        &self,
        name: &str,
        positions: &[(TopicPartition, i64)],
    ) -> Result<(), Failure> {
        let is_stale = !positions.is_empty() && !self.is_current(name);
        if is_stale || self.is_lost(name) {
            return Err(Failure::Abort(format!(
                "member {name} committed with an outdated generation"
            )));
        }
        Ok(())
    }

    /// Whether a member may commit positions.
    fn is_current(&self, name: &str) -> bool {
        self.state(name).is_some_and(|state| {
            matches!(
                state,
                MemberState::Serving(_) | MemberState::Revoking { .. }
            )
        })
    }

    /// Whether a member was expelled and has not given up its partitions yet.
    pub fn is_lost(&self, name: &str) -> bool {
        self.state(name)
            .is_some_and(|state| matches!(state, MemberState::Losing { .. }))
    }

    fn state(&self, name: &str) -> Option<&MemberState> {
        self.members.get(name).map(|member| &member.state)
    }

    fn rebalance(&mut self) {
        self.is_rebalancing = true;
        for member in self.members.values_mut() {
            member.state.revoke();
        }
        self.assign_if_all_wait();
    }

    fn assign_if_all_wait(&mut self) {
        let is_ready = |member: &Member| !matches!(member.state, MemberState::Revoking { .. });
        if !self.is_rebalancing || !self.members.values().all(is_ready) {
            return;
        }
        self.is_rebalancing = false;
        self.round += 1;
        let mut waiting: Vec<&mut Member> = self
            .members
            .values_mut()
            .filter(|member| matches!(member.state, MemberState::Waiting))
            .collect();
        let lists = ranges(&self.subscribed, waiting.len());
        for (member, topic_partitions) in waiting.iter_mut().zip(lists) {
            member.state = MemberState::Chosen(topic_partitions);
            member.round = self.round;
        }
    }
}

impl MemberState {
    fn topic_partitions(&self) -> &[TopicPartition] {
        match self {
            Self::Waiting | Self::Chosen(_) => &[],
            Self::Serving(topic_partitions)
            | Self::Revoking {
                topic_partitions, ..
            }
            | Self::Losing {
                topic_partitions, ..
            } => topic_partitions,
        }
    }

    fn has_nothing(&self) -> bool {
        matches!(self, Self::Waiting)
    }

    /// Asks the member to give up its partitions. Without partitions it need not be told.
    fn revoke(&mut self) {
        *self = match std::mem::replace(self, Self::Waiting) {
            Self::Waiting | Self::Chosen(_) => Self::Waiting,
            Self::Serving(topic_partitions) if topic_partitions.is_empty() => Self::Waiting,
            Self::Serving(topic_partitions) => Self::Revoking {
                topic_partitions,
                is_delivered: false,
            },
            asked => asked,
        }
    }

    fn take_event(&mut self) -> Option<WorkerEvent> {
        match self {
            Self::Chosen(topic_partitions) => {
                let topic_partitions = std::mem::take(topic_partitions);
                *self = Self::Serving(topic_partitions.clone());
                Some(WorkerEvent::Assigned(topic_partitions))
            }
            Self::Revoking {
                topic_partitions,
                is_delivered,
            } if !*is_delivered => {
                *is_delivered = true;
                Some(WorkerEvent::Revoked(topic_partitions.clone()))
            }
            Self::Losing {
                topic_partitions,
                is_delivered,
            } if !*is_delivered => {
                *is_delivered = true;
                Some(WorkerEvent::Lost(topic_partitions.clone()))
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
