//! What a principal may do with a topic or group, as the brokers report it.

use std::collections::BTreeSet;
use std::fmt;

/// An operation that an ACL allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Permission {
    /// Fetch records of a topic; join a group.
    Read,
    /// Produce records.
    Write,
    /// Create a topic.
    Create,
    /// Delete a topic or its records.
    Delete,
    /// See that a topic or group exists.
    Describe,
    /// Read a topic's settings.
    DescribeConfigs,
    /// Change a topic's settings.
    AlterConfigs,
}

impl fmt::Display for Permission {
    /// The name that `kafka-acls.sh` uses.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, out)
    }
}

/// All that a principal may do; `None` if the brokers do not report it (before Kafka 2.3).
pub type Permissions = Option<BTreeSet<Permission>>;

/// The permissions in `needed` that are not granted. Empty if the brokers do not report any.
#[must_use]
pub fn lacking(rights: &Permissions, needed: &[Permission]) -> Vec<Permission> {
    let is_lacking = |right: &&Permission| rights.as_ref().is_some_and(|had| !had.contains(right));
    needed.iter().filter(is_lacking).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_granted_is_lacking_and_what_is_not_known_is_not() {
        let needed = [Permission::Read, Permission::Write];
        let rights = Some(BTreeSet::from([Permission::Read, Permission::Describe]));
        assert_eq!(lacking(&rights, &needed), [Permission::Write]);
        assert_eq!(lacking(&None, &needed), []);
        assert_eq!(Permission::DescribeConfigs.to_string(), "DescribeConfigs");
    }
}
