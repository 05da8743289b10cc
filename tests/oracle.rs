//! Replays against an oracle that shares nothing with the product, and against themselves.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use flockwise_tests::events::lines;
use flockwise_tests::pipeline::FEATURES;
use flockwise_tests::process::{flockwise, folder, json_lines, run, workspace, write_lines};
use tempfile::TempDir;

/// What `replay --out` writes.
const FILES: [&str; 5] = [
    "customers.jsonl",
    "dead-letters.jsonl",
    "model.json",
    "segment-changes.jsonl",
    "summary.json",
];

/// A folder with a configuration, events, and what replays of them write.
struct Desk {
    folder: TempDir,
    config: PathBuf,
    events: PathBuf,
}

impl Desk {
    /// The demo's year of orders of a real shop.
    fn with_the_shop() -> Self {
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

    /// The made-up shop, with late lines and lines that come twice, under features of every kind.
    fn with_the_made_up_shop(rest: &str) -> Self {
        let folder = folder();
        let events = folder.path().join("events.jsonl");
        let mut lines = lines(12_000, 300, 5);
        // More of what the generator makes now and then: whole runs late, and runs that come twice.
        let run: Vec<String> = lines.drain(2_000..2_100).collect();
        lines.splice(4_000..4_000, run);
        let again: Vec<String> = lines[6_000..6_100].to_vec();
        lines.splice(6_150..6_150, again);
        write_lines(&events, lines.iter().map(String::as_bytes));
        let config = folder.path().join("config.toml");
        let input = "[[input]]\ntopic = \"events\"\nformat = \"segment\"";
        let text = format!("app = \"shop\"\n{input}\n{FEATURES}\n{rest}");
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

    /// What the oracle says of a replay's customers.
    fn ask_the_oracle(&self, out: &str) {
        let customers = self.path(out).join("customers.jsonl");
        assert!(
            json_lines(&customers).len() > 100,
            "too few customers to prove anything"
        );
        let mut oracle = Command::new("python3");
        oracle.arg(workspace().join("tests/oracle/features.py"));
        oracle.args([&self.config, &self.events, &customers]);
        let answer = oracle.output().expect("python3 is needed for this test");
        let said = String::from_utf8_lossy(&answer.stdout);
        let stderr = String::from_utf8_lossy(&answer.stderr);
        assert!(answer.status.success(), "{said}{stderr}");
        println!("{said}");
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
    let desk = Desk::with_the_shop();
    desk.replay("once", &[]);
    desk.ask_the_oracle("once");
    desk.replay("again", &[]);
    desk.check_same("once", "again");
}

#[test]
fn mid_year_is_as_the_oracle_has_it() {
    let desk = Desk::with_the_shop();
    desk.replay("mid-year", &["--at", "2011-06-30T12:34:56Z"]);
    desk.ask_the_oracle("mid-year");
    let customers = json_lines(&desk.path("mid-year/customers.jsonl"));
    let is_then = |customer: &serde_json::Value| customer["as_of"] == "2011-06-30T12:34:56.000Z";
    assert!(customers.iter().all(is_then));
}

#[test]
fn with_a_fixed_model_any_number_of_shards_writes_the_same_bytes() {
    let desk = Desk::with_the_shop();
    desk.replay("learnt", &[]);
    let model = desk.path("learnt/model.json");
    let fixed = [("FLOCKWISE__MODEL__LEARN", "false")];
    for shards in ["1", "2", "5"] {
        desk.command(
            shards,
            &["--model", text(&model), "--shards", shards],
            &fixed,
        );
    }
    desk.check_same("1", "2");
    desk.check_same("1", "5");
    let kept = |out: &str| -> serde_json::Value {
        let model = fs::read(desk.path(out).join("model.json")).expect("a model");
        serde_json::from_slice(&model).expect("JSON")
    };
    assert_eq!(kept("1")["segments"], kept("learnt")["segments"]);
}

#[test]
fn every_aggregate_and_condition_is_as_the_oracle_has_it() {
    for rest in [DAILY, UNSWEPT] {
        let desk = Desk::with_the_made_up_shop(rest);
        desk.replay("end", &[]);
        desk.ask_the_oracle("end");
        desk.replay("again", &[]);
        desk.check_same("end", "again");
        desk.replay("between", &["--at", "2026-02-07T08:09:10.111Z"]);
        desk.ask_the_oracle("between");
    }
}

#[test]
fn training_is_the_same_for_the_same_shards() {
    let desk = Desk::with_the_made_up_shop(DAILY);
    desk.replay("once", &["--shards", "3"]);
    desk.replay("again", &["--shards", "3"]);
    desk.check_same("once", "again");
}
