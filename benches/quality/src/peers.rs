//! Runs the peers on the same streams.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use anyhow::Result;
use clap::ValueEnum;
use flockwise_benches::report::{Spread, Table};
use flockwise_benches::workspace;
use serde::Deserialize;
use xtask::python;

use crate::Settings;
use crate::groups::Spacing;
use crate::jobs::on_all_cores;
use crate::synthetic::{BATCH, LENGTH, Scenario, Stream};
use crate::training_run::{EVALUATION_POINTS, Evaluation, run};

const K: usize = 8;
/// Names in the script's output and in the table.
const PEERS: [(&str, &str); 7] = [
    ("flockwise", "Flockwise"),
    ("spark", "Spark's rule"),
    ("mini_batch", "MiniBatchKMeans"),
    ("river", "River KMeans"),
    ("stream", "River DBSTREAM"),
    ("batch", "batch, given the number"),
    ("best", "upper bound"),
];

/// The result of a peer on a stream.
#[derive(Deserialize)]
struct PeerResult {
    stream: String,
    peer: String,
    index: f64,
}

pub(crate) fn measure(settings: &Settings) -> Result<()> {
    let folder = workspace("target/quality");
    // The script reads every file in the folder.
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    let mut tasks = Vec::new();
    for scenario in Scenario::value_variants() {
        tasks.extend((0..settings.seeds.unwrap_or(3)).map(|seed| (*scenario, seed)));
    }
    let own = on_all_cores(&tasks, |(scenario, seed)| {
        let path = folder.join(format!("{}.f64", stream(*scenario, *seed)));
        fs::write(path, points(*scenario, *seed))?;
        Ok(run(*scenario, K, Spacing::Apart, *seed)?.last)
    })?;
    let mut found = others(&folder)?;
    for ((scenario, seed), evaluation) in tasks.iter().zip(own) {
        found.extend(own_and_upper_bound(stream(*scenario, *seed), &evaluation));
    }
    table(&found).publish(settings.print)
}

fn own_and_upper_bound(stream: String, evaluation: &Evaluation) -> [PeerResult; 2] {
    [
        ("flockwise", evaluation.index),
        ("best", evaluation.upper_bound),
    ]
    .map(|(peer, index)| PeerResult {
        stream: stream.clone(),
        peer: peer.to_owned(),
        index,
    })
}

fn stream(scenario: Scenario, seed: u64) -> String {
    format!("{scenario:?}-{seed}")
}

/// The points to learn from, followed by those to evaluate on, each with its group, in the script's format.
fn points(scenario: Scenario, seed: u64) -> Vec<u8> {
    let mut stream = Stream::new(scenario, K, Spacing::Apart, seed);
    let mut points: Vec<_> = (0..LENGTH / BATCH)
        .flat_map(|_| stream.draw_batch())
        .collect();
    points.extend(stream.probe(EVALUATION_POINTS));
    let numbers = points.into_iter().flat_map(|(mut point, group)| {
        point.push(group as f64);
        point
    });
    numbers.flat_map(f64::to_le_bytes).collect()
}

fn others(folder: &Path) -> Result<Vec<PeerResult>> {
    let script = workspace("benches/quality/peers.py");
    let python = python::environment(
        &workspace("target/tools/quality"),
        &workspace("benches/quality/requirements.txt"),
        &[],
    )?;
    let out = folder.join("peers.json");
    let arguments = [script.as_path(), folder, &out].map(Path::as_os_str);
    python::call(&python, [OsStr::new("-B")].into_iter().chain(arguments))?;
    Ok(serde_json::from_slice(&fs::read(out)?)?)
}

fn table(found: &[PeerResult]) -> Table {
    let titles = PEERS.iter().map(|(_, title)| *title);
    let head: Vec<&str> = ["scenario"].into_iter().chain(titles).collect();
    let mut table = Table::new("peers", &head);
    for scenario in Scenario::value_variants() {
        let start = format!("{scenario:?}-");
        let of = |peer: &str| {
            let own = found.iter().filter(|one| one.peer == peer);
            let own = own.filter(|one| one.stream.starts_with(&start));
            Spread::of(own.map(|one| one.index)).shown(3)
        };
        let cells = PEERS.iter().map(|(peer, _)| of(peer));
        let cells: Vec<String> = [scenario.name().to_owned()]
            .into_iter()
            .chain(cells)
            .collect();
        table.row(&cells);
    }
    table
}
