//! Made-up streams: are the groups found, and how soon again once something has happened to them?

use anyhow::Result;
use clap::ValueEnum;
use flockwise_benches::report::{Spread, Table, write};
use serde::Serialize;

use crate::Settings;
use crate::course::{Look, Outcome, play};
use crate::groups::Spacing;
use crate::jobs::on_all_cores;
use crate::picture::{Curve, Picture};
use crate::synthetic::{EVENT, Story};

const SIZES: [usize; 5] = [4, 8, 16, 32, 64];
/// The number of groups whose curves are drawn.
const DRAWN: usize = 16;

/// Streams that are played, and the table of what comes of them.
pub(crate) struct Streams {
    table: &'static str,
    spacing: Spacing,
    /// One row for all numbers of groups.
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
    story: Story,
    k: usize,
    seed: u64,
}

fn name<S: serde::Serializer>(story: &Story, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(story.name())
}

type Run = (Task, Outcome);

pub(crate) fn measure(streams: &Streams, settings: &Settings) -> Result<()> {
    let tasks = tasks(settings.seeds.unwrap_or(3));
    let outcomes = on_all_cores(&tasks, |task| {
        let outcome = play(task.story, task.k, streams.spacing, task.seed)?;
        let Look { index, at_best, .. } = outcome.last;
        let Task { story, k, seed } = task;
        eprintln!(
            "{}, {k} groups, seed {seed}: {index:.3} of {at_best:.3}",
            story.name()
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
    let stories = Story::value_variants().iter();
    let each = stories.flat_map(|story| SIZES.map(|k| (*story, k)));
    each.flat_map(|(story, k)| (0..seeds).map(move |seed| Task { story, k, seed }))
        .collect()
}

impl Streams {
    fn table(&self, runs: &[Run]) -> Table {
        let head = [
            "story",
            "groups",
            "adjusted Rand index at the end",
            "at best",
            "points to recover, at most",
            "segments too many or too few",
            "labels flipped in 5,000 points",
            "groups that keep their id, at least",
            "way followed",
        ];
        let mut table = Table::new(self.table, &head);
        let is_one_row = |left: &Run, right: &Run| {
            left.0.story == right.0.story && (self.is_brief || left.0.k == right.0.k)
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
        runs[0].0.story.name().to_owned(),
        groups,
        Spread::of(outcomes().map(|outcome| outcome.last.index)).shown(3),
        Spread::of(outcomes().map(|outcome| outcome.last.at_best)).shown(3),
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

/// The most points that it took, and how often it never was.
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

/// By how many in each run, nothing where it is right in all of them.
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
        name: task.story.name().to_owned(),
        points: outcome
            .curve
            .iter()
            .map(|look| (look.at as f64 / 1_000.0, look.index))
            .collect(),
        is_dotted: false,
    });
    Picture {
        name: "streams",
        title: format!(
            "{DRAWN} groups; it happens from {} thousand points on",
            EVENT / 1_000
        ),
        axes: ["thousand points", "adjusted Rand index"],
        curves: curves.collect(),
        aim: None,
    }
    .draw(settings.print)
}
