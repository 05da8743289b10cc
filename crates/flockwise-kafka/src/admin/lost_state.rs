//! Finds out whether a pipeline has run before. If so, its state topics must not be recreated silently.

#![allow(unsafe_code)]

use std::collections::BTreeMap;
use std::ptr;
use std::time::Duration;

use flockwise_runtime::broker::Failure;
use flockwise_runtime::topics::{Topic, Topics};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka_sys as sys;
use sys::rd_kafka_admin_op_t as Op;
use sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR as NO_ERROR;

use super::admin_request::{AdminResponse, RequestKind, code, elements, owned, text};
use super::describe_requests::failure;
use crate::retry::{REQUEST_TIMEOUT, retry_query};

/// What a topic shows of earlier use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trace {
    /// The topic does not exist.
    Missing,
    /// No record has ever been written to it.
    Empty,
    /// Records have been written to it; they may be deleted by now.
    Written,
}

/// What earlier runs of the pipeline have left behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remains {
    /// Each internal topic.
    pub topics: BTreeMap<Topic, Trace>,
    /// Has the group committed offsets of an internal topic?
    pub has_offsets: bool,
}

/// Why the pipeline must not start as a new one: a topic that held its state is missing, or was recreated by hand.
/// `None` if no state is lost.
#[must_use]
pub fn lost_state(topics: &Topics, remains: &Remains) -> Option<String> {
    let is = |topic, trace| remains.topics.get(&topic) == Some(&trace);
    let name = topics.name(Topic::Changelog);
    if is(Topic::Changelog, Trace::Written) && !is(Topic::Pipeline, Trace::Written) {
        let pipeline = topics.name(Topic::Pipeline);
        return Some(format!(
            "topic {pipeline} is missing or empty, but {name} holds customers: without the pipeline record it is \
             unknown whether this configuration fits their state; {REMEDY}"
        ));
    }
    if is(Topic::Changelog, Trace::Written) {
        return is(Topic::Repartition, Trace::Missing).then(|| {
            let repartition = topics.name(Topic::Repartition);
            format!(
                "topic {repartition} is missing, but {name} holds customers: events that were forwarded and not yet \
                 counted are lost; {REMEDY}"
            )
        });
    }
    let changes = topics.name(Topic::SegmentChanges);
    let evidence = if is(Topic::SegmentChanges, Trace::Written) {
        format!("{changes} holds changes")
    } else if remains.has_offsets {
        format!("group {} has committed offsets", topics.app)
    } else {
        return None;
    };
    let what = if is(Topic::Changelog, Trace::Missing) {
        "is missing"
    } else {
        "is empty"
    };
    Some(format!(
        "topic {name} {what}, but this pipeline has run before ({evidence}): the topic held customers and read positions, \
         and a start without it would count all events again, with sequences from 1; {REMEDY}"
    ))
}

const REMEDY: &str = "restore the topic from a mirror, run `flockwise reset` (it says what that costs), or start under \
                       another `app`";

/// The offsets that a group has committed, by topic and partition. Retries, see [`retry_query`].
pub(crate) fn committed(
    client: *mut sys::rd_kafka_t,
    group: &str,
) -> Result<BTreeMap<String, BTreeMap<u32, i64>>, Failure> {
    let doing = format!("asking for the offsets of group {group}");
    retry_query(|| committed_once(client, group).map_err(|code| failure(&doing, code)))
}

/// As [`committed`], but without retries: for callers that can do without the answer.
pub(crate) fn committed_once(
    client: *mut sys::rd_kafka_t,
    group: &str,
) -> Result<BTreeMap<String, BTreeMap<u32, i64>>, RDKafkaErrorCode> {
    committed_within(client, group, REQUEST_TIMEOUT)
}

fn committed_within(
    client: *mut sys::rd_kafka_t,
    group: &str,
    timeout: Duration,
) -> Result<BTreeMap<String, BTreeMap<u32, i64>>, RDKafkaErrorCode> {
    let group = text(group)?;
    let kind = RequestKind {
        operation: Op::RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPOFFSETS,
        timeout,
        with_permissions: false,
    };
    // SAFETY: the client lives during the call; the request copies the name and is freed here.
    let answer = unsafe {
        AdminResponse::request(client, kind, |request| {
            let mut asked = [sys::rd_kafka_ListConsumerGroupOffsets_new(
                group.as_ptr(),
                ptr::null(),
            )];
            sys::rd_kafka_ListConsumerGroupOffsets(
                request.client,
                asked.as_mut_ptr(),
                1,
                request.options,
                request.queue,
            );
            sys::rd_kafka_ListConsumerGroupOffsets_destroy_array(asked.as_mut_ptr(), 1);
        })
    }?;
    let mut count = 0;
    // SAFETY: the answer lives until the end of the function, and everything taken from it is copied.
    unsafe {
        let result = sys::rd_kafka_event_ListConsumerGroupOffsets_result(answer.event());
        let groups = sys::rd_kafka_ListConsumerGroupOffsets_result_groups(result, &mut count);
        match elements(groups, count).first() {
            Some(group) => offsets(*group),
            None => Ok(BTreeMap::new()),
        }
    }
}

