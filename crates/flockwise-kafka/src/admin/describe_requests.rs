//! Topics, their settings and groups, as the brokers describe them.

#![allow(unsafe_code)]

use std::collections::{BTreeMap, BTreeSet};

use flockwise_runtime::broker::Failure;
use rdkafka::client::{Client, ClientContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka_sys as sys;
use sys::rd_kafka_AclOperation_t as Operation;
use sys::rd_kafka_admin_op_t as Op;
use sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR as NO_ERROR;

use super::admin_request::{AdminResponse, RequestKind, code, elements, owned, text};
use super::permissions::{Permission, Permissions};
use crate::classify_error;
use crate::retry::REQUEST_TIMEOUT;

/// A topic as the brokers describe it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Description {
    pub(super) partitions: u32,
    /// Replicas of the partition that has the fewest.
    pub(super) replication: u32,
    pub(super) rights: Permissions,
}

/// A consumer group as the brokers describe it. A group that does not exist has no members.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupDescription {
    /// What the principal may do with the group.
    pub rights: Permissions,
    /// The current members.
    pub members: Vec<GroupMember>,
    /// Name of the assignor that the members have agreed on; empty if they have not.
    pub assignor: String,
    /// Does the group use the consumer protocol of KIP-848? `None` if unknown.
    pub is_next_protocol: Option<bool>,
}

/// A member of a consumer group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupMember {
    /// `group.instance.id`; empty without static membership.
    pub instance_id: String,
    /// `client.id`.
    pub client_id: String,
    /// Host that the member is connected from.
    pub host: String,
}

/// Describes topics, in the order of `names`. `None` is a topic that does not exist.
pub(super) fn topics(
    client: *mut sys::rd_kafka_t,
    names: &[String],
) -> Result<Vec<Result<Option<Description>, Failure>>, Failure> {
    let doing = "describing topics";
    let answer = ask_for_topics(client, names, true).map_err(|code| failure(doing, code))?;
    let mut found = BTreeMap::new();
    for topic in described_topics(&answer) {
        // SAFETY: the description lives as long as the answer, and everything taken from it is copied.
        let (name, description) = unsafe {
            let name = owned(sys::rd_kafka_TopicDescription_name(*topic));
            (name, topic_description(*topic))
        };
        found.insert(name, description);
    }
    let absent = || Err(RDKafkaErrorCode::UnknownTopicOrPartition);
    let told = |name: &String| settle(name, found.remove(name).unwrap_or_else(absent));
    Ok(names.iter().map(told).collect())
}

/// The id that the brokers gave a topic at its creation, as 32 hexadecimal digits; `None` if they give none.
pub(crate) fn topic_id<C: ClientContext>(
    client: &Client<C>,
    name: &str,
) -> Result<Option<String>, Failure> {
    let asked = ask_for_topics(client.native_ptr(), &[name], false);
    let id = asked.and_then(|answer| match described_topics(&answer) {
        // SAFETY: the description lives as long as the answer.
        [topic, ..] => unsafe { id_of(*topic) },
        [] => Err(RDKafkaErrorCode::UnknownTopicOrPartition),
    });
    id.map_err(|code| match code {
        RDKafkaErrorCode::UnknownTopicOrPartition => classify_error::missing_topic(name),
        code => failure(&format!("asking for the id of {name}"), code),
    })
}

/// # Safety
/// `topic` is valid.
unsafe fn id_of(
    topic: *const sys::rd_kafka_TopicDescription_t,
) -> Result<Option<String>, RDKafkaErrorCode> {
    // SAFETY: the caller guarantees it; everything inside lives as long.
    unsafe {
        if let Some(code) = code(sys::rd_kafka_TopicDescription_error(topic)) {
            return Err(code);
        }
        let id = sys::rd_kafka_TopicDescription_topic_id(topic);
        if id.is_null() {
            return Ok(None);
        }
        let most = sys::rd_kafka_Uuid_most_significant_bits(id);
        let least = sys::rd_kafka_Uuid_least_significant_bits(id);
        Ok((most != 0 || least != 0).then(|| format!("{most:016x}{least:016x}")))
    }
}

/// The topics in the answer to [`ask_for_topics`].
fn described_topics(answer: &AdminResponse) -> &[*const sys::rd_kafka_TopicDescription_t] {
    let mut count = 0;
    // SAFETY: the event is that of a DescribeTopics request, and owns the array.
    unsafe {
        let result = sys::rd_kafka_event_DescribeTopics_result(answer.event());
        let topics = sys::rd_kafka_DescribeTopics_result_topics(result, &mut count);
        elements(topics, count)
    }
}

