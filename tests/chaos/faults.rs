//! Each fault, done and undone.

use std::time::Duration;

use anyhow::Result;
use xtask::kafka::Signal;

use crate::clock::Clock;
use crate::deployment::{BROKERS, Deployment, PROCESSES};
use crate::instance::{Inputs, Stopped};
use crate::proxy::{Mode, Proxy};
use crate::schedule::{Fault, Kind, Victim};
use crate::stop_signal::StopSignal;

/// A fault is still felt this long after it is over: members come back, leaders go home.
pub(crate) const AFTERMATH: Duration = Duration::from_secs(3);

/// A fault that has been.
#[derive(Clone, Debug)]
pub(crate) struct FaultHistory {
    pub(crate) fault: Fault,
    /// Later than it was due where its victim was still held by another.
    pub(crate) from: Duration,
    /// When all was in place again; what was lost by it may still be caught up with.
    pub(crate) to: Duration,
    /// What should not have happened.
    pub(crate) failures: Vec<String>,
    /// Processes that ended without having committed.
    pub(crate) uncommitted: Vec<Uncommitted>,
}

/// A process that could not commit when it was asked to end, and what it said.
#[derive(Clone, Debug)]
pub(crate) struct Uncommitted {
    from: Duration,
    to: Duration,
    pub(crate) text: String,
}

impl FaultHistory {
    /// Was it felt at some time between these?
    pub(crate) fn is_felt(&self, from: Duration, to: Duration) -> bool {
        from < self.to + AFTERMATH && self.from < to
    }

    /// Was a broker out of reach while the process was to end, or on its way back?
    pub(crate) fn excuses(&self, stop: &Uncommitted) -> bool {
        self.fault.kind.is_between_processes_and_brokers() && self.is_felt(stop.from, stop.to)
    }
}

/// What faults need to happen.
pub(crate) struct FaultActions<'a> {
    pub(crate) deployment: &'a Deployment,
    pub(crate) clock: Clock,
    pub(crate) stop: &'a StopSignal,
    /// Later nothing comes any more that could suffer.
    pub(crate) until: Duration,
}

