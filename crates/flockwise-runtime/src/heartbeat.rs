//! A thread's signs of progress, for the watchdog.
//!
//! Beats are counted, not timed: only the watchdog has a clock. A heartbeat belongs to its thread, so that code that
//! waits deep within a client needs no parameter for it.

use std::cell::OnceCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

thread_local! {
    static THIS_THREAD: OnceCell<ThreadHeartbeat> = const { OnceCell::new() };
}

/// The count of a heartbeat whose thread has ended.
const ENDED: u64 = u64::MAX;

/// Counts the signs of progress of one thread. Clones share the count.
#[derive(Clone, Debug, Default)]
pub struct Heartbeat(Arc<AtomicU64>);

/// Marks its heartbeat as ended when the thread ends, also by a panic.
struct ThreadHeartbeat(Heartbeat);

impl Heartbeat {
    /// Counts the beats of this thread from now on. A thread keeps its first heartbeat: later ones stay at 0.
    pub fn attach_to_thread(&self) {
        THIS_THREAD.with(|own| {
            own.get_or_init(|| ThreadHeartbeat(self.clone()));
        });
    }

    /// Number of beats so far; `None` once the thread has ended.
    #[must_use]
    pub fn beats(&self) -> Option<u64> {
        let beats = self.0.load(Ordering::Relaxed);
        (beats != ENDED).then_some(beats)
    }
}

impl Drop for ThreadHeartbeat {
    fn drop(&mut self) {
        self.0.0.store(ENDED, Ordering::Relaxed);
    }
}

/// Reports progress of this thread. Call it in every loop that may take long, also in one that only waits.
pub fn beat() {
    THIS_THREAD.with(|own| {
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
            let handle = scope.spawn(|| {
                heartbeat.attach_to_thread();
                beat();
                beat();
                assert_eq!(heartbeat.beats(), Some(2));
            });
            // A scope may end before the thread-local destructors of its threads have run.
            handle.join().unwrap();
        });
        beat();
        assert_eq!(heartbeat.beats(), None);
    }
}
