//! Wakes a waiting worker.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Remembers a wake-up, so that one before the wait is not lost. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wakeup(Arc<(Mutex<bool>, Condvar)>);

impl Wakeup {
    /// Wakes the thread that waits, or the next one that will.
    pub(crate) fn wake(&self) {
        let (woken, changed) = &*self.0;
        *woken.lock().unwrap_or_else(PoisonError::into_inner) = true;
        changed.notify_one();
    }

    /// Waits for a wake-up, for `timeout` at most.
    pub(crate) fn wait(&self, timeout: Duration) {
        let (woken, changed) = &*self.0;
        let guard = woken.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut guard, _) = changed
            .wait_timeout_while(guard, timeout, |woken| !*woken)
            .unwrap_or_else(PoisonError::into_inner);
        *guard = false;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn ringing_before_waiting_is_not_lost_and_counts_once() {
        let wakeup = Wakeup::default();
        wakeup.wake();
        wakeup.wake();
        let start = Instant::now();
        wakeup.wait(Duration::from_secs(5));
        assert!(start.elapsed() < Duration::from_secs(1));
        wakeup.wait(Duration::from_millis(20));
        assert!(start.elapsed() >= Duration::from_millis(20));
    }
}
