//! The report of a run, as text and as JSON.

use std::fmt::{self, Display, Formatter};
use std::time::Duration;

use serde_json::{Value, json};

use crate::event_log::Stall;
use crate::faults::{FaultHistory, RECOVERY};
use crate::schedule::Kind;

/// Number of stalls that the text lists.
const MAX_STALLS: usize = 8;
/// Number of failures that the text lists; the JSON has all.
const MAX_FAILURES: usize = 20;

pub(crate) struct Report {
    pub(crate) seed: u64,
    pub(crate) standbys: u32,
    pub(crate) rate: u32,
    /// Load average of the last minute; `None` if unknown.
    pub(crate) load: Option<f64>,
    pub(crate) events: u64,
    /// Further events, which the producer stored twice.
    pub(crate) repeated: u64,
    pub(crate) changes: usize,
    pub(crate) history: Vec<FaultHistory>,
    pub(crate) stalls: Vec<Stall>,
    /// Latencies from send to commit, shortest first.
    pub(crate) latencies: Vec<Duration>,
    /// Number of processes that could not commit on SIGTERM because a broker was unreachable.
    pub(crate) uncommitted: usize,
    pub(crate) failures: Vec<String>,
}

impl Report {
    /// The longest stall for which `counts` is true.
    fn longest(&self, counts: impl Fn(&Stall) -> bool) -> Option<&Stall> {
        let stalls = self.stalls.iter().filter(|stall| counts(stall));
        stalls.max_by_key(|stall| stall.length())
    }

    fn causes(&self, stall: &Stall) -> impl Iterator<Item = &FaultHistory> {
        let stall = stall.clone();
        self.history
            .iter()
            .filter(move |history| history.overlaps(stall.from, stall.to))
    }

    /// The longest stall during a fault of this kind, and the longest during faults of this kind only.
    fn by_kind(&self, kind: Kind) -> [Option<&Stall>; 2] {
        let any = |stall: &Stall| self.causes(stall).any(|history| history.fault.kind == kind);
        let alone = |stall: &Stall| {
            any(stall) && self.causes(stall).all(|history| history.fault.kind == kind)
        };
        [self.longest(any), self.longest(alone)]
    }

    fn is_of_broker(&self, stall: &Stall) -> bool {
        self.causes(stall)
            .any(|history| history.fault.kind.is_of_broker())
    }

    fn kinds(&self) -> Vec<Kind> {
        let mut kinds: Vec<Kind> = self
            .history
            .iter()
            .map(|history| history.fault.kind)
            .collect();
        kinds.sort_unstable();
        kinds.dedup();
        kinds
    }

    /// The latency that this share of the events did not exceed.
    fn quantile(&self, share: f64) -> Duration {
        let last = self.latencies.len().saturating_sub(1);
        let index = (last as f64 * share) as usize;
        self.latencies.get(index).copied().unwrap_or_default()
    }

    fn worst(&self) -> Vec<&Stall> {
        let mut worst: Vec<&Stall> = self.stalls.iter().collect();
        worst.sort_by_key(|stall| std::cmp::Reverse(stall.length()));
        worst
    }

    fn causes_text(&self, stall: &Stall) -> String {
        let causes = self.causes(stall).map(|history| {
            let (kind, target) = (history.fault.kind.name(), history.fault.target);
            format!("{kind} of {target} at {:.1} s", history.from.as_secs_f64())
        });
        let causes: Vec<String> = causes.collect();
        match causes.is_empty() {
            true => "no fault".to_owned(),
            false => causes.join(", "),
        }
    }

