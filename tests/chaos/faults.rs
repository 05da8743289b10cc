//! Injects each kind of fault and ends it.

use std::time::Duration;

use anyhow::Result;
use xtask::kafka::Signal;

use crate::clock::Clock;
use crate::deployment::{BROKERS, Deployment, PROCESSES};
use crate::instance::{Inputs, Stopped};
use crate::proxy::{Mode, Proxy};
use crate::schedule::{Fault, Kind, Target};
use crate::stop_signal::StopSignal;

/// How long a fault still has effects after its end: members rejoin and leaders move back.
pub(crate) const RECOVERY: Duration = Duration::from_secs(3);

/// A fault that was injected.
#[derive(Clone, Debug)]
pub(crate) struct FaultHistory {
    pub(crate) fault: Fault,
    /// Start of the fault. Later than scheduled if another fault held its target.
    pub(crate) from: Duration,
    /// End of the fault. Processing may still be catching up.
    pub(crate) to: Duration,
    /// Failures during the fault.
    pub(crate) failures: Vec<String>,
    /// Processes that ended without a last commit.
    pub(crate) uncommitted: Vec<Uncommitted>,
}

/// A process that could not commit after SIGTERM, and its last log lines.
#[derive(Clone, Debug)]
pub(crate) struct Uncommitted {
    from: Duration,
    to: Duration,
    pub(crate) text: String,
}

impl FaultHistory {
    /// True if it had effects at some time in this span.
    pub(crate) fn overlaps(&self, from: Duration, to: Duration) -> bool {
        from < self.to + RECOVERY && self.from < to
    }

    /// True if it explains why a process could not commit: it made a broker unreachable at that time.
    pub(crate) fn explains(&self, stop: &Uncommitted) -> bool {
        self.fault.kind.is_between_processes_and_brokers() && self.overlaps(stop.from, stop.to)
    }
}

/// Everything that is needed to inject faults.
pub(crate) struct FaultActions<'a> {
    pub(crate) deployment: &'a Deployment,
    pub(crate) clock: Clock,
    pub(crate) stop: &'a StopSignal,
    /// End of the events. No fault is injected after it.
    pub(crate) until: Duration,
}

