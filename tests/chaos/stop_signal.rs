//! When to end: all is over, somebody pressed Ctrl-C, or a thread has panicked.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

const STEP: Duration = Duration::from_millis(20);

/// Known to every thread. Nothing is left behind: every wait is for this too.
#[derive(Debug)]
pub(crate) struct StopSignal {
    interrupted: Arc<AtomicBool>,
    over: AtomicBool,
}

/// Sets it when dropped, also by a panic.
pub(crate) struct StopOnDrop<'a>(&'a StopSignal);

impl StopSignal {
    /// Set by signals from now on.
    pub(crate) fn on_signals() -> io::Result<Self> {
        let interrupted = Arc::default();
        for signal in [SIGHUP, SIGINT, SIGTERM] {
            signal_hook::flag::register(signal, Arc::clone(&interrupted))?;
        }
        Ok(Self {
            interrupted,
            over: AtomicBool::new(false),
        })
    }

    pub(crate) fn at_last(&self) -> StopOnDrop<'_> {
        StopOnDrop(self)
    }

    pub(crate) fn is_interrupted(&self) -> bool {
        self.interrupted.load(Ordering::Relaxed)
    }

    pub(crate) fn is_set(&self) -> bool {
        self.over.load(Ordering::Relaxed) || self.is_interrupted()
    }

    /// Waits, at most until it is set.
    pub(crate) fn wait(&self, span: Duration) {
        self.wait_for(span, || false);
    }

    /// Waits so long for something, at most until it is set; did it come to hold?
    pub(crate) fn wait_for(&self, patience: Duration, mut holds: impl FnMut() -> bool) -> bool {
        let start = Instant::now();
        loop {
            if holds() {
                return true;
            }
            let left = patience.saturating_sub(start.elapsed());
            if left.is_zero() || self.is_set() {
                return false;
            }
            thread::sleep(left.min(STEP));
        }
    }
}

impl StopOnDrop<'_> {
    /// All went well, and others go on.
    pub(crate) fn not_yet(self) {
        std::mem::forget(self);
    }
}

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.over.store(true, Ordering::Relaxed);
    }
}
