//! A thread's signs of life, for whoever watches over it.
//!
//! They are counted and not timed: only the watcher has a clock. A pulse belongs to its thread, as a worker does, so that
//! what waits deep within a client need not be handed one.

use std::cell::OnceCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

thread_local! {
    static OF_THIS_THREAD: OnceCell<ThreadHeartbeat> = const { OnceCell::new() };
}

/// What a pulse stands at once its thread has ended.
const OVER: u64 = u64::MAX;

/// Goes up with whatever its thread does. Clones are one pulse.
#[derive(Clone, Debug, Default)]
pub struct Heartbeat(Arc<AtomicU64>);

/// Ends with the thread, however that ends.
struct ThreadHeartbeat(Heartbeat);

impl Heartbeat {
    /// Beats with this thread from here on; a thread has one pulse, the first.
    pub fn attach_to_thread(&self) {
        OF_THIS_THREAD.with(|own| {
            own.get_or_init(|| ThreadHeartbeat(self.clone()));
        });
    }

    /// How often it has beaten; `None` once its thread has ended.
    #[must_use]
    pub fn beats(&self) -> Option<u64> {
        let beats = self.0.load(Ordering::Relaxed);
        (beats != OVER).then_some(beats)
    }
}

impl Drop for ThreadHeartbeat {
    fn drop(&mut self) {
        self.0.0.store(OVER, Ordering::Relaxed);
    }
}

/// This thread gets on: to be said in every loop that may take long, also in one that only waits and asks again.
pub fn beat() {
    OF_THIS_THREAD.with(|own| {
        if let Some(ThreadHeartbeat(heartbeat)) = own.get() {
            heartbeat.0.fetch_add(1, Ordering::Relaxed);
        }
    });
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn a_pulse_beats_with_its_own_thread_and_ends_with_it() {
        let heartbeat = Heartbeat::default();
        beat();
        thread::scope(|scope| {
            let living = scope.spawn(|| {
                heartbeat.attach_to_thread();
                beat();
                beat();
                assert_eq!(heartbeat.beats(), Some(2));
            });
            // A scope does not wait for the very end of a thread.
            living.join().unwrap();
        });
        beat();
        assert_eq!(heartbeat.beats(), None);
    }
}
