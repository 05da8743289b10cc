//! The consumer group: who is in it and who has which partitions.
//!
//! Eager and in two phases: everybody hands over all that it has, and once everybody has, all is
//! given out anew. So no partition ever has two owners.

use std::collections::BTreeMap;

use flockwise_runtime::broker::WorkerEvent;
use flockwise_runtime::topics::{Topic, TopicPartition};

/// The members of the group by name.
#[derive(Debug)]
pub(crate) struct Group {
    subscribed: Vec<(Topic, u32)>,
    members: BTreeMap<String, Member>,
    is_rebalancing: bool,
    /// How often all was given out.
    pub(crate) round: i64,
}

#[derive(Debug)]
struct Member {
    standing: MemberState,
    is_leaving: bool,
    /// The last round in which it was given something.
    round: i64,
}

/// What a member has, and what it has been told of it.
#[derive(Debug)]
enum MemberState {
    /// Has nothing, and waits for the others to hand over.
    Waiting,
    /// Has been given this, and has yet to hear of it.
    Chosen(Vec<TopicPartition>),
    /// Has this, and knows.
    Serving(Vec<TopicPartition>),
    /// Is to hand this over.
    Revoking {
        sources: Vec<TopicPartition>,
        is_told: bool,
    },
    /// Has been put out of the group: this is no longer its own, and nobody waits for it.
    Losing {
        sources: Vec<TopicPartition>,
        is_told: bool,
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

    /// A member comes, in the place of one of the same name.
    pub(crate) fn join(&mut self, name: &str) {
        let member = Member {
            standing: MemberState::Waiting,
            is_leaving: false,
            round: 0,
        };
        self.members.insert(name.to_owned(), member);
        self.rebalance();
    }

    /// A member comes back under a name that the group holds a place for: what it had is given to it again,
    /// and the others do not hear of it.
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
            MemberState::Revoking { .. } => self.give_out_if_all_wait(),
            MemberState::Waiting | MemberState::Losing { .. } => self.join(name),
        }
    }

    /// Is somebody of this name in the group, or has yet to hear that it is not?
    pub(crate) fn has(&self, name: &str) -> bool {
        self.members.contains_key(name)
    }

    /// Names of all.
    pub(crate) fn names(&self) -> Vec<String> {
        self.members.keys().cloned().collect()
    }

    /// May a member read, as far as it knows?
    pub(crate) fn believes_to_serve(&self, name: &str) -> bool {
        self.standing(name).is_some_and(|standing| {
            matches!(
                standing,
                MemberState::Serving(_)
                    | MemberState::Revoking { is_told: false, .. }
                    | MemberState::Losing { is_told: false, .. }
            )
        })
    }

    /// The last round in which a member was given something.
    pub(crate) fn round_of(&self, name: &str) -> Option<i64> {
        self.members.get(name).map(|member| member.round)
    }

    /// A member is gone without a word.
    pub(crate) fn remove(&mut self, name: &str) {
        if self.members.remove(name).is_some() {
            self.rebalance();
        }
    }

    /// A member is put out, and learns of it when it next asks.
    pub(crate) fn expel(&mut self, name: &str) {
        let Some(member) = self.members.get_mut(name) else {
            return;
        };
        let sources = member.standing.sources().to_vec();
        member.standing = match sources.is_empty() {
            true => MemberState::Waiting,
            false => MemberState::Losing {
                sources,
                is_told: false,
            },
        };
        self.rebalance();
    }

    /// A member wants to go. Is it gone?
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

    /// What a member is to be told next.
    pub(crate) fn turn(&mut self, name: &str) -> Option<WorkerEvent> {
        self.members.get_mut(name)?.standing.tell()
    }

    /// A member no longer reads these.
    pub(crate) fn hand_over(&mut self, name: &str, closed: &[TopicPartition]) {
        let Some(member) = self.members.get_mut(name) else {
            return;
        };
        let (sources, is_lost) = match &mut member.standing {
            MemberState::Revoking { sources, is_told } if *is_told => (sources, false),
            MemberState::Losing { sources, is_told } if *is_told => (sources, true),
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
            self.give_out_if_all_wait();
        }
    }

    /// May a member read?
    pub(crate) fn is_serving(&self, name: &str) -> bool {
        self.standing(name)
            .is_some_and(|standing| matches!(standing, MemberState::Serving(_)))
    }

    /// May a member commit positions?
    pub(crate) fn is_current(&self, name: &str) -> bool {
        self.standing(name).is_some_and(|standing| {
            matches!(
                standing,
                MemberState::Serving(_) | MemberState::Revoking { .. }
            )
        })
    }

    /// Was a member put out of the group, and has yet to take it in?
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
        self.give_out_if_all_wait();
    }

    fn give_out_if_all_wait(&mut self) {
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

    /// Asks for what is there; where there is nothing, nothing need be said.
    fn revoke(&mut self) {
        *self = match std::mem::replace(self, Self::Waiting) {
            Self::Waiting | Self::Chosen(_) => Self::Waiting,
            Self::Serving(sources) if sources.is_empty() => Self::Waiting,
            Self::Serving(sources) => Self::Revoking {
                sources,
                is_told: false,
            },
            asked => asked,
        }
    }

    fn tell(&mut self) -> Option<WorkerEvent> {
        match self {
            Self::Chosen(sources) => {
                let sources = std::mem::take(sources);
                *self = Self::Serving(sources.clone());
                Some(WorkerEvent::Assigned(sources))
            }
            Self::Revoking { sources, is_told } if !*is_told => {
                *is_told = true;
                Some(WorkerEvent::Revoked(sources.clone()))
            }
            Self::Losing { sources, is_told } if !*is_told => {
                *is_told = true;
                Some(WorkerEvent::Lost(sources.clone()))
            }
            _ => None,
        }
    }
}

/// Kafka's range assignment: of each topic every member gets a run, the first ones one more.
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
