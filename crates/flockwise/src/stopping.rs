//! SIGTERM and SIGINT: the first stops in good order, the second at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use flockwise_http::Readiness;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level;

use crate::exit::Failed;

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
    let mut is_second = false;
    for signal in &mut signals {
        let name = low_level::signal_name(signal);
        if is_second {
            tracing::warn!(signal = name, "ending at once");
            // As if nobody had listened, so that the parent sees a process ended by a signal.
            if low_level::emulate_default_handler(signal).is_err() {
                std::process::exit(1);
            }
        }
        is_second = true;
        tracing::info!(
            signal = name,
            "stopping: committing and leaving the group; once more ends at once"
        );
        readiness.stop();
        stop.store(true, Ordering::Relaxed);
    }
}