impl FaultActions<'_> {
    /// Does it, waits, and undoes it, whoever halts it. Nobody else does anything to its victim
    /// meanwhile. `None` where the victim was held by another until it was too late.
    pub(crate) fn strike(&self, fault: Fault) -> Option<FaultHistory> {
        let mut past = FaultHistory {
            fault,
            from: Duration::ZERO,
            to: Duration::ZERO,
            failures: Vec::new(),
            uncommitted: Vec::new(),
        };
        let done = match fault.victim {
            Victim::Process(index) => self.strike_process(index, &mut past),
            Victim::Broker(index) => self.strike_broker(index, &mut past),
            Victim::Links { process, broker } => self.strike_links(process, broker, &mut past),
            Victim::Everybody => self.roll(&mut past),
            Victim::First(count) => self.reconfigure(count, &mut past),
        };
        if let Err(error) = done {
            let failure = format!("{}: {error:#}", fault.kind.name());
            past.failures.push(failure);
        }
        past.to = self.clock.now();
        (past.from > Duration::ZERO).then_some(past)
    }

    /// To be asked as soon as the victim is held.
    fn begins(&self, past: &mut FaultHistory) -> bool {
        let (now, what) = (self.clock.now(), past.fault.what());
        let at = now.as_secs_f64();
        if now > self.until || self.stop.is_set() {
            eprintln!("{at:7.1} s  too late for: {what}");
            return false;
        }
        eprintln!("{at:7.1} s  {what}");
        past.from = now;
        true
    }

    fn hold(&self, past: &FaultHistory) {
        self.stop.wait(past.fault.hold());
    }

    fn strike_process(&self, index: usize, past: &mut FaultHistory) -> Result<()> {
        let mut instance = self.deployment.instance(index);
        if !self.begins(past) {
            return Ok(());
        }
        // It is to be struck alive.
        past.failures.extend(instance.ended_by_itself());
        match past.fault.kind {
            Kind::Freeze => {
                instance.pause();
                self.hold(past);
                instance.resume();
            }
            Kind::Disk => {
                let half = past.fault.hold() / 2;
                instance.fill_disk()?;
                self.stop.wait(half);
                past.failures.extend(instance.ended_by_itself());
                instance.start();
                self.stop.wait(half);
                instance.clear_disk()?;
            }
            _ => {
                instance.kill();
                self.hold(past);
                instance.start();
            }
        }
        Ok(())
    }

    fn strike_broker(&self, index: usize, past: &mut FaultHistory) -> Result<()> {
        let _alone = self.deployment.with_brokers();
        if !self.begins(past) {
            return Ok(());
        }
        match past.fault.kind {
            Kind::BrokerFreeze => self.deployment.stop_broker(index, Signal::Stop)?,
            // One that takes too long would be killed by its supervisor as well.
            Kind::BrokerStop if self.deployment.stop_broker(index, Signal::Term).is_ok() => {}
            _ => self.deployment.stop_broker(index, Signal::Kill)?,
        }
        self.hold(past);
        self.deployment.start_broker(index)?;
        self.deployment.wait_until_in_sync(self.stop)
    }

    fn strike_links(
        &self,
        process: Option<usize>,
        broker: Option<usize>,
        past: &mut FaultHistory,
    ) -> Result<()> {
        let processes = chosen(process, PROCESSES);
        let held = processes
            .iter()
            .map(|index| self.deployment.instance(*index));
        let _alone: Vec<_> = held.collect();
        if !self.begins(past) {
            return Ok(());
        }
        let brokers = chosen(broker, BROKERS);
        let proxies: Vec<&Proxy> = processes
            .iter()
            .flat_map(|process| brokers.iter().map(|broker| (*process, *broker)))
            .map(|(process, broker)| &self.deployment.proxies[process][broker])
            .collect();
        let set = |mode| proxies.iter().for_each(|proxy| proxy.set(mode));
        match past.fault.kind {
            Kind::Stall => set(Mode::Stalled),
            Kind::Refuse => set(Mode::Refusing),
            _ => {}
        }
        if past.fault.kind != Kind::Stall {
            proxies.iter().for_each(|proxy| proxy.cut());
        }
        self.hold(past);
        set(Mode::Open);
        Ok(())
    }

    fn roll(&self, past: &mut FaultHistory) -> Result<()> {
        let _alone = self.deployment.with_all();
        if !self.begins(past) {
            return Ok(());
        }
        (0..PROCESSES).try_for_each(|index| self.start_again(index, None, past))
    }

    /// An input is taken out of the configuration and put back: in between some processes read it, or none.
    fn reconfigure(&self, count: usize, past: &mut FaultHistory) -> Result<()> {
        let _alone = self.deployment.with_all();
        if !self.begins(past) {
            return Ok(());
        }
        let without =
            (0..count).try_for_each(|index| self.start_again(index, Some(Inputs::First), past));
        self.hold(past);
        // Also where the first half failed: in the end all inputs are to be read.
        let with =
            (0..count).try_for_each(|index| self.start_again(index, Some(Inputs::Both), past));
        without.and(with)
    }

    /// A process ends in good order and starts again, with other inputs where these are given.
    fn start_again(
        &self,
        index: usize,
        inputs: Option<Inputs>,
        past: &mut FaultHistory,
    ) -> Result<()> {
        let mut instance = self.deployment.instance(index);
        past.failures.extend(instance.ended_by_itself());
        let from = self.clock.now();
        match instance.stop() {
            Stopped::Well => {}
            Stopped::Wrong(text) => past.failures.push(text),
            Stopped::Uncommitted(text) => past.uncommitted.push(Uncommitted {
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

/// One, or all of so many.
fn chosen(one: Option<usize>, count: usize) -> Vec<usize> {
    one.map_or_else(|| (0..count).collect(), |one| vec![one])
}
