//! Requests of librdkafka's admin API that rdkafka lacks. Any client can make them.

#![allow(unsafe_code)]

use std::ffi::{CStr, CString, c_char};
use std::ptr::{self, NonNull};
use std::time::Duration;

use rdkafka::error::RDKafkaErrorCode;
use rdkafka_sys as sys;
use sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR as NO_ERROR;

/// The event that answers a request. Freed when dropped.
pub(super) struct AdminResponse(NonNull<sys::rd_kafka_event_t>);

/// The arguments of a request, valid until `send` returns.
pub(super) struct Request {
    pub(super) client: *mut sys::rd_kafka_t,
    pub(super) options: *mut sys::rd_kafka_AdminOptions_t,
    pub(super) queue: *mut sys::rd_kafka_queue_t,
}

/// The kind of a request, and how long to wait for its answer.
#[derive(Clone, Copy)]
pub(super) struct RequestKind {
    pub(super) operation: sys::rd_kafka_admin_op_t,
    pub(super) timeout: Duration,
    /// Also ask which operations this principal may perform.
    pub(super) with_permissions: bool,
}

/// The longest timeout that librdkafka accepts for an admin request.
const LONGEST_TIMEOUT_MS: i32 = 3_600_000;

impl RequestKind {
    /// The timeout to give librdkafka. A request to a group's coordinator must not time out in librdkafka during
    /// the search for the coordinator: librdkafka 2.12 frees the request, fails it again when the coordinator is
    /// found, and aborts the process (`eonce->refcnt > 0`). So only our wait for the answer ends; the request
    /// ends with the client.
    fn timeout_ms(self, wait_ms: i32) -> i32 {
        use sys::rd_kafka_admin_op_t as Op;
        match self.operation {
            Op::RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPOFFSETS
            | Op::RD_KAFKA_ADMIN_OP_DESCRIBECONSUMERGROUPS => LONGEST_TIMEOUT_MS,
            _ => wait_ms,
        }
    }
}

impl AdminResponse {
    /// Makes a request with `send` and waits for its answer.
    ///
    /// # Safety
    /// `client` is valid during the call. `send` makes exactly one request of this kind with its argument, and
    /// keeps no part of it.
    pub(super) unsafe fn request(
        client: *mut sys::rd_kafka_t,
        kind: RequestKind,
        send: impl FnOnce(&Request),
    ) -> Result<Self, RDKafkaErrorCode> {
        let wait_ms = i32::try_from(kind.timeout.as_millis()).unwrap_or(i32::MAX);
        let timeout_ms = kind.timeout_ms(wait_ms);
        // SAFETY: the client lives. Options and queue are created, used and freed here. We own the event, which
        // depends on neither. An error of `include_authorized_operations` is freed immediately.
        let event = unsafe {
            let options = sys::rd_kafka_AdminOptions_new(client, kind.operation);
            sys::rd_kafka_AdminOptions_set_request_timeout(options, timeout_ms, ptr::null_mut(), 0);
            if kind.with_permissions {
                let error =
                    sys::rd_kafka_AdminOptions_set_include_authorized_operations(options, 1);
                if !error.is_null() {
                    sys::rd_kafka_error_destroy(error);
                }
            }
            let queue = sys::rd_kafka_queue_new(client);
            send(&Request {
                client,
                options,
                queue,
            });
            let event = sys::rd_kafka_queue_poll(queue, wait_ms);
            sys::rd_kafka_queue_destroy(queue);
            sys::rd_kafka_AdminOptions_destroy(options);
            event
        };
        let answer = Self(NonNull::new(event).ok_or(RDKafkaErrorCode::OperationTimedOut)?);
        // SAFETY: the event is ours until dropped.
        match unsafe { sys::rd_kafka_event_error(answer.0.as_ptr()) } {
            NO_ERROR => Ok(answer),
            code => Err(code.into()),
        }
    }

    pub(super) fn event(&self) -> *mut sys::rd_kafka_event_t {
        self.0.as_ptr()
    }
}

impl Drop for AdminResponse {
    fn drop(&mut self) {
        // SAFETY: the event is ours, and is freed once.
        unsafe { sys::rd_kafka_event_destroy(self.0.as_ptr()) };
    }
}

/// A name as a C string. No topic or group has a name with a zero byte, so one is an error.
pub(super) fn text(name: &str) -> Result<CString, RDKafkaErrorCode> {
    CString::new(name).map_err(|_| RDKafkaErrorCode::InvalidTopic)
}

/// Copies a string that C owns. Null gives an empty string.
///
/// # Safety
/// `text` is null or points to a string that ends with a zero byte.
pub(super) unsafe fn owned(text: *const c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: the caller guarantees it.
    unsafe { CStr::from_ptr(text) }
        .to_string_lossy()
        .into_owned()
}

/// The code of an error that C owns; `None` if there is no error.
///
/// # Safety
/// `error` is null or valid.
pub(super) unsafe fn code(error: *const sys::rd_kafka_error_t) -> Option<RDKafkaErrorCode> {
    if error.is_null() {
        return None;
    }
    // SAFETY: the caller guarantees it.
    match unsafe { sys::rd_kafka_error_code(error) } {
        NO_ERROR => None,
        code => Some(code.into()),
    }
}

/// The elements of an array that C owns. Null gives an empty slice.
///
/// # Safety
/// `array` is null, or points to `count` elements that live as long as `'a`.
pub(super) unsafe fn elements<'a, T>(array: *const T, count: usize) -> &'a [T] {
    if array.is_null() || count == 0 {
        return &[];
    }
    // SAFETY: the caller guarantees it.
    unsafe { std::slice::from_raw_parts(array, count) }
}