    pub(crate) fn json(&self) -> Value {
        let history = self.history.iter().map(|history| {
            json!({
                "kind": history.fault.kind.name(),
                "victim": history.fault.target.to_string(),
                "due_s": history.fault.at().as_secs_f64(),
                "held_s": history.fault.duration().as_secs_f64(),
                "from_s": history.from.as_secs_f64(),
                "to_s": history.to.as_secs_f64(),
            })
        });
        let stalls = self.worst().into_iter().map(|stall| {
            json!({
                "partition": stall.partition,
                "from_s": stall.from.as_secs_f64(),
                "seconds": stall.length().as_secs_f64(),
                "causes": self.causes_text(stall),
            })
        });
        let kinds = self.kinds().into_iter().map(|kind| {
            let count = self
                .history
                .iter()
                .filter(|history| history.fault.kind == kind);
            let [any, alone] = self.by_kind(kind).map(seconds);
            let entry = json!({
                "count": count.count(), "longest_stall_s": any, "longest_stall_alone_s": alone,
            });
            (kind.name(), entry)
        });
        json!({
            "seed": self.seed,
            "standbys": self.standbys,
            "rate": self.rate,
            "load": self.load,
            "events": self.events,
            "repeated": self.repeated,
            "changes": self.changes,
            "ended_uncommitted": self.uncommitted,
            "kinds": kinds.collect::<serde_json::Map<_, _>>(),
            "longest_stall_s": {
                "with_a_broker_away": seconds(self.longest(|stall| self.is_of_broker(stall))),
                "otherwise": seconds(self.longest(|stall| !self.is_of_broker(stall))),
            },
            "latency_s": {
                "p50": self.quantile(0.5).as_secs_f64(),
                "p99": self.quantile(0.99).as_secs_f64(),
                "max": self.quantile(1.0).as_secs_f64(),
            },
            "faults": history.collect::<Vec<_>>(),
            "stalls": stalls.collect::<Vec<_>>(),
            "failures": self.failures,
        })
    }

    fn write_kinds(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        writeln!(
            formatter,
            "{:14} {:>5}  {:>13}  {:>13}",
            "fault", "count", "longest stall", "with it alone"
        )?;
        for kind in self.kinds() {
            let count = self
                .history
                .iter()
                .filter(|history| history.fault.kind == kind);
            let [any, alone] = self.by_kind(kind).map(shown);
            let (name, count) = (kind.name(), count.count());
            writeln!(formatter, "{name:14} {count:>5}  {any:>13}  {alone:>13}")?;
        }
        Ok(())
    }

    fn write_stalls(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        let with = shown(self.longest(|stall| self.is_of_broker(stall)));
        let without = shown(self.longest(|stall| !self.is_of_broker(stall)));
        writeln!(
            formatter,
            "\nlongest stall: {with} with a broker away or back for less than {RECOVERY:?}, {without} otherwise"
        )?;
        for stall in self.worst().into_iter().take(MAX_STALLS) {
            let (partition, from) = (&stall.partition, stall.from.as_secs_f64());
            let (length, causes) = (shown(Some(stall)), self.causes_text(stall));
            writeln!(
                formatter,
                "  {length:>8}  {partition:15} from {from:.1} s: {causes}"
            )?;
        }
        Ok(())
    }
}

impl Display for Report {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        let Self {
            seed,
            standbys,
            rate,
            events,
            changes,
            ..
        } = self;
        let count = self.history.len();
        writeln!(
            formatter,
            "\n{count} faults from seed {seed}, standbys {standbys}, {events} events at {rate} per second, {changes} changes\n"
        )?;
        self.write_kinds(formatter)?;
        self.write_stalls(formatter)?;
        let [half, most, all] = [0.5, 0.99, 1.0].map(|share| self.quantile(share).as_secs_f64());
        writeln!(
            formatter,
            "\nlatency from event to committed effect: p50 {half:.3} s, p99 {most:.2} s, max {all:.2} s"
        )?;
        if let Some(load) = self.load {
            writeln!(
                formatter,
                "load of the machine in the last minute: {load:.1}"
            )?;
        }
        if self.repeated > 0 {
            let repeated = self.repeated;
            writeln!(
                formatter,
                "{repeated} events were stored twice by the producer"
            )?;
        }
        if self.uncommitted > 0 {
            let uncommitted = self.uncommitted;
            writeln!(
                formatter,
                "{uncommitted} processes ended without a last commit and said so: a broker was unreachable"
            )?;
        }
        writeln!(formatter)?;
        for failure in self.failures.iter().take(MAX_FAILURES) {
            writeln!(formatter, "WRONG  {failure}")?;
        }
        match self.failures.is_empty() {
            true => write!(
                formatter,
                "nothing lost, nothing doubled: the same as the replay"
            ),
            false => write!(formatter, "{} failures", self.failures.len()),
        }
    }
}

fn seconds(stall: Option<&Stall>) -> f64 {
    stall.map_or(0.0, |stall| stall.length().as_secs_f64())
}

/// The length of a stall. Stalls shorter than 0.25 s are not recorded.
fn shown(stall: Option<&Stall>) -> String {
    match stall {
        Some(stall) => format!("{:.2} s", stall.length().as_secs_f64()),
        None => "< 0.25 s".to_owned(),
    }
}
