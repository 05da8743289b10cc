//! Which faults come when: drawn from a seed, so that what went wrong once can be had again.

use std::fmt::{self, Display, Formatter};
use std::time::Duration;

use clap::ValueEnum;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::deployment::{BROKERS, PROCESSES, SESSION_MS};

/// Nothing happens before: JVMs are slow at first, and the processes are to be seen at work.
pub(crate) const WARM_UP_MS: u64 = 10_000;

/// What can go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Kind {
    /// kill -9 of a process, started again later
    Kill,
    /// A process stands still
    Freeze,
    /// kill -9 of a broker, started again later
    BrokerKill,
    /// A broker is shut down in good order, and started again later
    BrokerStop,
    /// A broker stands still
    BrokerFreeze,
    /// Connections between processes and brokers break
    Cut,
    /// They break, and new ones are refused for a while
    Refuse,
    /// They stay, and nothing comes through for a while
    Stall,
    /// The disk of a process is full, and it is killed and started again meanwhile
    Disk,
    /// Every process is shut down in good order and started again, one after the other
    Roll,
    /// Some processes, one after the other, are started again without one of the inputs, and then all of these with it
    Reconfigure,
}

/// Whom it hits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Victim {
    Process(usize),
    Broker(usize),
    /// What lies between; `None` is all of them.
    Links {
        process: Option<usize>,
        broker: Option<usize>,
    },
    Everybody,
    /// The first processes, this many.
    First(usize),
}

/// Something that goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// Since the start.
    pub(crate) at_ms: u64,
    pub(crate) kind: Kind,
    pub(crate) victim: Victim,
    /// For how long it is so.
    pub(crate) hold_ms: u64,
}

/// The faults of so many milliseconds.
pub(crate) fn draw(seed: u64, kinds: &[Kind], span_ms: u64) -> Vec<Fault> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let (mut faults, mut bag): (Vec<Fault>, Vec<Kind>) = (Vec::new(), Vec::new());
    let mut at_ms = WARM_UP_MS;
    loop {
        if bag.is_empty() {
            // Each comes before any comes again, in an order that is drawn.
            bag = kinds.to_vec();
        }
        let kind = bag.swap_remove(random.random_range(0..bag.len()));
        let fault = fault(&mut random, kind, at_ms);
        let end_ms = at_ms + fault.hold_ms + recovery_ms(kind);
        if end_ms > span_ms {
            return faults;
        }
        faults.push(fault);
        // Now and then the next one does not wait for this one; alone a kind shows what it does alone.
        at_ms = match random.random_range(0..4) {
            0 if kinds.len() > 1 => at_ms + random.random_range(100..=1_000),
            _ => end_ms + random.random_range(1_000..=4_000),
        };
    }
}

fn fault(random: &mut impl Rng, kind: Kind, at_ms: u64) -> Fault {
    let hold_ms = hold_ms(random, kind);
    let victim = match kind {
        Kind::Kill | Kind::Freeze | Kind::Disk => {
            Victim::Process(random.random_range(0..PROCESSES))
        }
        Kind::BrokerKill | Kind::BrokerStop | Kind::BrokerFreeze => {
            Victim::Broker(random.random_range(0..BROKERS))
        }
        Kind::Cut | Kind::Refuse | Kind::Stall => links(random),
        Kind::Roll => Victim::Everybody,
        Kind::Reconfigure => Victim::First(random.random_range(1..=PROCESSES)),
    };
    Fault {
        at_ms,
        kind,
        victim,
        hold_ms,
    }
}

/// Half of the time one process is alone, and a quarter of the time one broker is out of reach.
fn links(random: &mut impl Rng) -> Victim {
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
    Victim::Links { process, broker }
}

fn hold_ms(random: &mut impl Rng, kind: Kind) -> u64 {
    // What the group does not notice, what it acts on, and what outlives a transaction.
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

/// About how long it takes until all is well again, beside the time that it is held.
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
    /// As it is given on the command line.
    pub(crate) fn name(self) -> String {
        let value = self.to_possible_value();
        value.map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// Is a broker out of reach of a process while it lasts, or was its connection broken?
    pub(crate) fn is_between_processes_and_brokers(self) -> bool {
        self.is_of_broker() || matches!(self, Self::Cut | Self::Refuse | Self::Stall)
    }

    /// Is a broker away while it lasts?
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

    /// Without when.
    pub(crate) fn what(&self) -> String {
        let (kind, victim) = (self.kind.name(), self.victim);
        match self.hold_ms {
            0 => format!("{kind:13} {victim}"),
            _ => format!(
                "{kind:13} {victim:22} for {:.1} s",
                self.hold().as_secs_f64()
            ),
        }
    }

    pub(crate) fn hold(&self) -> Duration {
        Duration::from_millis(self.hold_ms)
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

impl Display for Victim {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        let process = |index: &usize| format!("process {}", index + 1);
        let broker = |index: &usize| format!("broker {}", index + 1);
        let text = match self {
            Self::Process(index) => process(index),
            Self::Broker(index) => broker(index),
            Self::Everybody => "all processes".to_owned(),
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
        let over = |fault: &Fault| fault.at_ms + fault.hold_ms < 60_000;
        assert!(draw(3, Kind::value_variants(), 60_000).iter().all(over));
        assert_eq!(draw(3, &[Kind::Stall], 1_000), []);
    }
}
