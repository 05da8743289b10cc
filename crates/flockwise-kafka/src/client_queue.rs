//! A queue of librdkafka's on which records or events of a client arrive.

#![allow(unsafe_code)]

use std::ffi::{CStr, c_void};
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseProducer, Producer};
use rdkafka_sys as sys;

use crate::client_context::KafkaContext;
use crate::wakeup::Wakeup;

/// A reference to a queue, and the client `C` that it belongs to.
pub(crate) struct ClientQueue<C> {
    raw: NonNull<sys::rd_kafka_queue_t>,
    /// librdkafka has its address from [`ClientQueue::signal_arrivals`] until drop.
    signal: Option<Arc<ArrivalSignal>>,
    client: C,
}

/// A queue of a consumer.
pub(crate) type ConsumerQueue = ClientQueue<Arc<BaseConsumer<KafkaContext>>>;

/// What librdkafka's threads set when something arrives in an empty queue.
pub(crate) struct ArrivalSignal {
    ready: AtomicBool,
    wakeup: Wakeup,
}

// SAFETY: librdkafka counts references to a queue atomically and locks it in every call, so any thread may hold and use
// `raw`. The signal is made of Sync parts.
unsafe impl<C: Send> Send for ClientQueue<C> {}
// SAFETY: as above.
unsafe impl<C: Sync> Sync for ClientQueue<C> {}

impl ConsumerQueue {
    /// The queue on which a consumer's rebalances, errors and log lines arrive; `None` if it has no group.
    pub(crate) fn of_group(consumer: &Arc<BaseConsumer<KafkaContext>>) -> Option<Self> {
        // SAFETY: the client lives during the call.
        let raw = unsafe { sys::rd_kafka_queue_get_consumer(consumer.client().native_ptr()) };
        Self::owning(raw, Arc::clone(consumer))
    }

    /// The queue of one partition.
    pub(crate) fn of_partition(
        consumer: &Arc<BaseConsumer<KafkaContext>>,
        topic: &CStr,
        partition: i32,
    ) -> Option<Self> {
        let client = consumer.client().native_ptr();
        // SAFETY: client and name live during the call.
        let raw = unsafe { sys::rd_kafka_queue_get_partition(client, topic.as_ptr(), partition) };
        Self::owning(raw, Arc::clone(consumer))
    }
}

impl ClientQueue<BaseProducer<KafkaContext>> {
    /// The queue on which a producer's errors and failed deliveries arrive.
    pub(crate) fn of_producer(producer: BaseProducer<KafkaContext>) -> Option<Self> {
        // SAFETY: the client lives during the call.
        let raw = unsafe { sys::rd_kafka_queue_get_main(producer.client().native_ptr()) };
        Self::owning(raw, producer)
    }
}

impl<C> ClientQueue<C> {
    /// With a reference that librdkafka has just given us.
    fn owning(raw: *mut sys::rd_kafka_queue_t, client: C) -> Option<Self> {
        Some(Self {
            raw: NonNull::new(raw)?,
            signal: None,
            client,
        })
    }

    /// The client that the queue belongs to.
    pub(crate) fn client(&self) -> &C {
        &self.client
    }

    /// The queue itself, valid as long as `self`.
    pub(crate) fn as_ptr(&self) -> *mut sys::rd_kafka_queue_t {
        self.raw.as_ptr()
    }

    /// Does the queue hold nothing?
    pub(crate) fn is_empty(&self) -> bool {
        // SAFETY: our reference lives as long as `self`.
        unsafe { sys::rd_kafka_queue_length(self.as_ptr()) == 0 }
    }

    /// Stops the forwarding of what arrives to the client's main queue.
    pub(crate) fn separate(&self) {
        // SAFETY: our reference lives as long as `self`; null stands for no destination.
        unsafe { sys::rd_kafka_queue_forward(self.as_ptr(), ptr::null_mut()) };
    }

    /// From now on, sets the returned signal and wakes `wakeup` when something arrives in the empty queue.
    pub(crate) fn signal_arrivals(&mut self, wakeup: &Wakeup) -> Arc<ArrivalSignal> {
        let signal = ArrivalSignal::new(wakeup);
        // SAFETY: our reference lives as long as `self`. `self.signal` keeps the signal at its address until drop has
        // removed the callback, or until another call of this function has replaced it.
        unsafe {
            sys::rd_kafka_queue_cb_event_enable(
                self.as_ptr(),
                Some(on_arrival),
                ArrivalSignal::opaque(&signal),
            );
        }
        self.signal = Some(Arc::clone(&signal));
        signal
    }
}

impl<C> Drop for ClientQueue<C> {
    fn drop(&mut self) {
        // SAFETY: the callback is called and removed under the queue's lock, so it does not run after this, when the
        // signal is freed. Then our reference is released, once, while the client lives.
        unsafe {
            if self.signal.is_some() {
                sys::rd_kafka_queue_cb_event_enable(self.as_ptr(), None, ptr::null_mut());
            }
            sys::rd_kafka_queue_destroy(self.as_ptr());
        }
    }
}

impl ArrivalSignal {
    /// Ready at first: something may have arrived before the callback was set.
    fn new(wakeup: &Wakeup) -> Arc<Self> {
        Arc::new(Self {
            ready: AtomicBool::new(true),
            wakeup: wakeup.clone(),
        })
    }

    /// The argument of [`on_arrival`]. It stays valid while the Arc lives, wherever the Arc is moved.
    fn opaque(signal: &Arc<Self>) -> *mut c_void {
        Arc::as_ptr(signal).cast_mut().cast()
    }

    /// May the queue hold something?
    pub(crate) fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }

    /// Notes whether the queue may hold something.
    pub(crate) fn set_ready(&self, ready: bool) {
        self.ready.store(ready, Ordering::Release);
    }
}

unsafe extern "C" fn on_arrival(_: *mut sys::rd_kafka_t, opaque: *mut c_void) {
    // SAFETY: `opaque` is that of a signal, which `ClientQueue` keeps alive until it has removed this callback.
    let signal = unsafe { &*opaque.cast::<ArrivalSignal>() };
    signal.set_ready(true);
    signal.wakeup.wake();
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_signal_may_move_while_librdkafka_has_its_address() {
        let wakeup = Wakeup::default();
        let signal = ArrivalSignal::new(&wakeup);
        let opaque = ArrivalSignal::opaque(&signal);
        let moved = Some(signal);
        let signal = moved.as_ref().expect("just moved");
        signal.set_ready(false);
        // SAFETY: the signal lives, and the client is not used.
        unsafe { on_arrival(ptr::null_mut(), opaque) };
        assert!(signal.is_ready());
        wakeup.wait(Duration::MAX);
    }
}