fn ask_for_topics(
    client: *mut sys::rd_kafka_t,
    names: &[impl AsRef<str>],
    with_permissions: bool,
) -> Result<AdminResponse, RDKafkaErrorCode> {
    let names: Vec<_> = names
        .iter()
        .map(|name| text(name.as_ref()))
        .collect::<Result<_, _>>()?;
    let mut pointers: Vec<_> = names.iter().map(|name| name.as_ptr()).collect();
    let kind = RequestKind {
        operation: Op::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS,
        timeout: REQUEST_TIMEOUT,
        with_permissions,
    };
    // SAFETY: the client lives during the call; names and pointers outlive it; the collection copies them and
    // is freed here.
    unsafe {
        AdminResponse::request(client, kind, |request| {
            let topics =
                sys::rd_kafka_TopicCollection_of_topic_names(pointers.as_mut_ptr(), pointers.len());
            sys::rd_kafka_DescribeTopics(request.client, topics, request.options, request.queue);
            sys::rd_kafka_TopicCollection_destroy(topics);
        })
    }
}

/// # Safety
/// `topic` is valid.
unsafe fn topic_description(
    topic: *const sys::rd_kafka_TopicDescription_t,
) -> Result<Description, RDKafkaErrorCode> {
    let (mut count, mut operations) = (0, 0);
    // SAFETY: the caller guarantees it; everything inside lives as long.
    unsafe {
        if let Some(code) = code(sys::rd_kafka_TopicDescription_error(topic)) {
            return Err(code);
        }
        let partitions = sys::rd_kafka_TopicDescription_partitions(topic, &mut count);
        let replicas = elements(partitions, count).iter().map(|partition| {
            let mut replicas = 0;
            sys::rd_kafka_TopicPartitionInfo_replicas(*partition, &mut replicas);
            replicas
        });
        let replication = replicas.min().unwrap_or(0);
        let allowed = sys::rd_kafka_TopicDescription_authorized_operations(topic, &mut operations);
        Ok(Description {
            partitions: u32::try_from(count).unwrap_or(u32::MAX),
            replication: u32::try_from(replication).unwrap_or(u32::MAX),
            rights: permissions(elements(allowed, operations)),
        })
    }
}

/// An empty list means unknown: old brokers report none, and a principal that may describe has that permission.
fn permissions(allowed: &[Operation]) -> Permissions {
    let right = |operation: &Operation| {
        Some(match operation {
            Operation::RD_KAFKA_ACL_OPERATION_READ => Permission::Read,
            Operation::RD_KAFKA_ACL_OPERATION_WRITE => Permission::Write,
            Operation::RD_KAFKA_ACL_OPERATION_CREATE => Permission::Create,
            Operation::RD_KAFKA_ACL_OPERATION_DELETE => Permission::Delete,
            Operation::RD_KAFKA_ACL_OPERATION_DESCRIBE => Permission::Describe,
            Operation::RD_KAFKA_ACL_OPERATION_DESCRIBE_CONFIGS => Permission::DescribeConfigs,
            Operation::RD_KAFKA_ACL_OPERATION_ALTER_CONFIGS => Permission::AlterConfigs,
            _ => return None,
        })
    };
    let rights: BTreeSet<Permission> = allowed.iter().filter_map(right).collect();
    (!rights.is_empty()).then_some(rights)
}

fn settle(
    name: &str,
    describe: Result<Description, RDKafkaErrorCode>,
) -> Result<Option<Description>, Failure> {
    match describe {
        Ok(description) if description.partitions > 0 => Ok(Some(description)),
        Ok(_) => Err(Failure::Fatal(format!("topic {name} has no partition yet"))),
        Err(RDKafkaErrorCode::UnknownTopicOrPartition) => Ok(None),
        Err(RDKafkaErrorCode::TopicAuthorizationFailed) => Err(Failure::Config(format!(
            "no permission to describe topic {name}; give the principal Read and Describe on it"
        ))),
        Err(RDKafkaErrorCode::InvalidTopic) => Err(classify_error::missing_topic(name)),
        Err(code) => Err(Failure::Fatal(format!("metadata of topic {name}: {code}"))),
    }
}

/// Settings of topics by name, defaults included. Omits topics whose settings the principal may not describe.
pub(super) fn settings(
    client: *mut sys::rd_kafka_t,
    names: &[String],
) -> Result<BTreeMap<String, BTreeMap<String, String>>, RDKafkaErrorCode> {
    let names: Vec<_> = names
        .iter()
        .map(|name| text(name.as_ref()))
        .collect::<Result<_, _>>()?;
    let kind = RequestKind {
        operation: Op::RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS,
        timeout: REQUEST_TIMEOUT,
        with_permissions: false,
    };
    let topic = sys::rd_kafka_ResourceType_t::RD_KAFKA_RESOURCE_TOPIC;
    // SAFETY: the client lives during the call; the resources copy the names and are freed here.
    let answer = unsafe {
        AdminResponse::request(client, kind, |request| {
            let resource =
                |name: &std::ffi::CString| sys::rd_kafka_ConfigResource_new(topic, name.as_ptr());
            let mut resources: Vec<_> = names.iter().map(resource).collect();
            let (array, count) = (resources.as_mut_ptr(), resources.len());
            sys::rd_kafka_DescribeConfigs(
                request.client,
                array,
                count,
                request.options,
                request.queue,
            );
            sys::rd_kafka_ConfigResource_destroy_array(array, count);
        })
    }?;
    let mut count = 0;
    // SAFETY: the answer lives until the end of the function, and everything taken from it is copied.
    let resources = unsafe {
        let result = sys::rd_kafka_event_DescribeConfigs_result(answer.event());
        elements(
            sys::rd_kafka_DescribeConfigs_result_resources(result, &mut count),
            count,
        )
    };
    // SAFETY: as above.
    let settings = resources
        .iter()
        .filter_map(|resource| unsafe { entries(*resource) });
    Ok(settings.collect())
}