impl FaultActions<'_> {
    /// Injects a fault, waits and ends it, even if the stop signal is set. No other fault hits the same target
    /// meanwhile. Returns `None` if another fault held the target until it was too late.
    pub(crate) fn inject(&self, fault: Fault) -> Option<FaultHistory> {
        let mut history = FaultHistory {
            fault,
            from: Duration::ZERO,
            to: Duration::ZERO,
            failures: Vec::new(),
            uncommitted: Vec::new(),
        };
        let done = match fault.target {
            Target::Process(index) => self.inject_process(index, &mut history),
            Target::Broker(index) => self.inject_broker(index, &mut history),
            Target::Links { process, broker } => self.inject_links(process, broker, &mut history),
            Target::AllProcesses => self.roll(&mut history),
            Target::First(count) => self.reconfigure(count, &mut history),
        };
        if let Err(error) = done {
            let failure = format!("{}: {error:#}", fault.kind.name());
            history.failures.push(failure);
        }
        history.to = self.clock.now();
        (history.from > Duration::ZERO).then_some(history)
    }

    /// Records the start of a fault. Must be called once the target is locked; returns false if it is too late.
    fn begins(&self, history: &mut FaultHistory) -> bool {
        let (now, what) = (self.clock.now(), history.fault.what());
        let at = now.as_secs_f64();
        if now > self.until || self.stop.is_set() {
            eprintln!("{at:7.1} s  too late for: {what}");
            return false;
        }
        eprintln!("{at:7.1} s  {what}");
        history.from = now;
        true
    }

    fn hold(&self, history: &FaultHistory) {
        self.stop.wait(history.fault.duration());
    }

    fn inject_process(&self, index: usize, history: &mut FaultHistory) -> Result<()> {
        let mut instance = self.deployment.instance(index);
        if !self.begins(history) {
            return Ok(());
        }
        // Makes sure that the process runs when the fault hits it.
        history.failures.extend(instance.ended_by_itself());
        match history.fault.kind {
            Kind::Freeze => {
                instance.pause();
                self.hold(history);
                instance.resume();
            }
            Kind::Disk => {
                let half = history.fault.duration() / 2;
                instance.fill_disk()?;
                self.stop.wait(half);
                history.failures.extend(instance.ended_by_itself());
                instance.start();
                self.stop.wait(half);
                instance.clear_disk()?;
            }
            _ => {
                instance.kill();
                self.hold(history);
                instance.start();
            }
        }
        Ok(())
    }

    fn inject_broker(&self, index: usize, history: &mut FaultHistory) -> Result<()> {
        let _alone = self.deployment.lock_brokers();
        if !self.begins(history) {
            return Ok(());
        }
        match history.fault.kind {
            Kind::BrokerFreeze => self.deployment.stop_broker(index, Signal::Stop)?,
            // A broker that takes too long to stop is killed, as a supervisor would do.
            Kind::BrokerStop if self.deployment.stop_broker(index, Signal::Term).is_ok() => {}
            _ => self.deployment.stop_broker(index, Signal::Kill)?,
        }
        self.hold(history);
        self.deployment.start_broker(index)?;
        self.deployment.wait_until_in_sync(self.stop)
    }

    fn inject_links(
        &self,
        process: Option<usize>,
        broker: Option<usize>,
        history: &mut FaultHistory,
    ) -> Result<()> {
        let processes = chosen(process, PROCESSES);
        let held = processes
            .iter()
            .map(|index| self.deployment.instance(*index));
        let _alone: Vec<_> = held.collect();
        if !self.begins(history) {
            return Ok(());
        }
        let brokers = chosen(broker, BROKERS);
        let proxies: Vec<&Proxy> = processes
            .iter()
            .flat_map(|process| brokers.iter().map(|broker| (*process, *broker)))
            .map(|(process, broker)| &self.deployment.proxies[process][broker])
            .collect();
        let set = |mode| proxies.iter().for_each(|proxy| proxy.set(mode));
        match history.fault.kind {
            Kind::Stall => set(Mode::Stalled),
            Kind::Refuse => set(Mode::Refusing),
            _ => {}
        }
        if history.fault.kind != Kind::Stall {
            proxies.iter().for_each(|proxy| proxy.cut());
        }
        self.hold(history);
        set(Mode::Open);
        Ok(())
    }

    fn roll(&self, history: &mut FaultHistory) -> Result<()> {
        let _alone = self.deployment.lock_rolling();
        if !self.begins(history) {
            return Ok(());
        }
        (0..PROCESSES).try_for_each(|index| self.start_again(index, None, history))
    }

    /// Removes an input from the configuration and adds it back. In between, some processes or none read it.
    fn reconfigure(&self, count: usize, history: &mut FaultHistory) -> Result<()> {
        let _alone = self.deployment.lock_rolling();
        if !self.begins(history) {
            return Ok(());
        }
        let without =
            (0..count).try_for_each(|index| self.start_again(index, Some(Inputs::First), history));
        self.hold(history);
        // Also if the first half failed, since all inputs must be read in the end.
        let with =
            (0..count).try_for_each(|index| self.start_again(index, Some(Inputs::Both), history));
        without.and(with)
    }

    /// Stops a process and restarts it, with these inputs if they are given.
    fn start_again(
        &self,
        index: usize,
        inputs: Option<Inputs>,
        history: &mut FaultHistory,
    ) -> Result<()> {
        let mut instance = self.deployment.instance(index);
        history.failures.extend(instance.ended_by_itself());
        let from = self.clock.now();
        match instance.stop() {
            Stopped::Clean => {}
            Stopped::Failed(text) => history.failures.push(text),
            Stopped::Uncommitted(text) => history.uncommitted.push(Uncommitted {
                from,
                to: self.clock.now(),
                text,
            }),
        }
        instance.inputs = inputs.unwrap_or(instance.inputs);
        instance.start();
        self.deployment.wait_until_ready(&instance, self.stop)
    }
}

/// The chosen index, or all below `count`.
fn chosen(one: Option<usize>, count: usize) -> Vec<usize> {
    one.map_or_else(|| (0..count).collect(), |one| vec![one])
}
