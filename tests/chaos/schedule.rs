//! Draws the schedule of faults from a seed, so that a failure can be reproduced.

use std::fmt::{self, Display, Formatter};
use std::time::Duration;

use clap::ValueEnum;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::deployment::{BROKERS, PROCESSES, SESSION_MS};

/// No faults before this time, ms: JVMs are slow at first.
pub(crate) const WARM_UP_MS: u64 = 10_000;

/// Kinds of faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Kind {
    /// Kill a process with SIGKILL and restart it later
    Kill,
    /// Freeze a process with SIGSTOP for a while
    Freeze,
    /// Kill a broker with SIGKILL and restart it later
    BrokerKill,
    /// Shut a broker down cleanly and restart it later
    BrokerStop,
    /// Freeze a broker with SIGSTOP for a while
    BrokerFreeze,
    /// Break the connections between processes and brokers
    Cut,
    /// Break connections and refuse new ones for a while
    Refuse,
    /// Keep connections open but transfer nothing for a while
    Stall,
    /// Fill the disk of a process, and kill and restart it meanwhile
    Disk,
    /// Restart every process cleanly, one after another
    Roll,
    /// Restart some processes one after another without one of the inputs, then the same ones with it
    Reconfigure,
}

/// The target of a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Process(usize),
    Broker(usize),
    /// The connections between processes and brokers; `None` means all.
    Links {
        process: Option<usize>,
        broker: Option<usize>,
    },
    AllProcesses,
    /// The first `n` processes.
    First(usize),
}

/// A scheduled fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// Start of the fault, ms since the start of the run.
    pub(crate) at_ms: u64,
    pub(crate) kind: Kind,
    pub(crate) target: Target,
    /// Duration, ms.
    pub(crate) duration_ms: u64,
}

/// Draws the faults of a run that is `span_ms` long.
pub(crate) fn draw(seed: u64, kinds: &[Kind], span_ms: u64) -> Vec<Fault> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let (mut faults, mut remaining_kinds): (Vec<Fault>, Vec<Kind>) = (Vec::new(), Vec::new());
    let mut at_ms = WARM_UP_MS;
    loop {
        if remaining_kinds.is_empty() {
            // Every kind occurs once, in random order, before any occurs again.
            remaining_kinds = kinds.to_vec();
        }
        let kind = remaining_kinds.swap_remove(random.random_range(0..remaining_kinds.len()));
        let fault = fault(&mut random, kind, at_ms);
        let end_ms = at_ms + fault.duration_ms + recovery_ms(kind);
        if end_ms > span_ms {
            return faults;
        }
        faults.push(fault);
        // Sometimes the next fault overlaps this one, but not if there is only one kind, which is then measured
        // alone.
        at_ms = match random.random_range(0..4) {
            0 if kinds.len() > 1 => at_ms + random.random_range(100..=1_000),
            _ => end_ms + random.random_range(1_000..=4_000),
        };
    }
}

fn fault(random: &mut impl Rng, kind: Kind, at_ms: u64) -> Fault {
    let duration_ms = duration_ms(random, kind);
    let target = match kind {
        Kind::Kill | Kind::Freeze | Kind::Disk => {
            Target::Process(random.random_range(0..PROCESSES))
        }
        Kind::BrokerKill | Kind::BrokerStop | Kind::BrokerFreeze => {
            Target::Broker(random.random_range(0..BROKERS))
        }
        Kind::Cut | Kind::Refuse | Kind::Stall => links(random),
        Kind::Roll => Target::AllProcesses,
        Kind::Reconfigure => Target::First(random.random_range(1..=PROCESSES)),
    };
    Fault {
        at_ms,
        kind,
        target,
        duration_ms,
    }
}

/// In half of the cases one process is cut off from all brokers, and in a quarter one broker is unreachable for one
/// or all processes.
fn links(random: &mut impl Rng) -> Target {
    let (process, broker) = (
        random.random_range(0..PROCESSES),
        random.random_range(0..BROKERS),
    );
    let (process, broker) = match random.random_range(0..8) {
        0..4 => (Some(process), None),
        4 => (Some(process), Some(broker)),
        5 => (None, Some(broker)),
        _ => (None, None),
    };
    Target::Links { process, broker }
}

