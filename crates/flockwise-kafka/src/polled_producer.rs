//! A producer with a thread that notes errors and failed deliveries as they arrive, and sleeps otherwise.
//!
//! rdkafka's own thread for this wakes ten times a second and spins for the last millisecond of each wait.

#![allow(unsafe_code)]

use std::ffi::c_void;
use std::ops::Deref;
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use flockwise_runtime::broker::Failure;
use rdkafka::producer::{BaseProducer, Producer};
use rdkafka_sys as sys;

use crate::context::KafkaContext;
use crate::wakeup::Wakeup;

/// How long the thread sleeps if nothing wakes it.
const LONGEST_POLL: Duration = Duration::from_secs(3600);

/// A producer and its thread. Dropping it ends the thread.
pub(crate) struct PolledProducer {
    served: Arc<PollThread>,
    thread: Option<JoinHandle<()>>,
}

struct PollThread {
    queue: NonNull<sys::rd_kafka_queue_t>,
    wakeup: Wakeup,
    is_over: AtomicBool,
    producer: BaseProducer<KafkaContext>,
}

// SAFETY: librdkafka's queues may be used from any thread, and so may all other fields.
unsafe impl Send for PollThread {}
// SAFETY: as above; each call locks the queue itself.
unsafe impl Sync for PollThread {}

impl PolledProducer {
    /// Starts the thread.
    pub(crate) fn new(producer: BaseProducer<KafkaContext>) -> Result<Self, Failure> {
        // SAFETY: the client lives as long as the producer.
        let queue = unsafe { sys::rd_kafka_queue_get_main(producer.client().native_ptr()) };
        let queue = NonNull::new(queue)
            .ok_or_else(|| Failure::Fatal("the producer has no queue".into()))?;
        let served = Arc::new(PollThread {
            queue,
            wakeup: Wakeup::default(),
            is_over: AtomicBool::new(false),
            producer,
        });
        let opaque = ptr::from_ref::<Wakeup>(&served.wakeup).cast_mut();
        // SAFETY: the queue is ours until drop, which removes the callback before the wakeup is freed. The
        // Arc keeps the wakeup at its address.
        unsafe {
            sys::rd_kafka_queue_cb_event_enable(queue.as_ptr(), Some(on_event), opaque.cast());
        }
        // Events that arrived before the callback was set have not woken the thread.
        served.wakeup.wake();
        let working = Arc::clone(&served);
        let thread = thread::Builder::new()
            .name("flockwise-sent".to_owned())
            .spawn(move || working.serve())
            .map_err(|error| Failure::Fatal(format!("starting a producer's thread: {error}")))?;
        Ok(Self {
            served,
            thread: Some(thread),
        })
    }

    /// Waits until nothing is in flight, without lingering; `false` if that takes longer than `patience`.
    ///
    /// rdkafka's own flush waits for a delivery report, of which a success has none, for up to a tenth of a second.
    /// librdkafka's waits on a condition variable for its count of records in flight.
    pub(crate) fn await_delivery(&self, patience: Duration) -> bool {
        let patience_ms = i32::try_from(patience.as_millis()).unwrap_or(i32::MAX);
        // SAFETY: the handle is that of a live client, which `self` owns.
        let result = unsafe { sys::rd_kafka_flush(self.client().native_ptr(), patience_ms) };
        result == sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR
    }
}

impl Deref for PolledProducer {
    type Target = BaseProducer<KafkaContext>;

    fn deref(&self) -> &Self::Target {
        &self.served.producer
    }
}

impl PollThread {
    fn serve(&self) {
        while !self.is_over.load(Ordering::Acquire) {
            self.wakeup.wait(LONGEST_POLL);
            // SAFETY: the queue is ours until drop.
            while unsafe { sys::rd_kafka_queue_length(self.queue.as_ptr()) } > 0 {
                self.producer.poll(Duration::ZERO);
            }
        }
    }
}

impl Drop for PolledProducer {
    fn drop(&mut self) {
        self.served.is_over.store(true, Ordering::Release);
        self.served.wakeup.wake();
        if let Some(thread) = self.thread.take() {
            // The thread does nothing that panics, and drop could not report it.
            let _ = thread.join();
        }
    }
}

impl Drop for PollThread {
    fn drop(&mut self) {
        // SAFETY: the callback is removed under the queue's lock, so that it cannot run after the wakeup is
        // freed. Then our reference to the queue is released, while the client lives.
        unsafe {
            sys::rd_kafka_queue_cb_event_enable(self.queue.as_ptr(), None, ptr::null_mut());
            sys::rd_kafka_queue_destroy(self.queue.as_ptr());
        }
    }
}

unsafe extern "C" fn on_event(_: *mut sys::rd_kafka_t, opaque: *mut c_void) {
    // SAFETY: `PollThread` keeps the wakeup alive until it has removed this callback.
    unsafe { &*opaque.cast::<Wakeup>() }.wake();
}
