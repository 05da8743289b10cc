//! Changes the named settings of topics and leaves the others alone.

#![allow(unsafe_code)]

use flockwise_runtime::broker::Failure;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka_sys as sys;
use sys::rd_kafka_admin_op_t as Op;
use sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR as NO_ERROR;

use super::admin_request::{AdminResponse, RequestKind, elements, owned, text};
use super::describe_requests::failure;
use crate::retry::QUERY_TIMEOUT;

/// Settings to change on a topic. The others keep their values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alteration {
    /// Name of the topic.
    pub topic: String,
    /// Kafka's keys of the settings, with their new values.
    pub settings: Vec<(&'static str, String)>,
}

/// Applies the alterations. The settings of one topic change together or not at all.
pub(super) fn alter(
    client: *mut sys::rd_kafka_t,
    alterations: &[Alteration],
) -> Result<(), Failure> {
    let doing = "altering topic settings";
    let answer = ask(client, alterations).map_err(|code| failure(doing, code))?;
    let mut count = 0;
    // SAFETY: the answer lives until the end of the function, and everything taken from it is copied.
    let resources = unsafe {
        let result = sys::rd_kafka_event_IncrementalAlterConfigs_result(answer.event());
        elements(
            sys::rd_kafka_IncrementalAlterConfigs_result_resources(result, &mut count),
            count,
        )
    };
    let refused: Vec<String> = resources
        .iter()
        // SAFETY: as above.
        .filter_map(|resource| unsafe { refusal(*resource) })
        .collect();
    if refused.is_empty() {
        return Ok(());
    }
    Err(Failure::Config(refused.join("; ")))
}

fn ask(
    client: *mut sys::rd_kafka_t,
    alterations: &[Alteration],
) -> Result<AdminResponse, RDKafkaErrorCode> {
    let kind = RequestKind {
        operation: Op::RD_KAFKA_ADMIN_OP_INCREMENTALALTERCONFIGS,
        timeout: QUERY_TIMEOUT,
        with_permissions: false,
    };
    let mut resources = Vec::new();
    for alteration in alterations {
        resources.push(resource(alteration)?);
    }
    // SAFETY: the client lives during the call; the resources are ours, and are used and freed here.
    unsafe {
        AdminResponse::request(client, kind, |request| {
            let (array, count) = (resources.as_mut_ptr(), resources.len());
            sys::rd_kafka_IncrementalAlterConfigs(
                request.client,
                array,
                count,
                request.options,
                request.queue,
            );
            sys::rd_kafka_ConfigResource_destroy_array(array, count);
        })
    }
}

fn resource(
    alteration: &Alteration,
) -> Result<*mut sys::rd_kafka_ConfigResource_t, RDKafkaErrorCode> {
    let name = text(&alteration.topic)?;
    let entries: Vec<_> = alteration
        .settings
        .iter()
        .map(|(key, value)| Ok((text(key)?, text(value)?)))
        .collect::<Result<_, RDKafkaErrorCode>>()?;
    let set = sys::rd_kafka_AlterConfigOpType_t::RD_KAFKA_ALTER_CONFIG_OP_TYPE_SET;
    let topic = sys::rd_kafka_ResourceType_t::RD_KAFKA_RESOURCE_TOPIC;
    // SAFETY: the resource copies its arguments; an error is freed immediately.
    unsafe {
        let resource = sys::rd_kafka_ConfigResource_new(topic, name.as_ptr());
        for (key, value) in &entries {
            let error = sys::rd_kafka_ConfigResource_add_incremental_config(
                resource,
                key.as_ptr(),
                set,
                value.as_ptr(),
            );
            if !error.is_null() {
                sys::rd_kafka_error_destroy(error);
            }
        }
        Ok(resource)
    }
}

/// # Safety
/// `resource` is valid.
unsafe fn refusal(resource: *const sys::rd_kafka_ConfigResource_t) -> Option<String> {
    // SAFETY: the caller guarantees it.
    unsafe {
        let code = sys::rd_kafka_ConfigResource_error(resource);
        if code == NO_ERROR {
            return None;
        }
        let topic = owned(sys::rd_kafka_ConfigResource_name(resource));
        let reason = owned(sys::rd_kafka_ConfigResource_error_string(resource));
        let remedy = match RDKafkaErrorCode::from(code) {
            RDKafkaErrorCode::TopicAuthorizationFailed
            | RDKafkaErrorCode::ClusterAuthorizationFailed => {
                "; give the principal AlterConfigs on it, or have someone with that permission run \
                 `flockwise topics --apply`"
            }
            _ => "",
        };
        Some(format!(
            "topic {topic} rejected its settings: {}{}{reason}{remedy}",
            RDKafkaErrorCode::from(code),
            if reason.is_empty() { "" } else { ": " },
        ))
    }
}
