//! Made-up streams: are the groups found, and how soon again once something has happened to them?

use anyhow::Result;
use clap::ValueEnum;
use flockwise_benches::report::{Spread, Table, write};
use serde::Serialize;

use crate::Settings;
use crate::course::{Outcome, play};
use crate::jobs::on_all_cores;
use crate::picture::{Curve, Picture};
use crate::synthetic::{EVENT, Story};

const SIZES: [usize; 5] = [4, 8, 16, 32, 64];
/// The number of groups whose curves are drawn.
const DRAWN: usize = 16;

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

pub(crate) fn measure(settings: &Settings) -> Result<()> {
    let seeds = settings.seeds.unwrap_or(3);
    let mut tasks = Vec::new();
    for story in Story::value_variants() {
        for k in SIZES {
            tasks.extend((0..seeds).map(|seed| Task {
                story: *story,
                k,
                seed,
            }));
        }
    }
    let outcomes = on_all_cores(&tasks, |task| {
        let outcome = play(task.story, task.k, task.seed)?;
        eprintln!(
            "{}, {} groups: {:.3}",
            task.story.name(),
            task.k,
            outcome.last
        );
        Ok(outcome)
    })?;
    let runs: Vec<Run> = tasks.into_iter().zip(outcomes).collect();
    write("quality-streams", &runs)?;
    draw(&runs, settings)?;
    table(&runs).publish(settings.print)
}

fn table(runs: &[Run]) -> Table {
    let mut table = Table::new(
        "streams",
        &[
            "story",
            "groups",
            "adjusted Rand index at the end",
            "points to recover, at most",
            "segments too many or too few",
            "labels flipped in 5,000 points, at most",
            "groups that keep their id, at least",
        ],
    );
    for of_one in
        runs.chunk_by(|left, right| left.0.story == right.0.story && left.0.k == right.0.k)
    {
        table.row(&row(of_one));
    }
    table
}

fn row(runs: &[Run]) -> [String; 7] {
    let outcomes = || runs.iter().map(|(_, outcome)| outcome);
    let task = runs[0].0;
    let most = |figure: fn(&Outcome) -> f64| outcomes().map(figure).fold(0.0, f64::max);
    let recovered = outcomes().map(|outcome| outcome.recovered);
    let recovered: Option<Vec<usize>> = recovered.collect();
    let recovered = recovered.and_then(|points| points.into_iter().max());
    let off: Vec<String> = outcomes()
        .map(|outcome| outcome.segments as i64 - outcome.expected as i64)
        .map(|off| {
            if off == 0 {
                off.to_string()
            } else {
                format!("{off:+}")
            }
        })
        .collect();
    let kept = outcomes().map(|outcome| outcome.kept).fold(1.0, f64::min);
    [
        task.story.name().to_owned(),
        task.k.to_string(),
        Spread::of(outcomes().map(|outcome| outcome.last)).shown(3),
        recovered.map_or("never".to_owned(), |points| points.to_string()),
        off.join(" / "),
        format!("{:.2} %", 100.0 * most(|outcome| outcome.flipped)),
        format!("{:.0} %", 100.0 * kept),
    ]
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
            .map(|(at, index)| (*at as f64 / 1_000.0, *index))
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
