//! Watches over the workers' threads. One that hangs within a client cannot be ended, and holds up whoever waits for it: only the
//! end of the process helps.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use flockwise_http::{Readiness, SilentWorker, StalledWorker};
use flockwise_runtime::heartbeat::Heartbeat;
use flockwise_runtime::metrics::Progress;
use signal_hook::low_level;

use crate::exit::Failed;

/// Whoever shows no sign of life for so long hangs: a worker gives one at every turn and while it waits or restores, and what
/// lies between two, a call into a client at the longest, ends after a third of this where no broker answers.
const SILENCE: Duration = Duration::from_secs(60);

/// `/readyz` fails once a worker has had something to commit for so long, and no commit has succeeded.
const COMMITLESS: Duration = Duration::from_secs(60);

/// How long `/livez` tells of it before the process ends: probes ask every 10 s or so.
const TOLD: Duration = Duration::from_secs(10);

/// How often it is looked.
const LOOK: Duration = Duration::from_secs(1);

/// Starts watching, on a thread of its own, for as long as the process runs.
pub(crate) fn keep(
    pulses: &[Heartbeat],
    longest_call: Duration,
    progress: &Progress,
    readiness: &Arc<Readiness>,
) -> Result<(), Failed> {
    let mut vigil = Vigil::begin(pulses, longest_call, Instant::now());
    let (progress, readiness) = (progress.clone(), Arc::clone(readiness));
    let watch = move || {
        loop {
            thread::sleep(LOOK);
            vigil.look(Instant::now());
            readiness.silent(&vigil.silent());
            readiness.stalled(stalled(&progress));
            if let Some(silence) = vigil.hopeless() {
                end(silence);
            }
        }
    };
    let thread = thread::Builder::new().name("flockwise-vigil".to_owned());
    thread.spawn(watch).map(drop).map_err(Failed::running)
}

fn stalled(progress: &Progress) -> Vec<StalledWorker> {
    let stalls = progress.stalls(COMMITLESS).into_iter();
    let stalled = stalls.map(|stall| StalledWorker {
        worker: stall.worker,
        lasted: stall.lasted,
        error: stall.error,
    });
    stalled.collect()
}

fn end(silence: SilentWorker) -> ! {
    tracing::error!(
        worker = silence.worker,
        "no sign of life for {} s: the worker hangs, most likely within its Kafka client. The process ends with code 1, to be \
         started again by its supervisor; others take its tasks over, and what is not committed is done again. \
         Please report it with the log above",
        silence.lasted.as_secs()
    );
    // At once: what would be done in order may hang as well.
    low_level::exit(1)
}

/// How long each worker has been silent.
struct Vigil {
    watched: Vec<Watched>,
    looked: Instant,
    limit: Duration,
}

struct Watched {
    heartbeat: Heartbeat,
    beats: Option<u64>,
    silent: Duration,
}

impl Vigil {
    fn begin(pulses: &[Heartbeat], longest_call: Duration, now: Instant) -> Self {
        let watched = pulses.iter().map(|heartbeat| Watched {
            heartbeat: heartbeat.clone(),
            beats: heartbeat.beats(),
            silent: Duration::ZERO,
        });
        Self {
            watched: watched.collect(),
            looked: now,
            limit: SILENCE.max(longest_call * 3),
        }
    }

    /// Looks at everybody. A look that comes late counts as one in time: if the whole process stood still, or the machine
    /// did, nobody could show anything.
    fn look(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.looked).min(LOOK * 2);
        self.looked = now;
        for watched in &mut self.watched {
            let beats = watched.heartbeat.beats();
            // Who has ended owes no sign, and is told of elsewhere.
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

    /// Somebody whom `/livez` has told of for long enough.
    fn hopeless(&self) -> Option<SilentWorker> {
        let mut silent = self.silent().into_iter();
        silent.find(|silence| silence.lasted >= self.limit + TOLD)
    }
}

#[cfg(test)]
mod tests {
    use flockwise_runtime::heartbeat::beat;

    use super::*;

    struct Watch {
        vigil: Vigil,
        now: Instant,
    }

    impl Watch {
        fn over(pulses: &[Heartbeat], longest_call: Duration) -> Self {
            let now = Instant::now();
            let vigil = Vigil::begin(pulses, longest_call, now);
            Self { vigil, now }
        }

        /// Looks as often as that.
        fn look(&mut self, times: u32) {
            for _ in 0..times {
                self.now += LOOK;
                self.vigil.look(self.now);
            }
        }

        fn silent(&self) -> Vec<(usize, u64)> {
            let silences = self.vigil.silent().into_iter();
            let told = |silence: SilentWorker| (silence.worker, silence.lasted.as_secs());
            silences.map(told).collect()
        }
    }

    /// Two workers, of which this thread is the second.
    fn shards() -> [Heartbeat; 2] {
        let pulses = [Heartbeat::default(), Heartbeat::default()];
        pulses[1].attach_to_thread();
        pulses
    }

    #[test]
    fn who_is_silent_is_told_of_and_then_given_up() {
        let mut watch = Watch::over(&shards(), Duration::ZERO);
        watch.look(59);
        assert_eq!(watch.silent(), []);
        beat();
        watch.look(1);
        assert_eq!(watch.silent(), [(0, 60)]);
        watch.look(9);
        assert_eq!(watch.vigil.hopeless(), None);
        watch.look(1);
        let given_up = watch.vigil.hopeless().map(|silence| silence.worker);
        assert_eq!(given_up, Some(0));
    }

    #[test]
    fn a_sign_of_life_begins_it_anew_and_who_has_ended_owes_none() {
        let pulses = shards();
        let mut watch = Watch::over(&pulses, Duration::ZERO);
        thread::scope(|scope| {
            // A scope does not wait for the very end of a thread.
            scope.spawn(|| pulses[0].attach_to_thread()).join().unwrap();
        });
        watch.look(65);
        assert_eq!(watch.silent(), [(1, 65)]);
        beat();
        watch.look(60);
        assert_eq!(watch.silent(), []);
        watch.look(1);
        assert_eq!(watch.silent(), [(1, 60)]);
    }

    #[test]
    fn a_process_that_stood_still_is_given_time() {
        let mut watch = Watch::over(&shards(), Duration::ZERO);
        watch.look(30);
        watch.now += Duration::from_secs(3600);
        watch.look(20);
        assert_eq!(watch.silent(), []);
    }

    #[test]
    fn calls_that_may_take_longer_are_waited_for() {
        let mut watch = Watch::over(&shards(), Duration::from_secs(40));
        watch.look(119);
        assert_eq!(watch.silent(), []);
        watch.look(1);
        assert_eq!(watch.silent(), [(0, 120), (1, 120)]);
    }
}
