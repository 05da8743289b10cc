//! Creates, checks and alters topics, and counts their partitions, before any worker starts.

mod alter;
mod connection;
mod create;
pub(crate) mod describe;
mod durability;
mod lost_state;
mod partitions;
mod permissions;
mod probe;
mod request;
mod reset;
mod survey;
mod topic_setup;

pub use alter::Alteration;
pub(crate) use create::admin_client;
pub use describe::{GroupDescription, GroupMember};
pub use durability::{
    Severity, TopicSetting, differing, holds_state, replication, topic_settings, unwritable,
};
pub use lost_state::{Remains, Trace, lost_state};
pub(crate) use lost_state::{committed, committed_once};
pub use partitions::wrong_partitions;
pub use permissions::{Permission, Permissions, lacking};
pub use probe::{newer_than, try_transactions};
pub use reset::{Bounds, Reset, ResetRecord, bounds, reset};
pub use survey::{Found, FoundTopic, Survey, find, group, largest_record_bytes, survey};
pub use topic_setup::{alter_topics, ensure_topics, input_partitions, try_to_create};
