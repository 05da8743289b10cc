//! SIGTERM and SIGINT: the first stops in good order, the second at once.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use flockwise_http::Readiness;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level;

use crate::exit::Failed;

/// Supervisors that send SIGTERM send SIGKILL half a minute later, after which nothing says why.
const GRACE: Duration = Duration::from_secs(20);
const STEP: Duration = Duration::from_millis(50);

/// What the first signal stops.
pub(crate) struct Stopping {
    /// Told to, or about to be.
    pub(crate) stop: Arc<AtomicBool>,
    /// `None` while nothing works yet that would have to end in order.
    working: Arc<Mutex<Option<Arc<Readiness>>>>,
}

impl Stopping {
    /// Listens to signals from now on, in a thread of its own.
    pub(crate) fn on_signal() -> Result<Self, Failed> {
        let signals = Signals::new([SIGTERM, SIGINT]).map_err(Failed::running)?;
        let stopping = Self {
            stop: Arc::default(),
            working: Arc::default(),
        };
        let (stop, working) = (Arc::clone(&stopping.stop), Arc::clone(&stopping.working));
        thread::Builder::new()
            .name("flockwise-signals".to_owned())
            .spawn(move || obey(signals, &stop, &working))
            .map_err(Failed::running)?;
        Ok(stopping)
    }

    /// From here on there is something to be ended in order.
    pub(crate) fn working(&self, readiness: &Arc<Readiness>) {
        *lock(&self.working) = Some(Arc::clone(readiness));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn obey(mut signals: Signals, stop: &AtomicBool, working: &Mutex<Option<Arc<Readiness>>>) {
    let first = signals.forever().next();
    let name = first.and_then(low_level::signal_name);
    // Held to the end where nothing works, so that nothing begins to.
    let working = lock(working);
    let Some(readiness) = &*working else {
        tracing::info!(signal = name, "ending before anything has begun");
        low_level::exit(0);
    };
    tracing::info!(
        signal = name,
        "stopping: committing and leaving the group; one more signal ends at once"
    );
    readiness.stop();
    stop.store(true, Ordering::Relaxed);
    let since = Instant::now();
    while since.elapsed() < GRACE {
        if let Some(second) = signals.pending().next() {
            end_at_once(second);
        }
        thread::sleep(STEP);
    }
    tracing::error!(
        "this instance could not commit, leave its group and close its local state within {} s; ending all the \
         same: what is not committed will be done again. See whether the brokers answer and the disk of the \
         state directory has room",
        GRACE.as_secs()
    );
    low_level::exit(1);
}

/// As if nobody had listened, so that the parent sees a process that a signal ended.
fn end_at_once(signal: i32) {
    tracing::warn!(signal = low_level::signal_name(signal), "ending at once");
    if low_level::emulate_default_handler(signal).is_err() {
        low_level::exit(1);
    }
}
