//! A producer with a thread that notes errors and failed deliveries as they arrive, and sleeps otherwise.
//!
//! rdkafka's own thread for this wakes ten times a second and spins for the last millisecond of each wait.

#![allow(unsafe_code)]

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use flockwise_runtime::broker::Failure;
use rdkafka::producer::{BaseProducer, Producer};
use rdkafka_sys as sys;

use crate::client_context::KafkaContext;
use crate::client_queue::ClientQueue;
use crate::wakeup::Wakeup;

/// How long the thread sleeps if nothing wakes it.
const MAX_SLEEP: Duration = Duration::from_secs(3600);

/// A producer and its thread. Dropping it ends the thread.
pub(crate) struct PolledProducer {
    poll_thread: Arc<PollThread>,
    thread: Option<JoinHandle<()>>,
}

struct PollThread {
    queue: ClientQueue<BaseProducer<KafkaContext>>,
    wakeup: Wakeup,
    is_over: AtomicBool,
}

impl PolledProducer {
    /// Starts the thread.
    pub(crate) fn new(producer: BaseProducer<KafkaContext>) -> Result<Self, Failure> {
        let mut queue = ClientQueue::of_producer(producer)
            .ok_or_else(|| Failure::Fatal("the producer has no queue".into()))?;
        let wakeup = Wakeup::default();
        queue.signal_arrivals(&wakeup);
        // Events that arrived before the callback was set have not woken the thread.
        wakeup.wake();
        let poll_thread = Arc::new(PollThread {
            queue,
            wakeup,
            is_over: AtomicBool::new(false),
        });
        let working = Arc::clone(&poll_thread);
        let thread = thread::Builder::new()
            .name("flockwise-poll".to_owned())
            .spawn(move || working.serve())
            .map_err(|error| Failure::Fatal(format!("starting a producer's thread: {error}")))?;
        Ok(Self {
            poll_thread,
            thread: Some(thread),
        })
    }

    /// Waits until nothing is in flight, without lingering; `false` if that takes longer than `timeout`.
    ///
    /// rdkafka's own flush waits for a delivery report, of which a success has none, for up to a tenth of a second.
    /// librdkafka's waits on a condition variable for its count of records in flight.
    pub(crate) fn await_delivery(&self, timeout: Duration) -> bool {
        let timeout_ms = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
        // SAFETY: the handle is that of a live client, which `self` owns.
        let result = unsafe { sys::rd_kafka_flush(self.client().native_ptr(), timeout_ms) };
        result == sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR
    }
}

impl Deref for PolledProducer {
    type Target = BaseProducer<KafkaContext>;

    fn deref(&self) -> &Self::Target {
        self.poll_thread.queue.client()
    }
}

impl PollThread {
    fn serve(&self) {
        while !self.is_over.load(Ordering::Acquire) {
            self.wakeup.wait(MAX_SLEEP);
            while !self.queue.is_empty() {
                self.queue.client().poll(Duration::ZERO);
            }
        }
    }
}

impl Drop for PolledProducer {
    fn drop(&mut self) {
        self.poll_thread.is_over.store(true, Ordering::Release);
        self.poll_thread.wakeup.wake();
        if let Some(thread) = self.thread.take() {
            // The thread does nothing that panics, and drop could not report it.
            let _ = thread.join();
        }
    }
}
