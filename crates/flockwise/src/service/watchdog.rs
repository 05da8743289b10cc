//! Ends the process when a worker hangs. A thread that hangs in a client call cannot be ended, and blocks everything that
//! waits for it.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use flockwise_http::{Readiness, SilentWorker, StalledWorker};
use flockwise_runtime::heartbeat::Heartbeat;
use flockwise_runtime::metrics::ProgressMetrics;
use signal_hook::low_level;

use crate::exit::Failed;

/// A worker without a heartbeat for this long hangs. It sends one in every turn of its loop, and while it waits or
/// restores. The longest gap between two is one client call, which ends after a third of this even if no broker
/// responds.
const SILENCE_LIMIT: Duration = Duration::from_secs(60);

/// `/readyz` fails once a worker has had uncommitted work for this long.
const STALL_LIMIT: Duration = Duration::from_secs(60);

/// How long `/livez` fails before the process ends, so that a probe, typically every 10 s, sees it.
const EXIT_DELAY: Duration = Duration::from_secs(10);

/// How often the heartbeats are checked.
const INTERVAL: Duration = Duration::from_secs(1);

/// Starts the watchdog thread, which runs as long as the process. `longest_call` is the longest that a client call may
/// take.
pub(crate) fn start(
    heartbeats: &[Heartbeat],
    longest_call: Duration,
    progress: &ProgressMetrics,
    readiness: &Arc<Readiness>,
) -> Result<(), Failed> {
    let mut watchdog = Watchdog::new(heartbeats, longest_call, Instant::now());
    let (progress, readiness) = (progress.clone(), Arc::clone(readiness));
    let watch = move || {
        loop {
            thread::sleep(INTERVAL);
            watchdog.check(Instant::now());
            readiness.silent(&watchdog.silent());
            readiness.stalled(stalled(&progress));
            if let Some(silence) = watchdog.hung() {
                exit(silence);
            }
        }
    };
    let thread = thread::Builder::new().name("flockwise-watchdog".to_owned());
    thread.spawn(watch).map(drop).map_err(Failed::runtime)
}

fn stalled(progress: &ProgressMetrics) -> Vec<StalledWorker> {
    let stalls = progress.stalls(STALL_LIMIT).into_iter();
    let stalled = stalls.map(|stall| StalledWorker {
        worker: stall.worker,
        lasted: stall.lasted,
        error: stall.error,
    });
    stalled.collect()
}

fn exit(silence: SilentWorker) -> ! {
    tracing::error!(
        worker = silence.worker,
        "no heartbeat for {} s: the worker hangs, most likely in its Kafka client. Exiting with code 1, so that a \
         supervisor restarts the process. Other instances take over its tasks, and uncommitted work is done again. \
         Please report this as a bug, with the log above",
        silence.lasted.as_secs()
    );
    // Without an orderly stop, which may hang as well.
    low_level::exit(1)
}

/// Measures how long each worker has been silent.
struct Watchdog {
    watched: Vec<Watched>,
    checked: Instant,
    limit: Duration,
}

struct Watched {
    heartbeat: Heartbeat,
    beats: Option<u64>,
    silent: Duration,
}

impl Watchdog {
    fn new(heartbeats: &[Heartbeat], longest_call: Duration, now: Instant) -> Self {
        let watched = heartbeats.iter().map(|heartbeat| Watched {
            heartbeat: heartbeat.clone(),
            beats: heartbeat.beats(),
            silent: Duration::ZERO,
        });
        Self {
            watched: watched.collect(),
            checked: now,
            limit: SILENCE_LIMIT.max(longest_call * 3),
        }
    }

