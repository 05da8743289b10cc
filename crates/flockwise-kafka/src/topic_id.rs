//! A topic's id, which rdkafka does not expose.

#![allow(unsafe_code)]

use std::ffi::CString;
use std::ptr::{self, NonNull};

use flockwise_runtime::broker::Failure;
use rdkafka::client::{Client, ClientContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka_sys as sys;
use sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR as NO_ERROR;

use crate::errors;
use crate::retry::ATTEMPT;

/// The id that the brokers gave a topic at its creation, as 32 hexadecimal digits; `None` if they give
/// none.
pub(crate) fn topic_id<C: ClientContext>(
    client: &Client<C>,
    topic: &str,
) -> Result<Option<String>, Failure> {
    let name = CString::new(topic).map_err(|_| errors::missing_topic(topic))?;
    let answer = Description::to(client, &name).map_err(|code| failure(topic, code))?;
    answer.id().map_err(|code| failure(topic, code))
}

fn failure(topic: &str, code: RDKafkaErrorCode) -> Failure {
    match code {
        RDKafkaErrorCode::UnknownTopicOrPartition => errors::missing_topic(topic),
        code => errors::plain(
            &format!("asking for the id of {topic}"),
            &KafkaError::MetadataFetch(code),
        ),
    }
}

/// The event that answers the request. Freed when dropped.
struct Description(NonNull<sys::rd_kafka_event_t>);

impl Description {
    fn to<C: ClientContext>(client: &Client<C>, name: &CString) -> Result<Self, RDKafkaErrorCode> {
        let patience_ms = i32::try_from(ATTEMPT.as_millis()).unwrap_or(i32::MAX);
        let mut names = [name.as_ptr()];
        // SAFETY: the client and the name outlive the call. The collection, the options and the queue are
        // created, used and freed here in all cases. We own the event, which depends on none of them.
        let event = unsafe {
            let client = client.native_ptr();
            let topics = sys::rd_kafka_TopicCollection_of_topic_names(names.as_mut_ptr(), 1);
            let kind = sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS;
            let options = sys::rd_kafka_AdminOptions_new(client, kind);
            sys::rd_kafka_AdminOptions_set_request_timeout(
                options,
                patience_ms,
                ptr::null_mut(),
                0,
            );
            let queue = sys::rd_kafka_queue_new(client);
            sys::rd_kafka_DescribeTopics(client, topics, options, queue);
            let event = sys::rd_kafka_queue_poll(queue, patience_ms);
            sys::rd_kafka_queue_destroy(queue);
            sys::rd_kafka_AdminOptions_destroy(options);
            sys::rd_kafka_TopicCollection_destroy(topics);
            event
        };
        let answer = Self(NonNull::new(event).ok_or(RDKafkaErrorCode::OperationTimedOut)?);
        // SAFETY: the event is ours until dropped.
        let code = unsafe { sys::rd_kafka_event_error(answer.0.as_ptr()) };
        if code == NO_ERROR {
            Ok(answer)
        } else {
            Err(code.into())
        }
    }

    fn id(&self) -> Result<Option<String>, RDKafkaErrorCode> {
        // SAFETY: everything in the event lives as long as the event, and nothing of it leaves this function.
        // Each pointer is checked for null before it is followed.
        unsafe {
            let result = sys::rd_kafka_event_DescribeTopics_result(self.0.as_ptr());
            let mut count = 0;
            let topics = if result.is_null() {
                ptr::null_mut()
            } else {
                sys::rd_kafka_DescribeTopics_result_topics(result, &mut count)
            };
            if topics.is_null() || count == 0 {
                return Err(RDKafkaErrorCode::UnknownTopicOrPartition);
            }
            let error = sys::rd_kafka_TopicDescription_error(*topics);
            if !error.is_null() && sys::rd_kafka_error_code(error) != NO_ERROR {
                return Err(sys::rd_kafka_error_code(error).into());
            }
            let id = sys::rd_kafka_TopicDescription_topic_id(*topics);
            if id.is_null() {
                return Ok(None);
            }
            let most = sys::rd_kafka_Uuid_most_significant_bits(id);
            let least = sys::rd_kafka_Uuid_least_significant_bits(id);
            Ok((most != 0 || least != 0).then(|| format!("{most:016x}{least:016x}")))
        }
    }
}

impl Drop for Description {
    fn drop(&mut self) {
        // SAFETY: the event is ours, and is freed once.
        unsafe { sys::rd_kafka_event_destroy(self.0.as_ptr()) };
    }
}
