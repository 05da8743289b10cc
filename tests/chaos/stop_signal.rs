//! The signal that ends a run: everything is done, a Unix signal arrived, or a thread failed or panicked.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

const STEP: Duration = Duration::from_millis(20);

/// Shared by all threads. Every wait also waits for it, so that no thread outlives the run.
#[derive(Debug)]
pub(crate) struct StopSignal {
    interrupted: Arc<AtomicBool>,
    stopped: AtomicBool,
}

/// Sets the signal on drop, also on a panic.
pub(crate) struct StopOnDrop<'a>(&'a StopSignal);

impl StopSignal {
    /// Registers handlers for SIGHUP, SIGINT and SIGTERM, which set it.
    pub(crate) fn on_signals() -> io::Result<Self> {
        let interrupted = Arc::default();
        for signal in [SIGHUP, SIGINT, SIGTERM] {
            signal_hook::flag::register(signal, Arc::clone(&interrupted))?;
        }
        Ok(Self {
            interrupted,
            stopped: AtomicBool::new(false),
        })
    }

    pub(crate) fn stop_on_drop(&self) -> StopOnDrop<'_> {
        StopOnDrop(self)
    }

    pub(crate) fn is_interrupted(&self) -> bool {
        self.interrupted.load(Ordering::Relaxed)
    }

    pub(crate) fn is_set(&self) -> bool {
        self.stopped.load(Ordering::Relaxed) || self.is_interrupted()
    }

    /// Waits for `span`, or until it is set.
    pub(crate) fn wait(&self, span: Duration) {
        self.wait_for(span, || false);
    }

    /// Waits until `holds` returns true, the time is over or the signal is set. Returns true in the first case only.
    pub(crate) fn wait_for(&self, timeout: Duration, mut holds: impl FnMut() -> bool) -> bool {
        let start = Instant::now();
        loop {
            if holds() {
                return true;
            }
            let left = timeout.saturating_sub(start.elapsed());
            if left.is_zero() || self.is_set() {
                return false;
            }
            thread::sleep(left.min(STEP));
        }
    }
}

impl StopOnDrop<'_> {
    /// The part has succeeded: does not set the signal.
    pub(crate) fn disarm(self) {
        std::mem::forget(self);
    }
}

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.stopped.store(true, Ordering::Relaxed);
    }
}
