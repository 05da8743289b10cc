//! Generates a shop's clicks, orders and refunds for load and tests, from a seed, without a clock and of any size.
//!
//! Activity follows Zipf's law, with evening peaks and bursts. Customers join, leave and move between six kinds whose
//! habits drift. One line in 200 is up to two days late and one in 200 is repeated, as on a real topic.

mod calendar;
mod line;
mod population;
mod random;
mod visit;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use super::compressed::Compressed;
use calendar::{Calendar, DAY_MS};
use line::Activity;
use population::Population;
use random::Random;
use visit::{Refund, Visit};

/// Probability that a line is late, and probability that it is repeated.
const RARE: f64 = 1.0 / 200.0;

/// The arguments of `cargo xtask data generate`.
#[derive(Args)]
pub struct GenerateArgs {
    #[command(flatten)]
    load: GeneratedLoad,
    /// Output, JSON lines; compressed if the name ends in .gz or .zst
    #[arg(long)]
    out: PathBuf,
}

/// The size of a load.
#[derive(Args, Clone, Debug)]
pub struct GeneratedLoad {
    /// Number of lines, including repeated ones
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    pub events: u64,
    /// Maximum number of customers; of many, the least active have no events
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    pub customers: u32,
    /// Seed; the same seed gives the same bytes
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Number of days, from 2026-01-01 on
    #[arg(long, default_value_t = 90, value_parser = clap::value_parser!(u32).range(1..=3650))]
    pub days: u32,
}

pub(super) fn run(args: &GenerateArgs) -> Result<()> {
    let mut out = Compressed::create(&args.out)?;
    let mut bytes = 0;
    for mut line in Generator::new(&args.load) {
        line.push('\n');
        bytes += line.len() as u64;
        out.write_all(line.as_bytes())?;
    }
    out.finish()?;
    let mean = bytes / args.load.events;
    eprintln!(
        "{}: {} events of {mean} bytes on average",
        args.out.display(),
        args.load.events
    );
    Ok(())
}

/// Iterates over the lines of a load, without line ends, in order of arrival.
pub struct Generator {
    random: Random,
    calendar: Calendar,
    population: Population,
    /// What is scheduled, by time in ms. The second number makes keys of the same millisecond unique.
    due: BTreeMap<(i64, u64), Due>,
    scheduled: u64,
    identified: Vec<bool>,
    orders: u64,
    now_ms: i64,
    events: u64,
    written: u64,
    /// Number of lines that the current visits will still write.
    expected: u64,
}

enum Due {
    Visit(Visit),
    Refund(Refund),
    /// A line that is late or repeated.
    Line(String),
}

impl Generator {
    /// A generator for `load`. Needs about 15 bytes per customer.
    pub fn new(load: &GeneratedLoad) -> Self {
        let mut random = Random::new(load.seed);
        let calendar = Calendar::new(load.days, &mut random);
        let population = Population::new(load.customers, load.days, load.seed, &mut random);
        Self {
            random,
            population,
            due: BTreeMap::new(),
            scheduled: 0,
            identified: vec![false; load.customers as usize],
            orders: 0,
            now_ms: calendar.at(0.0),
            calendar,
            events: load.events,
            written: 0,
            expected: 0,
        }
    }

    fn schedule(&mut self, at_ms: i64, due: Due) {
        self.scheduled += 1;
        self.due.insert((at_ms, self.scheduled), due);
    }

    /// Advances time in proportion to the lines that are written or scheduled, so that the last line is on the last
    /// day.
    fn advance_time(&mut self) {
        let share = (self.written + self.expected) as f64 / self.events as f64;
        self.now_ms = self.now_ms.max(self.calendar.at(share.min(1.0)));
    }

    /// What is due now; `None` if a new visit should begin first.
    fn take_due(&mut self) -> Option<(i64, Due)> {
        let all_on_the_way = self.written + self.expected >= self.events;
        let first = self.due.first_entry()?;
        let at_ms = first.key().0;
        (at_ms <= self.now_ms || all_on_the_way).then(|| (at_ms, first.remove()))
    }

