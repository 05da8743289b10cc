//! Creates, checks and alters topics, and counts their partitions, before any worker starts.

mod admin_client;
mod admin_request;
mod alter_topics;
mod create_topics;
mod describe_pipeline;
pub(crate) mod describe_requests;
mod durable_settings;
mod ensure_topics;
mod lost_state;
mod newer_records;
mod partition_counts;
mod permissions;
mod reset_pipeline;
mod try_transactions;

pub use alter_topics::Alteration;
pub(crate) use create_topics::admin_client;
pub use describe_pipeline::{Found, FoundTopic, Survey, find, group, largest_record_bytes, survey};
pub use describe_requests::{GroupDescription, GroupMember};
pub use durable_settings::{
    Severity, TopicSetting, differing, holds_state, replication, topic_settings, unwritable,
};
pub use ensure_topics::{alter_topics, ensure_topics, input_partitions, try_to_create};
pub use lost_state::{Remains, Trace, lost_state};
pub(crate) use lost_state::{committed, committed_once};
pub use newer_records::newer_than;
pub use partition_counts::wrong_partitions;
pub use permissions::{Permission, Permissions, lacking};
pub use reset_pipeline::{Bounds, Reset, ResetRecord, bounds, reset};
pub use try_transactions::try_transactions;
