//! Handles SIGTERM and SIGINT: the first signal stops the workers in good order, the second ends the process at once.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use flockwise_http::Readiness;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level;

use crate::exit::Failed;

/// How long an orderly stop may take. Supervisors usually send SIGKILL 30 s after SIGTERM, and then no log says why.
const STOP_TIMEOUT: Duration = Duration::from_secs(20);
const STEP: Duration = Duration::from_millis(50);

/// What the first signal stops, shared with the signal thread.
pub(crate) struct Shutdown {
    /// Set by the first signal. The workers stop when it is set.
    pub(crate) stop: Arc<AtomicBool>,
    /// `None` until there is work to stop in order. Until then a signal ends the process at once.
    readiness: Arc<Mutex<Option<Arc<Readiness>>>>,
}

impl Shutdown {
    /// Handles signals from now on, on a separate thread.
    pub(crate) fn on_signal() -> Result<Self, Failed> {
        let signals = Signals::new([SIGTERM, SIGINT]).map_err(Failed::runtime)?;
        let shutdown = Self {
            stop: Arc::default(),
            readiness: Arc::default(),
        };
        let (stop, current) = (Arc::clone(&shutdown.stop), Arc::clone(&shutdown.readiness));
        thread::Builder::new()
            .name("flockwise-signals".to_owned())
            .spawn(move || handle(signals, &stop, &current))
            .map_err(Failed::runtime)?;
        Ok(shutdown)
    }

    /// From now on, a signal stops the workers in order and sets `readiness` to stopping.
    pub(crate) fn started(&self, readiness: &Arc<Readiness>) {
        *lock(&self.readiness) = Some(Arc::clone(readiness));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn handle(mut signals: Signals, stop: &AtomicBool, current: &Mutex<Option<Arc<Readiness>>>) {
    let first = signals.forever().next();
    let name = first.and_then(low_level::signal_name);
    // The lock is held until the process ends, so that no work can start meanwhile.
    let current = lock(current);
    let Some(readiness) = &*current else {
        tracing::info!(signal = name, "exiting: no work had started");
        low_level::exit(0);
    };
    tracing::info!(
        signal = name,
        "stopping: committing and leaving the group; a second signal exits at once"
    );
    readiness.stop();
    stop.store(true, Ordering::Relaxed);
    let since = Instant::now();
    while since.elapsed() < STOP_TIMEOUT {
        if let Some(second) = signals.pending().next() {
            exit_by_signal(second);
        }
        thread::sleep(STEP);
    }
    tracing::error!(
        "could not commit, leave the group and close the checkpoints within {} s; exiting. Uncommitted work will be \
         done again. Check that the brokers respond and that the disk of the state directory has space",
        STOP_TIMEOUT.as_secs()
    );
    low_level::exit(1);
}

/// Ends the process by the signal's default action, so that the parent sees which signal ended it.
fn exit_by_signal(signal: i32) {
    tracing::warn!(
        signal = low_level::signal_name(signal),
        "second signal: exiting at once, without a commit"
    );
    if low_level::emulate_default_handler(signal).is_err() {
        low_level::exit(1);
    }
}