    fn open_visit(&mut self) {
        let customer = self.population.visitor(self.now_ms, &mut self.random);
        let visit = Visit::new(customer, self.now_ms, &mut self.random);
        self.expected += visit.lines_left();
        self.schedule(self.now_ms, Due::Visit(visit));
    }

    /// Runs what is due. Returns its line, unless the line is delayed.
    fn run_due(&mut self, at_ms: i64, due: Due) -> Option<String> {
        match due {
            Due::Line(line) => Some(line),
            Due::Refund(refund) => {
                let line = refund.line(at_ms, &mut self.random);
                self.deliver(at_ms, line)
            }
            Due::Visit(visit) if !self.identified[visit.customer().id as usize] => {
                self.identified[visit.customer().id as usize] = true;
                let customer = visit.customer();
                let line = line::line(
                    customer.id,
                    at_ms,
                    &Activity::Identify(customer),
                    &mut self.random,
                );
                self.schedule(at_ms + 1, Due::Visit(visit));
                self.deliver(at_ms, line)
            }
            Due::Visit(mut visit) => {
                let step = visit.step(at_ms, &mut self.orders, &mut self.random);
                self.expected -= 1;
                if let Some((back_ms, refund)) = step.refund {
                    self.schedule(back_ms, Due::Refund(refund));
                }
                if let Some(next_ms) = step.next_ms {
                    self.schedule(next_ms, Due::Visit(visit));
                }
                self.deliver(at_ms, step.line)
            }
        }
    }

    fn deliver(&mut self, at_ms: i64, line: String) -> Option<String> {
        if self.random.chance(RARE) {
            let unit = self.random.unit();
            let delay_ms = 60_000 + (unit * unit * unit * 2.0 * DAY_MS as f64) as i64;
            self.schedule(at_ms + delay_ms, Due::Line(line));
            return None;
        }
        if self.random.chance(RARE) {
            let delay_ms = self.random.around(60_000.0) as i64;
            self.schedule(at_ms + delay_ms, Due::Line(line.clone()));
        }
        Some(line)
    }
}

impl Iterator for Generator {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        while self.written < self.events {
            self.advance_time();
            let Some((at_ms, due)) = self.take_due() else {
                self.open_visit();
                continue;
            };
            if let Some(line) = self.run_due(at_ms, due) {
                self.written += 1;
                return Some(line);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(events: u64, customers: u32, seed: u64) -> Vec<String> {
        let load = GeneratedLoad {
            events,
            customers,
            seed,
            days: 30,
        };
        Generator::new(&load).collect()
    }

    #[test]
    fn a_seed_gives_the_same_bytes_on_every_machine() {
        let fnv = |lines: &[String]| {
            lines
                .iter()
                .flat_map(|line| line.bytes())
                .fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
                    (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
                })
        };
        assert_eq!(fnv(&lines(5000, 200, 1)), 10_620_657_237_862_383_397);
        assert_ne!(fnv(&lines(5000, 200, 2)), fnv(&lines(5000, 200, 1)));
    }

    #[test]
    fn there_are_as_many_lines_as_asked_for_however_few_customers() {
        for (events, customers) in [(1, 1), (1000, 1), (1000, 100_000)] {
            assert_eq!(lines(events, customers, 1).len() as u64, events);
        }
    }

    #[test]
    fn some_lines_come_twice_and_some_late() {
        let lines = lines(20_000, 500, 1);
        let time = |line: &str| {
            line.split(r#""timestamp":""#)
                .nth(1)
                .map(|rest| rest[..24].to_owned())
        };
        let different: std::collections::HashSet<&String> = lines.iter().collect();
        let repeated = lines.len() - different.len();
        assert!((50..200).contains(&repeated), "{repeated} lines come twice");
        let mut latest = None;
        let late = lines.iter().filter(|line| {
            let (time, before) = (time(line), latest.clone());
            latest = before.clone().max(time.clone());
            time < before
        });
        let late = late.count();
        assert!(
            (100..400).contains(&late),
            "{late} lines are behind another"
        );
    }
}