/// # Safety
/// `group` is valid.
unsafe fn offsets(
    group: *const sys::rd_kafka_group_result_t,
) -> Result<BTreeMap<String, BTreeMap<u32, i64>>, RDKafkaErrorCode> {
    let mut offsets: BTreeMap<String, BTreeMap<u32, i64>> = BTreeMap::new();
    // SAFETY: the caller guarantees it; everything inside lives as long.
    unsafe {
        match code(sys::rd_kafka_group_result_error(group)) {
            Some(RDKafkaErrorCode::GroupIdNotFound) => return Ok(offsets),
            Some(code) => return Err(code),
            None => {}
        }
        let list = sys::rd_kafka_group_result_partitions(group);
        if list.is_null() {
            return Ok(offsets);
        }
        let count = usize::try_from((*list).cnt).unwrap_or(0);
        for partition in elements((*list).elems.cast_const(), count) {
            if partition.err != NO_ERROR || partition.offset < 0 {
                continue;
            }
            let topic = offsets.entry(owned(partition.topic)).or_default();
            topic.insert(partition.partition.cast_unsigned(), partition.offset);
        }
    }
    Ok(offsets)
}

#[cfg(test)]
mod tests {
    use rdkafka::ClientConfig;
    use rdkafka::consumer::{BaseConsumer, Consumer};
    use rdkafka::mocking::MockCluster;

    use super::*;

    #[test]
    fn a_coordinator_that_comes_after_the_patience_ends_is_no_crash()
    -> Result<(), Box<dyn std::error::Error>> {
        let cluster = MockCluster::new(1)?;
        cluster.broker_down(1)?;
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", cluster.bootstrap_servers())
            .create()?;
        let is_acknowledged = |timeout| {
            let answer = committed_within(consumer.client().native_ptr(), "shop", timeout);
            !matches!(answer, Err(RDKafkaErrorCode::OperationTimedOut))
        };
        assert!(!is_acknowledged(Duration::from_millis(300)));
        cluster.broker_up(1)?;
        // One librdkafka thread answers both requests, the first one first.
        assert!(is_acknowledged(Duration::from_secs(30)));
        Ok(())
    }

    fn lost(changelog: Trace, changes: Trace, has_offsets: bool) -> Option<String> {
        let topics = Topics {
            app: "shop".to_owned(),
            inputs: Vec::new(),
            state_partitions: 1,
        };
        let remains = Remains {
            topics: BTreeMap::from([
                (Topic::Changelog, changelog),
                (Topic::SegmentChanges, changes),
                (Topic::Repartition, Trace::Empty),
                (Topic::Pipeline, Trace::Written),
            ]),
            has_offsets,
        };
        lost_state(&topics, &remains)
    }

    #[test]
    fn a_pipeline_that_is_new_or_whole_has_lost_nothing() {
        for (changelog, changes, has_offsets) in [
            (Trace::Missing, Trace::Missing, false),
            (Trace::Empty, Trace::Empty, false),
            (Trace::Written, Trace::Written, true),
            (Trace::Written, Trace::Missing, true),
        ] {
            assert_eq!(lost(changelog, changes, has_offsets), None);
        }
    }

    #[test]
    fn a_changelog_that_is_gone_is_noticed_by_what_else_there_is() {
        for (changelog, changes, has_offsets, words) in [
            (Trace::Missing, Trace::Written, false, "is missing"),
            (Trace::Missing, Trace::Missing, true, "committed offsets"),
            (Trace::Empty, Trace::Written, true, "is empty"),
        ] {
            let lost = lost(changelog, changes, has_offsets).unwrap_or_default();
            assert!(lost.contains(words), "{lost}");
            assert!(lost.contains("flockwise reset"), "{lost}");
        }
    }
}
