//! The customers' events: the lines that producers send.

use flockwise_codec::partitioner::Partitioner;

use super::scenario::Scenario;
use crate::events::{lines, lines_over};

/// Two months of the generated shop. With a gap, the first half is in the year before.
pub(super) fn main_lines(scenario: &Scenario) -> Vec<String> {
    let mut lines = lines(scenario.events, scenario.customers, scenario.seed);
    if scenario.has_gap {
        let half = lines.len() / 2;
        lines[..half]
            .iter_mut()
            .for_each(|line| in_year(line, "2025"));
    }
    lines
}

/// A day of the generated shop, a year later. It is shorter than the time to expiry, and every task gets an event.
pub(super) fn final_day(scenario: &Scenario, partitioner: Partitioner) -> Vec<String> {
    let (tasks, seed) = (scenario.state_partitions, scenario.seed + 1);
    let probe = |task: &u32| {
        let mut names = (0..).map(|number| format!("probe-{number}"));
        names
            .find(|name| partitioner.partition(name.as_bytes(), tasks) == *task)
            .expect("a customer of every task")
    };
    let probes = (0..tasks).map(|task| {
        let name = probe(&task);
        format!(
            r#"{{"type":"track","event":"Product Viewed","userId":"{name}","messageId":"{name}","timestamp":"2026-01-01T00:00:00.000Z","properties":{{}}}}"#
        )
    });
    let events = scenario.events / 4 + 1;
    let day = lines_over(1, events, scenario.customers, seed).into_iter();
    let is_of_the_day = |line: &String| line.contains(r#""timestamp":"2026-01-01"#);
    let mut final_day: Vec<String> = probes.chain(day.filter(is_of_the_day)).collect();
    final_day.iter_mut().for_each(|line| in_year(line, "2027"));
    final_day
}

fn in_year(line: &mut String, year: &str) {
    let at = line.find(r#""timestamp":"2026"#).expect("a time") + r#""timestamp":""#.len();
    line.replace_range(at..at + 4, year);
}
