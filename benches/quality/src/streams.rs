//! Synthetic streams: whether the groups are found, and how soon after a change.

use anyhow::Result;
use clap::ValueEnum;
use flockwise_benches::report::{Spread, Table, write};
use serde::Serialize;

use crate::Settings;
use crate::groups::Spacing;
use crate::jobs::on_all_cores;
use crate::picture::{Curve, Picture};
use crate::synthetic::{CHANGE, Scenario};
use crate::training_run::{Evaluation, Outcome, run};

const SIZES: [usize; 5] = [4, 8, 16, 32, 64];
/// Number of groups of the streams whose curves are drawn.
const DRAWN: usize = 16;

/// A set of streams and the table of their results.
pub(crate) struct Streams {
    table: &'static str,
    spacing: Spacing,
    /// If true, all numbers of groups share a table row.
    is_brief: bool,
}

pub(crate) const APART: Streams = Streams {
    table: "streams",
    spacing: Spacing::Apart,
    is_brief: false,
};

pub(crate) const NEAR: Streams = Streams {
    table: "near",
    spacing: Spacing::Near,
    is_brief: true,
};

#[derive(Clone, Copy, Serialize)]
struct Task {
    #[serde(serialize_with = "name")]
    scenario: Scenario,
    k: usize,
    seed: u64,
}

fn name<S: serde::Serializer>(scenario: &Scenario, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(scenario.name())
}

type Run = (Task, Outcome);

pub(crate) fn measure(streams: &Streams, settings: &Settings) -> Result<()> {
    let tasks = tasks(settings.seeds.unwrap_or(3));
    let outcomes = on_all_cores(&tasks, |task| {
        let outcome = run(task.scenario, task.k, streams.spacing, task.seed)?;
        let Evaluation {
            index, upper_bound, ..
        } = outcome.last;
        let Task { scenario, k, seed } = task;
        eprintln!(
            "{}, {k} groups, seed {seed}: {index:.3} of {upper_bound:.3}",
            scenario.name()
        );
        Ok(outcome)
    })?;
    let runs: Vec<Run> = tasks.into_iter().zip(outcomes).collect();
    write(&format!("quality-{}", streams.table), &runs)?;
    if streams.spacing == Spacing::Apart {
        draw(&runs, settings)?;
    }
    streams.table(&runs).publish(settings.print)
}

fn tasks(seeds: u64) -> Vec<Task> {
    let scenarios = Scenario::value_variants().iter();
    let each = scenarios.flat_map(|scenario| SIZES.map(|k| (*scenario, k)));
    each.flat_map(|(scenario, k)| (0..seeds).map(move |seed| Task { scenario, k, seed }))
        .collect()
}

impl Streams {
    fn table(&self, runs: &[Run]) -> Table {
        let head = [
            "scenario",
            "groups",
            "adjusted Rand index at the end",
            "upper bound",
            "points to recover, max",
            "segments too many or too few",
            "labels flipped in 5,000 points",
            "groups that keep their id, min",
            "displacement followed",
        ];
        let mut table = Table::new(self.table, &head);
        let is_one_row = |left: &Run, right: &Run| {
            left.0.scenario == right.0.scenario && (self.is_brief || left.0.k == right.0.k)
        };
        for of_one in runs.chunk_by(is_one_row) {
            table.row(&row(of_one));
        }
        table
    }
}

fn row(runs: &[Run]) -> [String; 9] {
    let outcomes = || runs.iter().map(|(_, outcome)| outcome);
    let sizes = [runs[0].0.k, runs[runs.len() - 1].0.k];
    let groups = match sizes[0] == sizes[1] {
        true => sizes[0].to_string(),
        false => format!("{} to {}", sizes[0], sizes[1]),
    };
    let kept = outcomes().map(|outcome| outcome.kept).fold(1.0, f64::min);
    let percent =
        |shares: Vec<f64>, digits| Spread::of(shares.iter().map(|x| 100.0 * x)).shown(digits);
    let tracked = percent(
        outcomes().filter_map(|outcome| outcome.tracked).collect(),
        0,
    );
    [
        runs[0].0.scenario.name().to_owned(),
        groups,
        Spread::of(outcomes().map(|outcome| outcome.last.index)).shown(3),
        Spread::of(outcomes().map(|outcome| outcome.last.upper_bound)).shown(3),
        recovered(outcomes()),
        off(outcomes()),
        percent(outcomes().map(|outcome| outcome.flipped).collect(), 2) + " %",
        format!("{:.0} %", 100.0 * kept),
        if tracked.is_empty() {
            tracked
        } else {
            tracked + " %"
        },
    ]
}

/// The most points that recovery took, and the number of runs without recovery.
fn recovered<'a>(outcomes: impl Iterator<Item = &'a Outcome> + Clone) -> String {
    let count = outcomes.clone().count();
    let points: Vec<usize> = outcomes.filter_map(|outcome| outcome.recovered).collect();
    let most = points.iter().max().map(usize::to_string);
    match (most, count - points.len()) {
        (Some(most), 0) => most,
        (Some(most), never) => format!("{most}, {never} never"),
        (None, _) => "never".to_owned(),
    }
}

/// Surplus or missing segments of each run; `0` if the number is right in all runs.
fn off<'a>(outcomes: impl Iterator<Item = &'a Outcome>) -> String {
    let off = outcomes.map(|outcome| outcome.segments as i64 - outcome.expected as i64);
    let off: Vec<i64> = off.collect();
    if off.iter().all(|off| *off == 0) {
        return "0".to_owned();
    }
    let shown = off.iter().map(|off| {
        if *off == 0 {
            "0".to_owned()
        } else {
            format!("{off:+}")
        }
    });
    shown.collect::<Vec<_>>().join(" / ")
}

fn draw(runs: &[Run], settings: &Settings) -> Result<()> {
    let drawn = runs
        .iter()
        .filter(|(task, _)| task.k == DRAWN && task.seed == 0);
    let curves = drawn.map(|(task, outcome)| Curve {
        name: task.scenario.name().to_owned(),
        points: outcome
            .curve
            .iter()
            .map(|evaluation| (evaluation.at as f64 / 1_000.0, evaluation.index))
            .collect(),
        is_dotted: false,
    });
    Picture {
        name: "streams",
        title: format!(
            "{DRAWN} groups, which change from {} thousand points on",
            CHANGE / 1_000
        ),
        axes: ["thousand points", "adjusted Rand index"],
        curves: curves.collect(),
        aim: None,
    }
    .draw(settings.print)
}
