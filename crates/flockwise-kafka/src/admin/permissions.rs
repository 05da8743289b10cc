//! What a principal may do with a topic, as the brokers say it.

use std::collections::BTreeSet;
use std::fmt;

/// An operation that an ACL allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Permission {
    /// Fetch records; on a group: be a member.
    Read,
    /// Produce records.
    Write,
    /// Make a topic.
    Create,
    /// Remove a topic or its records.
    Delete,
    /// See that it exists.
    Describe,
    /// See its settings.
    DescribeConfigs,
    /// Change its settings.
    AlterConfigs,
}

impl fmt::Display for Permission {
    /// As `kafka-acls.sh` writes it.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, out)
    }
}

/// All that a principal may do; `None` where the brokers do not say (before Kafka 2.3).
pub type Permissions = Option<BTreeSet<Permission>>;

/// Those of `needed` that are not granted; none where the brokers do not say.
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
