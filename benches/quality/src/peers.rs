//! What others make of the same streams.

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
use crate::course::{LOOKED_AT, Look, play};
use crate::groups::Spacing;
use crate::jobs::on_all_cores;
use crate::synthetic::{BATCH, LENGTH, Story, Stream};

const K: usize = 8;
/// As the script and the table call them.
const PEERS: [(&str, &str); 7] = [
    ("flockwise", "Flockwise"),
    ("spark", "Spark's rule"),
    ("mini_batch", "MiniBatchKMeans"),
    ("river", "River KMeans"),
    ("stream", "River DBSTREAM"),
    ("batch", "batch, told how many"),
    ("best", "at best"),
];

/// What the script says of a peer.
#[derive(Deserialize)]
struct Found {
    stream: String,
    peer: String,
    index: f64,
}

pub(crate) fn measure(settings: &Settings) -> Result<()> {
    let folder = workspace("target/quality");
    // The script takes what it finds there.
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    let mut tasks = Vec::new();
    for story in Story::value_variants() {
        tasks.extend((0..settings.seeds.unwrap_or(3)).map(|seed| (*story, seed)));
    }
    let ours = on_all_cores(&tasks, |(story, seed)| {
        let path = folder.join(format!("{}.f64", stream(*story, *seed)));
        fs::write(path, points(*story, *seed))?;
        Ok(play(*story, K, Spacing::Apart, *seed)?.last)
    })?;
    let mut found = others(&folder)?;
    for ((story, seed), look) in tasks.iter().zip(ours) {
        found.extend(ours_and_the_best(stream(*story, *seed), &look));
    }
    table(&found).publish(settings.print)
}

fn ours_and_the_best(stream: String, look: &Look) -> [Found; 2] {
    [("flockwise", look.index), ("best", look.at_best)].map(|(peer, index)| Found {
        stream: stream.clone(),
        peer: peer.to_owned(),
        index,
    })
}

fn stream(story: Story, seed: u64) -> String {
    format!("{story:?}-{seed}")
}

/// Points to learn from and points to be judged by, each with its group, as the script reads them.
fn points(story: Story, seed: u64) -> Vec<u8> {
    let mut stream = Stream::new(story, K, Spacing::Apart, seed);
    let mut points: Vec<_> = (0..LENGTH / BATCH)
        .flat_map(|_| stream.draw_batch())
        .collect();
    points.extend(stream.probe(LOOKED_AT));
    let numbers = points.into_iter().flat_map(|(mut point, group)| {
        point.push(group as f64);
        point
    });
    numbers.flat_map(f64::to_le_bytes).collect()
}

fn others(folder: &Path) -> Result<Vec<Found>> {
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

fn table(found: &[Found]) -> Table {
    let titles = PEERS.iter().map(|(_, title)| *title);
    let head: Vec<&str> = ["story"].into_iter().chain(titles).collect();
    let mut table = Table::new("peers", &head);
    for story in Story::value_variants() {
        let start = format!("{story:?}-");
        let of = |peer: &str| {
            let own = found.iter().filter(|one| one.peer == peer);
            let own = own.filter(|one| one.stream.starts_with(&start));
            Spread::of(own.map(|one| one.index)).shown(3)
        };
        let cells = PEERS.iter().map(|(peer, _)| of(peer));
        let cells: Vec<String> = [story.name().to_owned()].into_iter().chain(cells).collect();
        table.row(&cells);
    }
    table
}
