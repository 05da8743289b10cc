//! Latency of Flockwise under pressure: the job at 70 % of the highest throughput.
//!
//! The highest throughput is the rate at which Flockwise commits while a sender stays up to a tenth of the load
//! ahead. Sender, broker, Flockwise and listener then share the machine as they do at 70 %. On a topic that was
//! filled before, Flockwise is faster than a sender on the same machine can be.
//!
//! Only some events cause a change. Each change names its event by partition and offset, which gives the time at
//! which the event was due. Latency counts from then and includes the sender's delay. So the sender measures its
//! delay, and a round in which it was too late does not count.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, Scope, ScopedJoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rdkafka::consumer::BaseConsumer;
use rdkafka::message::Message;
use serde::{Deserialize, Serialize};

use crate::bench::Bench;
use crate::cpu_time::Task;
use crate::load_lines::Lines;
use crate::load_sender::{LagFigures, LoadSender};
use crate::process_figures;
use crate::program::{Instance, Program, Start};
use crate::progress_trace::{ChangeWatcher, RUN_TIMEOUT, Trace};
use crate::schedule::{Figures, Latencies, Schedule, await_changes};
use flockwise_benches::report::{Table, cell, write};

/// Share of the highest throughput.
const SHARE: f64 = 0.7;

/// Maximum delay of the sender, 99th percentile: a tenth of the target latency. With a larger delay the sender is
/// measured, not Flockwise.
const LATEST_MS: f64 = 25.0;

#[derive(Serialize)]
struct Round {
    rate: f64,
    load: f64,
    figures: Figures,
    lag: LagFigures,
    cores: Cores,
}

/// CPU time per second of a round, in cores.
#[derive(Clone, Copy, Debug, Serialize)]
struct Cores {
    flockwise: f64,
    broker: Option<f64>,
    sender_and_listener: f64,
}

#[derive(Deserialize)]
struct Change {
    trigger: Trigger,
}

#[derive(Deserialize)]
struct Trigger {
    partition: usize,
    offset: usize,
}

/// Everything that is sent, and the event numbers by partition and offset.
struct Pressure<'a> {
    bench: &'a Bench,
    task: &'a Task,
    lines: Lines,
    numbers: Vec<Vec<u64>>,
}

/// Measures several rounds. Measures the highest throughput first, unless a rate is given.
pub(crate) fn measure(bench: &Bench) -> Result<()> {
    if bench.among(&[Program::Flockwise]).is_empty() {
        return Ok(());
    }
    let task = Task::new(bench, bench.settings.events)?;
    let lines = Lines::load(&task.load)?;
    let pressure = Pressure {
        bench,
        task: &task,
        numbers: lines.by_offset(),
        lines,
    };
    let rate = match bench.settings.rate {
        Some(rate) => rate,
        // Twice, since the first run is on a broker that has just started.
        None => SHARE * pressure.highest(1)?.max(pressure.highest(2)?),
    };
    let mut rounds = Vec::new();
    for number in 1..=bench.settings.rounds {
        rounds.push(printed(pressure.round(rate, number)?));
        write("pressure", &rounds)?;
    }
    table(&rounds).publish(bench.settings.print)
}

impl Pressure<'_> {
    /// The highest throughput, events per second.
    fn highest(&self, run: usize) -> Result<f64> {
        let app = self.bench.app(Program::Flockwise, "highest", run);
        let topic = format!("{app}-events");
        let (mut instance, listener) = self.start(&app, &topic)?;
        let watch = ChangeWatcher::new(&self.bench.kafka, &app, &topic)?;
        let (all, committed) = (self.lines.len(), AtomicU64::new(0));
        let (ahead, changes) = (all / 10, self.task.changes);
        let lines_sender = LoadSender::new(&self.bench.kafka, &topic, &self.lines)?;
        let trace = thread::scope(|scope| {
            let sender = named(scope, "sender", || {
                lines_sender.send_ahead(ahead, &committed)
            })?;
            let listener = named(scope, "listener", || drain(&listener, changes))?;
            let tell = |events| committed.store(events, Ordering::Relaxed);
            let trace = Trace::follow_with(&mut instance, &watch, all, tell);
            // Lets the sender end, also after a failure.
            tell(all);
            joined(sender)?;
            joined(listener)?;
            trace
        })?;
        instance.process.stop()?;
        self.bench.kafka.delete_topics(&app)?;
        // Without the start, and without the end, when the sender has finished.
        let highest = trace.rate_between(all / 3, all - ahead)?;
        eprintln!("highest throughput beside a sender: {highest:.0} events a second");
        Ok(highest)
    }

    fn round(&self, rate: f64, round: usize) -> Result<Round> {
        let app = self.bench.app(Program::Flockwise, "pressure", round);
        let topic = format!("{app}-events");
        let (instance, listener) = self.start(&app, &topic)?;
        let lines_sender = LoadSender::new(&self.bench.kafka, &topic, &self.lines)?;

        let (load, before) = (process_figures::load(), self.cpu_seconds(&instance)?);
        let schedule = Schedule::new(rate, self.lines.len() / 3, self.lines.len());
        let (latencies, lag) = thread::scope(|scope| {
            let sender = named(scope, "sender", || lines_sender.send_on_schedule(schedule))?;
            let latencies = self.listen(&listener, schedule);
            let lag = joined(sender)?;
            anyhow::Ok((latencies?, lag))
        })?;
        let cores = (self.cpu_seconds(&instance)? - before) / schedule.elapsed();
        instance.process.stop()?;
        self.bench.kafka.delete_topics(&app)?;
        Ok(Round {
            rate,
            load,
            figures: latencies.figures(),
            lag: lag.figures(),
            cores,
        })
    }

    /// Starts Flockwise on an empty topic, and a consumer of its changes.
    fn start(&self, app: &str, topic: &str) -> Result<(Instance, BaseConsumer)> {
        let kafka = &self.bench.kafka;
        kafka.make_topic(topic)?;
        let start = Start::new(app, topic);
        let mut instance = Program::Flockwise.start(self.bench, &start)?;
        let listener = kafka.listener(&start.changes())?;
        thread::sleep(Duration::from_secs(1));
        instance.process.check_alive()?;
        Ok((instance, listener))
    }

    fn cpu_seconds(&self, instance: &Instance) -> Result<Cores> {
        Ok(Cores {
            flockwise: process_figures::cpu_seconds(instance.process.id())?,
            broker: self.bench.kafka.cpu_seconds(),
            sender_and_listener: process_figures::cpu_seconds(std::process::id())?,
        })
    }

    /// Reads all changes and records their latencies.
    fn listen(&self, listener: &BaseConsumer, schedule: Schedule) -> Result<Latencies> {
        Latencies::listen(schedule, listener, self.task.changes, |change| {
            let value = change.payload().context("a change without a value")?;
            let Change { trigger } = serde_json::from_slice(value)?;
            let numbers = self.numbers.get(trigger.partition);
            let number = numbers.and_then(|all| all.get(trigger.offset));
            number
                .copied()
                .context("a change whose trigger is not an event of the load")
        })
    }
}