fn duration_ms(random: &mut impl Rng, kind: Kind) -> u64 {
    // Short: the group does not notice. Long: longer than the session timeout. Longest: longer than the transaction
    // timeout.
    let short = 200..=1_000;
    let long = SESSION_MS + 1_000..=SESSION_MS + 4_000;
    let longest = 11_000..=14_000;
    let range = match (kind, random.random_range(0..8)) {
        (Kind::Cut | Kind::Roll, _) => 0..=0,
        (Kind::Reconfigure, _) => 0..=5_000,
        (Kind::BrokerStop, _) => 0..=3_000,
        (Kind::BrokerKill | Kind::BrokerFreeze, _) => 500..=6_000,
        (Kind::Disk, _) => 2_000..=4_000,
        (Kind::Freeze | Kind::Stall, 7) => longest,
        (_, 0..4) => short,
        _ => long,
    };
    random.random_range(range)
}

/// Approximate recovery time after a fault has ended, ms.
fn recovery_ms(kind: Kind) -> u64 {
    match kind {
        Kind::BrokerKill | Kind::BrokerStop => 8_000,
        Kind::BrokerFreeze | Kind::Roll => 5_000,
        Kind::Reconfigure => 10_000,
        Kind::Kill | Kind::Freeze | Kind::Disk => 1_500,
        Kind::Cut | Kind::Refuse | Kind::Stall => 1_000,
    }
}

impl Kind {
    /// Its name on the command line.
    pub(crate) fn name(self) -> String {
        let value = self.to_possible_value();
        value.map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// True if it makes a broker unreachable for a process, or breaks a connection between them.
    pub(crate) fn is_between_processes_and_brokers(self) -> bool {
        self.is_of_broker() || matches!(self, Self::Cut | Self::Refuse | Self::Stall)
    }

    /// True if it takes a broker down.
    pub(crate) fn is_of_broker(self) -> bool {
        matches!(
            self,
            Self::BrokerKill | Self::BrokerStop | Self::BrokerFreeze
        )
    }
}

impl Fault {
    pub(crate) fn at(&self) -> Duration {
        Duration::from_millis(self.at_ms)
    }

    /// Kind, target and duration.
    pub(crate) fn what(&self) -> String {
        let (kind, target) = (self.kind.name(), self.target);
        match self.duration_ms {
            0 => format!("{kind:13} {target}"),
            _ => format!(
                "{kind:13} {target:22} for {:.1} s",
                self.duration().as_secs_f64()
            ),
        }
    }

    pub(crate) fn duration(&self) -> Duration {
        Duration::from_millis(self.duration_ms)
    }
}

impl Display for Fault {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{:7.1} s  {}",
            self.at().as_secs_f64(),
            self.what()
        )
    }
}

impl Display for Target {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        let process = |index: &usize| format!("process {}", index + 1);
        let broker = |index: &usize| format!("broker {}", index + 1);
        let text = match self {
            Self::Process(index) => process(index),
            Self::Broker(index) => broker(index),
            Self::AllProcesses => "all processes".to_owned(),
            Self::First(count) => format!("processes 1 to {count}"),
            Self::Links {
                process: from,
                broker: to,
            } => format!(
                "{} - {}",
                from.as_ref().map_or_else(|| "all".to_owned(), process),
                to.as_ref().map_or_else(|| "all".to_owned(), broker)
            ),
        };
        formatter.pad(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_faults() {
        let all = Kind::value_variants();
        let faults = draw(7, all, 300_000);
        assert_eq!(faults, draw(7, all, 300_000));
        assert_ne!(faults, draw(8, all, 300_000));
        assert_eq!(faults[..5], draw(7, all, 600_000)[..5]);
    }

    #[test]
    fn each_kind_comes_before_any_comes_again() {
        let all = Kind::value_variants();
        let faults = draw(1, all, 600_000);
        let mut first: Vec<Kind> = faults[..all.len()].iter().map(|fault| fault.kind).collect();
        first.sort_unstable();
        assert_eq!(first, all);
    }

    #[test]
    fn all_is_over_in_time() {
        let over = |fault: &Fault| fault.at_ms + fault.duration_ms < 60_000;
        assert!(draw(3, Kind::value_variants(), 60_000).iter().all(over));
        assert_eq!(draw(3, &[Kind::Stall], 1_000), []);
    }
}
