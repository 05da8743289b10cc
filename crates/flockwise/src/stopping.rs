//! SIGTERM and SIGINT: the first stops in good order, the second at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
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

/// Sets `stop` at the first signal, from a thread of its own.
pub(crate) fn stop_on_signal(
    stop: &Arc<AtomicBool>,
    readiness: &Arc<Readiness>,
) -> Result<(), Failed> {
    let signals = Signals::new([SIGTERM, SIGINT]).map_err(Failed::running)?;
    let (stop, readiness) = (Arc::clone(stop), Arc::clone(readiness));
    thread::Builder::new()
        .name("flockwise-signals".to_owned())
        .spawn(move || obey(signals, &stop, &readiness))
        .map_err(Failed::running)?;
    Ok(())
}

fn obey(mut signals: Signals, stop: &AtomicBool, readiness: &Readiness) {
    let first = signals.forever().next();
    tracing::info!(
        signal = first.and_then(low_level::signal_name),
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
        "the brokers did not let go of this instance within {} s; ending all the same: what is not \
         committed will be done again",
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