/// Reads all changes without measuring, so that the load on the machine is the same as in a round.
fn drain(listener: &BaseConsumer, changes: u64) -> Result<()> {
    await_changes(listener, changes, Instant::now() + RUN_TIMEOUT, |_| Ok(()))
}

impl Round {
    fn is_on_time(&self) -> bool {
        self.lag.sent_p99_ms <= LATEST_MS
    }
}

impl std::ops::Sub for Cores {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self {
            flockwise: self.flockwise - before.flockwise,
            broker: self.broker.zip(before.broker).map(|(now, then)| now - then),
            sender_and_listener: self.sender_and_listener - before.sender_and_listener,
        }
    }
}

impl std::ops::Div<f64> for Cores {
    type Output = Self;

    fn div(self, seconds: f64) -> Self {
        Self {
            flockwise: self.flockwise / seconds,
            broker: self.broker.map(|cpu| cpu / seconds),
            sender_and_listener: self.sender_and_listener / seconds,
        }
    }
}

fn named<'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    name: &str,
    work: impl FnOnce() -> Result<T> + Send + 'scope,
) -> Result<ScopedJoinHandle<'scope, Result<T>>> {
    let thread = thread::Builder::new().name(name.to_owned());
    Ok(thread.spawn_scoped(scope, work)?)
}

fn joined<T>(thread: ScopedJoinHandle<'_, Result<T>>) -> Result<T> {
    thread.join().expect("neither sender nor listener panics")
}

fn printed(round: Round) -> Round {
    let Round { rate, load, .. } = round;
    let (Figures { p50_ms, p99_ms, .. }, lag, cores) = (round.figures, round.lag, round.cores);
    let note = if round.is_on_time() {
        ""
    } else {
        "; not counted, since the sender was late"
    };
    eprintln!(
        "{rate:.0} events a second: p50 {p50_ms:.1}, p99 {p99_ms:.1} ms, {lag:?}, {cores:?}, load {load}{note}"
    );
    round
}

fn table(rounds: &[Round]) -> Table {
    let head = [
        "thousand events a second",
        "p50 ms",
        "p99 ms",
        "p99.9 ms",
        "max ms",
        "sent late, p99 ms",
        "stored late, p99 ms",
        "cores: Flockwise",
        "broker",
        "sender, listener",
        "rounds that count",
        "load",
    ];
    let counted: Vec<&Round> = rounds.iter().filter(|round| round.is_on_time()).collect();
    let all: Vec<&Round> = rounds.iter().collect();
    let mut table = Table::new("pressure", &head);
    table.row(&[
        cell(&all, 0, |round| Some(round.rate / 1e3)),
        cell(&counted, 0, |round| Some(round.figures.p50_ms)),
        cell(&counted, 0, |round| Some(round.figures.p99_ms)),
        cell(&counted, 0, |round| Some(round.figures.p999_ms)),
        cell(&counted, 0, |round| Some(round.figures.max_ms)),
        cell(&all, 1, |round| Some(round.lag.sent_p99_ms)),
        cell(&all, 1, |round| Some(round.lag.stored_p99_ms)),
        cell(&counted, 2, |round| Some(round.cores.flockwise)),
        cell(&counted, 2, |round| round.cores.broker),
        cell(&counted, 2, |round| Some(round.cores.sender_and_listener)),
        format!("{} of {}", counted.len(), all.len()),
        cell(&all, 1, |round| Some(round.load)),
    ]);
    table
}
