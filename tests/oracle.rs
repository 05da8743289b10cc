//! Compares replays with an oracle that shares no code with the product, and with repeated replays.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use flockwise_tests::events::lines;
use flockwise_tests::process::{flockwise, folder, json_lines, run, workspace, write_lines};
use flockwise_tests::scenario_pipeline::FEATURES;
use tempfile::TempDir;

/// The files that `replay --out` writes.
const FILES: [&str; 5] = [
    "customers.jsonl",
    "dead-letters.jsonl",
    "model.json",
    "segment-changes.jsonl",
    "summary.json",
];

/// A folder with a configuration, events and the results of replays.
struct Scenario {
    folder: TempDir,
    config: PathBuf,
    events: PathBuf,
}

impl Scenario {
    /// The demo's data: a year of orders of a real shop.
    fn with_demo_orders() -> Self {
        let folder = folder();
        let packed = workspace().join("crates/flockwise/data/online-retail.jsonl.zst");
        let packed = fs::File::open(packed).expect("the shop's orders");
        let orders = zstd::decode_all(packed).expect("unpacked");
        let events = folder.path().join("orders.jsonl");
        fs::write(&events, orders).expect("written");
        let config = workspace().join("config/web-shop.toml");
        Self {
            folder,
            config,
            events,
        }
    }

    /// The generated shop with late and duplicate lines, and features of every kind.
    fn with_generated_events(config_sections: &str) -> Self {
        let folder = folder();
        let events = folder.path().join("events.jsonl");
        let mut lines = lines(12_000, 300, 5);
        // The generator makes few late and duplicate lines. Add a whole run of each.
        let run: Vec<String> = lines.drain(2_000..2_100).collect();
        lines.splice(4_000..4_000, run);
        let again: Vec<String> = lines[6_000..6_100].to_vec();
        lines.splice(6_150..6_150, again);
        write_lines(&events, lines.iter().map(String::as_bytes));
        let config = folder.path().join("config.toml");
        let input = "[[input]]\ntopic = \"events\"\nformat = \"segment\"";
        let text = format!("app = \"shop\"\n{input}\n{FEATURES}\n{config_sections}");
        fs::write(&config, text).expect("written");
        Self {
            folder,
            config,
            events,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn replay(&self, out: &str, arguments: &[&str]) {
        self.command(out, arguments, &[]);
    }

    fn command(&self, out: &str, arguments: &[&str], environment: &[(&str, &str)]) {
        let mut command = flockwise(&["replay", text(&self.events)]);
        command.args([
            "--config",
            text(&self.config),
            "--out",
            text(&self.path(out)),
        ]);
        command.args(arguments).envs(environment.iter().copied());
        run(&mut command).expect(0, &[]);
    }

    /// Checks a replay's customers with the oracle.
    fn check_with_oracle(&self, out: &str) {
        let customers = self.path(out).join("customers.jsonl");
        assert!(
            json_lines(&customers).len() > 100,
            "too few customers to prove anything"
        );
        let mut oracle = Command::new("python3");
        oracle.arg(workspace().join("tests/oracle/features.py"));
        oracle.args([&self.config, &self.events, &customers]);
        let answer = oracle.output().expect("python3 is needed for this test");
        let output = String::from_utf8_lossy(&answer.stdout);
        let stderr = String::from_utf8_lossy(&answer.stderr);
        assert!(answer.status.success(), "{output}{stderr}");
        println!("{output}");
    }

    fn check_same(&self, left: &str, right: &str) {
        for file in FILES {
            let read = |out: &str| fs::read(self.path(out).join(file)).expect("a file");
            let (left_bytes, right_bytes) = (read(left), read(right));
            assert!(
                !left_bytes.is_empty() || file == "dead-letters.jsonl",
                "{file} is empty"
            );
            assert!(
                left_bytes == right_bytes,
                "{file} of {left} and {right} differ"
            );
        }
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

const DAILY: &str = r#"
[model]
k = { min = 3, max = 6 }
warm_up = { customers = 50 }
half_life = "7d"
[decision]
margin = 0.1
patience = 0.0
cooldown = "6h"
[sweep]
every = "1d"
[time]
remembered_ids = 1024
"#;

const UNSWEPT: &str = r#"
[model]
k = 4
warm_up = { customers = 50 }
[sweep]
every = "off"
[time]
remembered_ids = 1024
"#;

#[test]
fn the_oracle_agrees_with_itself() {
    let mut oracle = Command::new("python3");
    let oracle = oracle
        .arg(workspace().join("tests/oracle/features.py"))
        .arg("--self-test");
    let answer = oracle.output().expect("python3 is needed for this test");
    assert!(
        answer.status.success(),
        "{}",
        String::from_utf8_lossy(&answer.stderr)
    );
}

#[test]
fn the_shops_year_is_as_the_oracle_has_it_and_the_same_again() {
    let scenario = Scenario::with_demo_orders();
    scenario.replay("once", &[]);
    scenario.check_with_oracle("once");
    scenario.replay("again", &[]);
    scenario.check_same("once", "again");
}

#[test]
fn mid_year_is_as_the_oracle_has_it() {
    let scenario = Scenario::with_demo_orders();
    scenario.replay("mid-year", &["--at", "2011-06-30T12:34:56Z"]);
    scenario.check_with_oracle("mid-year");
    let customers = json_lines(&scenario.path("mid-year/customers.jsonl"));
    let is_then = |customer: &serde_json::Value| customer["as_of"] == "2011-06-30T12:34:56.000Z";
    assert!(customers.iter().all(is_then));
}

#[test]
fn with_a_fixed_model_any_number_of_shards_writes_the_same_bytes() {
    let scenario = Scenario::with_demo_orders();
    scenario.replay("learnt", &[]);
    let model = scenario.path("learnt/model.json");
    let fixed = [("FLOCKWISE__MODEL__LEARN", "false")];
    for shards in ["1", "2", "5"] {
        scenario.command(
            shards,
            &["--model", text(&model), "--shards", shards],
            &fixed,
        );
    }
    scenario.check_same("1", "2");
    scenario.check_same("1", "5");
    let kept = |out: &str| -> serde_json::Value {
        let model = fs::read(scenario.path(out).join("model.json")).expect("a model");
        serde_json::from_slice(&model).expect("JSON")
    };
    let segments = |out: &str| kept(out)["artefacts"]["segmentation"]["segments"].take();
    assert!(segments("1").is_array());
    assert_eq!(segments("1"), segments("learnt"));
}

#[test]
fn every_aggregate_and_condition_is_as_the_oracle_has_it() {
    for config_sections in [DAILY, UNSWEPT] {
        let scenario = Scenario::with_generated_events(config_sections);
        scenario.replay("end", &[]);
        scenario.check_with_oracle("end");
        scenario.replay("again", &[]);
        scenario.check_same("end", "again");
        scenario.replay("between", &["--at", "2026-02-07T08:09:10.111Z"]);
        scenario.check_with_oracle("between");
    }
}

#[test]
fn training_is_the_same_for_any_shards() {
    let scenario = Scenario::with_generated_events(DAILY);
    for shards in ["1", "3"] {
        scenario.replay(shards, &["--shards", shards]);
    }
    scenario.check_same("1", "3");
}