/// # Safety
/// `resource` is valid.
unsafe fn entries(
    resource: *const sys::rd_kafka_ConfigResource_t,
) -> Option<(String, BTreeMap<String, String>)> {
    let mut count = 0;
    // SAFETY: the caller guarantees it; everything inside lives as long.
    unsafe {
        if sys::rd_kafka_ConfigResource_error(resource) != NO_ERROR {
            return None;
        }
        let entries = sys::rd_kafka_ConfigResource_configs(resource, &mut count);
        let entry = |entry: &*const sys::rd_kafka_ConfigEntry_t| {
            let value = sys::rd_kafka_ConfigEntry_value(*entry);
            let name = owned(sys::rd_kafka_ConfigEntry_name(*entry));
            (!value.is_null()).then(|| (name, owned(value)))
        };
        let settings = elements(entries, count).iter().filter_map(entry).collect();
        Some((owned(sys::rd_kafka_ConfigResource_name(resource)), settings))
    }
}

/// Describes a consumer group.
pub(super) fn group(
    client: *mut sys::rd_kafka_t,
    name: &str,
) -> Result<GroupDescription, RDKafkaErrorCode> {
    let name = text(name)?;
    let kind = RequestKind {
        operation: Op::RD_KAFKA_ADMIN_OP_DESCRIBECONSUMERGROUPS,
        timeout: REQUEST_TIMEOUT,
        with_permissions: true,
    };
    let mut names = [name.as_ptr()];
    // SAFETY: the client lives during the call, and so does the name.
    let answer = unsafe {
        AdminResponse::request(client, kind, |request| {
            sys::rd_kafka_DescribeConsumerGroups(
                request.client,
                names.as_mut_ptr(),
                1,
                request.options,
                request.queue,
            );
        })
    }?;
    let mut count = 0;
    // SAFETY: the answer lives until the end of the function, and everything taken from it is copied.
    unsafe {
        let result = sys::rd_kafka_event_DescribeConsumerGroups_result(answer.event());
        let groups = sys::rd_kafka_DescribeConsumerGroups_result_groups(result, &mut count);
        match elements(groups, count).first() {
            Some(group) => group_description(*group),
            None => Ok(GroupDescription::default()),
        }
    }
}

/// # Safety
/// `group` is valid.
unsafe fn group_description(
    group: *const sys::rd_kafka_ConsumerGroupDescription_t,
) -> Result<GroupDescription, RDKafkaErrorCode> {
    use sys::rd_kafka_consumer_group_type_t as Type;
    let mut count = 0;
    // SAFETY: the caller guarantees it; everything inside lives as long.
    unsafe {
        match code(sys::rd_kafka_ConsumerGroupDescription_error(group)) {
            // The group has never had a member.
            Some(RDKafkaErrorCode::GroupIdNotFound) => return Ok(GroupDescription::default()),
            Some(code) => return Err(code),
            None => {}
        }
        let allowed =
            sys::rd_kafka_ConsumerGroupDescription_authorized_operations(group, &mut count);
        let members = sys::rd_kafka_ConsumerGroupDescription_member_count(group);
        let member = |index| {
            let member = sys::rd_kafka_ConsumerGroupDescription_member(group, index);
            GroupMember {
                instance_id: owned(sys::rd_kafka_MemberDescription_group_instance_id(member)),
                client_id: owned(sys::rd_kafka_MemberDescription_client_id(member)),
                host: owned(sys::rd_kafka_MemberDescription_host(member)),
            }
        };
        Ok(GroupDescription {
            rights: permissions(elements(allowed, count)),
            members: (0..members).map(member).collect(),
            assignor: owned(sys::rd_kafka_ConsumerGroupDescription_partition_assignor(
                group,
            )),
            is_next_protocol: match sys::rd_kafka_ConsumerGroupDescription_type(group) {
                Type::RD_KAFKA_CONSUMER_GROUP_TYPE_CONSUMER => Some(true),
                Type::RD_KAFKA_CONSUMER_GROUP_TYPE_CLASSIC => Some(false),
                _ => None,
            },
        })
    }
}

/// The failure for an error code of a request.
pub(super) fn failure(doing: &str, code: RDKafkaErrorCode) -> Failure {
    classify_error::plain(doing, &KafkaError::MetadataFetch(code))
}
