//! Checks that the learned model does not depend on the sweep period.

use std::fs;
use std::path::Path;

use flockwise_tests::events::lines_over;
use flockwise_tests::process::{flockwise, folder, json_lines, run, write_lines};
use flockwise_tests::scenario_pipeline::FEATURES;
use serde_json::Value;

const CUSTOMERS: u32 = 300;

/// One event per eighteen minutes: most minutes have none, as at night and in small shops.
const EVENTS: u64 = 12_000;
const DAYS: u32 = 150;

const LEARNING: &str = r#"
[model]
k = 6
warm_up = { customers = 250 }
"#;

/// Replays with a sweep period. Returns the quantisation error of the model over all customers, as of a fixed
/// instant.
fn error(folder: &Path, events: &Path, sweep: &str) -> f64 {
    let config = folder.join(format!("{sweep}.toml"));
    let input = "[[input]]\ntopic = \"events\"\nformat = \"segment\"";
    let text =
        format!("app = \"shop\"\n{input}\n{FEATURES}\n{LEARNING}\n[sweep]\nevery = \"{sweep}\"\n");
    fs::write(&config, text).expect("written");
    let out = folder.join(sweep);
    let mut command = flockwise(&["replay", "--at", "2026-05-20T00:00:00Z"]);
    command.arg(events).arg("--config").arg(&config);
    command.arg("--out").arg(&out);
    run(&mut command).expect(0, &[]);
    let model = fs::read(out.join("model.json"));
    let model = model.unwrap_or_else(|error| panic!("no model with a sweep of {sweep}: {error}"));
    let model: Value = serde_json::from_slice(&model).expect("JSON");
    let segments = model["artefacts"]["segmentation"]["segments"]
        .as_array()
        .expect("segments");
    let centroids: Vec<Vec<f64>> = segments
        .iter()
        .map(|segment| numbers(&segment["centroid"]))
        .collect();
    let customers = json_lines(&out.join("customers.jsonl"));
    let vectors: Vec<Vec<f64>> = customers
        .iter()
        .map(|customer| numbers(&customer["vector"]))
        .collect();
    assert!(vectors.len() > 250, "{} customers", vectors.len());
    mean_squared_distance(&vectors, &centroids)
}

fn numbers(list: &Value) -> Vec<f64> {
    let list = list.as_array().expect("a list");
    list.iter()
        .map(|number| number.as_f64().expect("a number"))
        .collect()
}

/// Mean squared distance to the nearest centroid. Each dimension is scaled by the customers' own deviation.
fn mean_squared_distance(vectors: &[Vec<f64>], centroids: &[Vec<f64>]) -> f64 {
    let count = vectors.len() as f64;
    let dimensions = 0..vectors[0].len();
    let variances: Vec<f64> = dimensions
        .map(|index| {
            let mean = vectors.iter().map(|vector| vector[index]).sum::<f64>() / count;
            let squares = vectors.iter().map(|vector| (vector[index] - mean).powi(2));
            squares.sum::<f64>() / count
        })
        .collect();
    let squared = |vector: &[f64], centroid: &[f64]| -> f64 {
        let gaps = vector.iter().zip(centroid).zip(&variances);
        gaps.filter(|(_, variance)| **variance > 0.0)
            .map(|((x, c), variance)| (x - c).powi(2) / variance)
            .sum()
    };
    let nearest = |vector: &Vec<f64>| {
        let distances = centroids.iter().map(|centroid| squared(vector, centroid));
        distances.fold(f64::INFINITY, f64::min)
    };
    vectors.iter().map(nearest).sum::<f64>() / count
}

#[test]
fn a_sweep_of_any_period_learns_the_same() {
    let folder = folder();
    let events = folder.path().join("events.jsonl");
    let lines = lines_over(DAYS, EVENTS, CUSTOMERS, 5);
    write_lines(&events, lines.iter().map(String::as_bytes));
    let hourly = error(folder.path(), &events, "1h");
    for sweep in ["1m", "1d", "30d", "off"] {
        let found = error(folder.path(), &events, sweep);
        println!("{sweep}: {found}, 1h: {hourly}");
        assert!(
            (found / hourly - 1.0).abs() < 0.02,
            "{sweep}: {found}, 1h: {hourly}"
        );
    }
}