    /// Checks all heartbeats. A late check counts at most twice its interval: if the whole process or machine was paused,
    /// no worker could send a heartbeat.
    fn check(&mut self, now: Instant) {
        let passed = now
            .saturating_duration_since(self.checked)
            .min(INTERVAL * 2);
        self.checked = now;
        for watched in &mut self.watched {
            let beats = watched.heartbeat.beats();
            // A worker that has ended sends no heartbeats. It is reported elsewhere.
            if beats.is_none() || beats != watched.beats {
                watched.silent = Duration::ZERO;
            } else {
                watched.silent += passed;
            }
            watched.beats = beats;
        }
    }

    fn silent(&self) -> Vec<SilentWorker> {
        let silences = self.watched.iter().enumerate().map(|(worker, watched)| {
            let lasted = watched.silent;
            SilentWorker { worker, lasted }
        });
        silences
            .filter(|silence| silence.lasted >= self.limit)
            .collect()
    }

    /// A worker that `/livez` has reported for long enough, so that the process must end.
    fn hung(&self) -> Option<SilentWorker> {
        let mut silent = self.silent().into_iter();
        silent.find(|silence| silence.lasted >= self.limit + EXIT_DELAY)
    }
}

#[cfg(test)]
mod tests {
    use flockwise_runtime::heartbeat::beat;

    use super::*;

    struct Watch {
        watchdog: Watchdog,
        now: Instant,
    }

    impl Watch {
        fn over(heartbeats: &[Heartbeat], longest_call: Duration) -> Self {
            let now = Instant::now();
            let watchdog = Watchdog::new(heartbeats, longest_call, now);
            Self { watchdog, now }
        }

        /// Checks this many times, at the regular interval.
        fn check(&mut self, times: u32) {
            for _ in 0..times {
                self.now += INTERVAL;
                self.watchdog.check(self.now);
            }
        }

        fn silent(&self) -> Vec<(usize, u64)> {
            let silences = self.watchdog.silent().into_iter();
            let report = |silence: SilentWorker| (silence.worker, silence.lasted.as_secs());
            silences.map(report).collect()
        }
    }

    /// Two workers. This thread is the second one.
    fn two_workers() -> [Heartbeat; 2] {
        let heartbeats = [Heartbeat::default(), Heartbeat::default()];
        heartbeats[1].attach_to_thread();
        heartbeats
    }

    #[test]
    fn who_is_silent_is_told_of_and_then_given_up() {
        let mut watch = Watch::over(&two_workers(), Duration::ZERO);
        watch.check(59);
        assert_eq!(watch.silent(), []);
        beat();
        watch.check(1);
        assert_eq!(watch.silent(), [(0, 60)]);
        watch.check(9);
        assert_eq!(watch.watchdog.hung(), None);
        watch.check(1);
        let given_up = watch.watchdog.hung().map(|silence| silence.worker);
        assert_eq!(given_up, Some(0));
    }

    #[test]
    fn a_sign_of_life_begins_it_anew_and_who_has_ended_owes_none() {
        let heartbeats = two_workers();
        let mut watch = Watch::over(&heartbeats, Duration::ZERO);
        thread::scope(|scope| {
            // Joins, since a scope does not wait for the destructors of a thread's locals.
            scope
                .spawn(|| heartbeats[0].attach_to_thread())
                .join()
                .unwrap();
        });
        watch.check(65);
        assert_eq!(watch.silent(), [(1, 65)]);
        beat();
        watch.check(60);
        assert_eq!(watch.silent(), []);
        watch.check(1);
        assert_eq!(watch.silent(), [(1, 60)]);
    }

    #[test]
    fn a_process_that_stood_still_is_given_time() {
        let mut watch = Watch::over(&two_workers(), Duration::ZERO);
        watch.check(30);
        watch.now += Duration::from_secs(3600);
        watch.check(20);
        assert_eq!(watch.silent(), []);
    }

    #[test]
    fn calls_that_may_take_longer_are_waited_for() {
        let mut watch = Watch::over(&two_workers(), Duration::from_secs(40));
        watch.check(119);
        assert_eq!(watch.silent(), []);
        watch.check(1);
        assert_eq!(watch.silent(), [(0, 120), (1, 120)]);
    }
}
