//! Compares the nearest-centroid search with scikit-learn and FAISS: the same vectors, one thread each, in turns.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Result, ensure};
use flockwise_benches::report::{Spread, Table, write};
use flockwise_benches::{vectors, workspace};
use flockwise_kmeans::{Kernel, Nearest, Scratch};
use ndarray::Array2;
use serde::{Deserialize, Serialize};
use xtask::python;

use crate::bench::Settings;
use crate::{children, process_figures};

const POINTS: usize = 100_000;
/// Dimensions and centroids.
const SHAPES: [(usize, usize); 2] = [(16, 32), (32, 64)];
/// Turns per round. A turn takes seconds, most of which are Python's start.
const TURNS_PER_ROUND: usize = 5;
/// Passes over all points per turn. The fastest counts, since other load on the machine only makes a pass slower.
const PASSES: usize = 20;
/// Maximum share of points with another centroid. Single precision may choose the other of two that are almost
/// equally near.
const DIFFER: f64 = 0.001;
/// Names in the script's output and in the table.
const ROWS: [(&str, &str); 3] = [
    ("flockwise", "Flockwise"),
    ("scikit-learn", "scikit-learn, `KMeans.predict`"),
    ("faiss", "FAISS, `IndexFlatL2`"),
];

/// The result of one peer in one turn.
#[derive(Deserialize)]
struct PeerResult {
    peer: String,
    ns: f64,
    differ: f64,
}

#[derive(Serialize)]
struct Turn {
    dimensions: usize,
    centroids: usize,
    peer: String,
    ns: f64,
    load: f64,
}

/// Measures all peers in turns.
pub(crate) fn measure(settings: &Settings) -> Result<()> {
    let peers = Peers::install()?;
    let mut turns = Vec::new();
    for (dimensions, count) in SHAPES {
        let job = Job::new(dimensions, count);
        for _ in 0..settings.rounds * TURNS_PER_ROUND {
            let load = process_figures::load();
            for PeerResult { peer, ns, differ } in job.turn(&peers)? {
                ensure!(
                    differ < DIFFER,
                    "{peer} found another centroid for {differ} of all points"
                );
                turns.push(Turn {
                    dimensions,
                    centroids: count,
                    peer,
                    ns,
                    load,
                });
            }
        }
    }
    write("nearest", &turns)?;
    table(&turns).publish(settings.print)
}

fn table(turns: &[Turn]) -> Table {
    let titles = SHAPES.map(|(dimensions, count)| format!("ns, D={dimensions} K={count}"));
    let mut table = Table::new("nearest", &["", &titles[0], &titles[1], "load"]);
    let load = Spread::of(turns.iter().map(|turn| turn.load)).shown(1);
    for (peer, title) in ROWS {
        let own = || turns.iter().filter(|turn| turn.peer == peer);
        let [first, second] = SHAPES.map(|(dimensions, _)| {
            let own = own().filter(|turn| turn.dimensions == dimensions);
            Spread::of(own.map(|turn| turn.ns)).shown(1)
        });
        let title = match peer {
            "flockwise" => format!("{title}, {:?}", Kernel::detect()),
            _ => title.to_owned(),
        };
        table.row(&[title, first, second, load.clone()]);
    }
    table
}

/// Vectors of one shape.
struct Job {
    dimensions: usize,
    points: Vec<f64>,
    centroids: Array2<f64>,
}

impl Job {
    fn new(dimensions: usize, count: usize) -> Self {
        // Rounded to single precision, so that all search the same numbers.
        let numbers = |seed, count| -> Vec<f64> {
            let numbers = vectors::coordinates(seed, count).into_iter();
            numbers.map(|x| f64::from(x as f32)).collect()
        };
        let centroids = numbers(1, count * dimensions);
        Self {
            dimensions,
            points: numbers(2, POINTS * dimensions),
            centroids: Array2::from_shape_vec((count, dimensions), centroids).expect("rows"),
        }
    }

    /// Runs each peer once.
    fn turn(&self, peers: &Peers) -> Result<Vec<PeerResult>> {
        let nearest = Nearest::new(self.centroids.view());
        let mut found = vec![0; POINTS];
        let mut ns = f64::INFINITY;
        for _ in 0..PASSES {
            let begin = Instant::now();
            self.search(&nearest, &mut found);
            ns = ns.min(begin.elapsed().as_nanos() as f64 / POINTS as f64);
        }
        let mut all = peers.ask(self, &found)?;
        all.push(PeerResult {
            peer: "flockwise".to_owned(),
            ns,
            differ: 0.0,
        });
        Ok(all)
    }

    fn search(&self, nearest: &Nearest, found: &mut [u32]) {
        let mut scratch = Scratch::default();
        let points = self.points.chunks_exact(self.dimensions);
        for (point, found) in points.zip(found) {
            *found = nearest.nearest(point, &mut scratch).centroid as u32;
        }
    }
}

/// The Python environment, and the folder for the script's input.
struct Peers {
    python: PathBuf,
    folder: PathBuf,
}

impl Peers {
    fn install() -> Result<Self> {
        let folder = workspace("target/nearest");
        fs::create_dir_all(&folder)?;
        let python = python::environment(
            &workspace("target/tools/nearest"),
            &workspace("benches/nearest/requirements.txt"),
            &[],
        )?;
        Ok(Self { python, folder })
    }

    fn ask(&self, job: &Job, found: &[u32]) -> Result<Vec<PeerResult>> {
        let singles = |numbers: &mut dyn Iterator<Item = &f64>| -> Vec<u8> {
            let numbers = numbers.map(|x| *x as f32);
            numbers.flat_map(f32::to_le_bytes).collect()
        };
        let shape = serde_json::json!({ "dimensions": job.dimensions, "passes": PASSES });
        self.write("points.f32", &singles(&mut job.points.iter()))?;
        self.write("centroids.f32", &singles(&mut job.centroids.iter()))?;
        let found = found.iter().copied().flat_map(u32::to_le_bytes);
        self.write("found.u32", &found.collect::<Vec<u8>>())?;
        self.write("shape.json", shape.to_string().as_bytes())?;
        let out = self.folder.join("peers.json");
        let mut command = Command::new(&self.python);
        command.arg("-B").arg(workspace("benches/nearest/peers.py"));
        // Set before any library that reads the number of threads is loaded.
        command
            .env("OMP_NUM_THREADS", "1")
            .env("OPENBLAS_NUM_THREADS", "1");
        children::output(command.arg(&self.folder).arg(&out))?;
        Ok(serde_json::from_slice(&fs::read(out)?)?)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<()> {
        Ok(fs::write(Path::join(&self.folder, name), bytes)?)
    }
}
