//! `flockwise model` on real Kafka: a version that would move many customers stays held over a restart, is approved,
//! and is rolled back.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use flockwise_codec::partitioner::Partitioner;
use flockwise_codec::time::write_time;
use flockwise_runtime::topics::{Topic, Topics};
use flockwise_tests::events::{InputRecord, record};
use flockwise_tests::eventually;
use flockwise_tests::kafka::{Kafka, servers};
use flockwise_tests::process::{Finished, Process, flockwise, folder, free_address, get, run};
use flockwise_tests::test_broker::{TestBroker, topics};
use serde_json::{Value, json};
use tempfile::TempDir;

const PARTITIONS: u32 = 2;
const CUSTOMERS: u64 = 300;
/// Customers with a lower number change their behaviour.
const CHANGING: u64 = 100;
/// Customers that visit in an hour.
const VISITORS: u64 = 60;
/// 2040-03-01T00:00:00Z, later than the pipeline's first start: during a backfill no version is held.
const START_MS: i64 = 2_214_172_800_000;
/// Timestamp of every record, 2026-03-01T00:00:00Z. Brokers reject timestamps in the future.
const RECORDED_MS: i64 = 1_772_323_200_000;
const HOUR_MS: i64 = 3_600_000;

/// The trainer makes a version every four hours, and a sweep scores all customers every hour.
const SETTINGS: &str = r#"
[[feature]]
name = "price"
event = "Visit"
aggregate = "last"
value = "/properties/price"

[[feature]]
name = "pages"
event = "Visit"
aggregate = "last"
value = "/properties/pages"
weight = 0.1

[model]
k = { min = 2, max = 8 }
warm_up = { customers = 200 }
half_life = "4d"
churn_budget = 0.0

[decision]
margin = 0.0
patience = 0.0
dwell = 1
cooldown = "0s"

[sweep]
every = "1h"

[time]
max_ahead = "36500d"
"#;

/// A pipeline and a generated shop in which some customers change the prices that they pay.
struct Shop {
    folder: TempDir,
    kafka: Kafka,
    hour: i64,
    has_changed: bool,
}

impl Shop {
    fn open() -> Option<Self> {
        let servers = servers()?;
        let topics = topics(PARTITIONS, 1);
        let kafka = Kafka::of(&servers, topics.clone());
        kafka.create_input(&topics.inputs[0], PARTITIONS);
        let shop = Self {
            folder: folder(),
            kafka,
            hour: 0,
            has_changed: false,
        };
        let Topics { app, inputs, .. } = &topics;
        let config = format!(
            "app = \"{app}\"\nshards = 1\n[kafka]\nbootstrap_servers = \"{servers}\"\n\
             [[input]]\ntopic = \"{}\"\nformat = \"native\"\n{SETTINGS}",
            inputs[0]
        );
        fs::write(shop.path("shop.toml"), config).expect("written");
        Some(shop)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn start(&self) -> (Process, SocketAddr) {
        let address = free_address();
        let mut command = flockwise(&["run", "--config", "shop.toml"]);
        command.current_dir(self.folder.path());
        command.env("FLOCKWISE__STATE__DIRECTORY", self.path("state"));
        command.env("FLOCKWISE__HTTP__LISTEN", address.to_string());
        let process = Process::start(&mut command);
        eventually("it has tasks", || {
            process.stderr().contains("tasks assigned")
        });
        (process, address)
    }

    /// Runs `flockwise model`.
    fn model(&self, arguments: &[&str]) -> Finished {
        run(&mut self.command(arguments))
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = flockwise(&["model"]);
        command.args(arguments).args(["--config", "shop.toml"]);
        command.current_dir(self.folder.path());
        command
    }

    fn model_json(&self, arguments: &[&str]) -> Value {
        let ended = self.model(&[arguments, &["--json"]].concat());
        serde_json::from_str(&ended.expect(0, &[]).stdout).expect("JSON and nothing else")
    }

    /// Numbers of the versions in this state.
    fn versions(&self, state: &str) -> Vec<u64> {
        let list = self.model_json(&["list"]);
        let versions = list["versions"].as_array().expect("versions");
        let versions = versions.iter().filter(|version| version["state"] == state);
        versions.filter_map(|v| v["version"].as_u64()).collect()
    }

    /// Produces an hour in which these customers visit, and waits until it is committed.
    fn produce_hour(&mut self, customers: &[u64]) {
        let start_ms = START_MS + self.hour * HOUR_MS;
        let step_ms = HOUR_MS / (customers.len() as i64 + 1);
        let visit = |(segment_of, customer): (i64, &u64)| {
            let time = write_time(start_ms + segment_of * step_ms);
            let record = record("native", &self.visit(*customer, &time));
            let record = record.keyed(Partitioner::Crc32, PARTITIONS);
            InputRecord {
                timestamp_ms: RECORDED_MS,
                ..record
            }
        };
        let visits: Vec<_> = (1..).zip(customers).map(visit).collect();
        self.kafka.put(&visits);
        self.hour += 1;
        eventually("everything is committed", || self.kafka.is_drained());
    }

    /// Produces an hour with the next `VISITORS` customers.
    fn produce_next_hour(&mut self) {
        let first = self.hour.unsigned_abs() * VISITORS;
        let visitors = (first..first + VISITORS).map(|number| number % CUSTOMERS);
        self.produce_hour(&visitors.collect::<Vec<_>>());
    }

    fn visit(&self, customer: u64, time: &str) -> String {
        let price = match customer {
            0..CHANGING if self.has_changed => 35.0,
            _ if customer.is_multiple_of(2) || customer < CHANGING => 10.0,
            _ => 90.0,
        };
        let properties = json!({
            "price": price + noise(customer, 1),
            "pages": 20.0 + noise(customer, 2),
        });
        json!({
            "customer_id": format!("c{customer}"),
            "event": "Visit",
            "time": time,
            "event_id": format!("{customer}-{time}"),
            "properties": properties,
        })
        .to_string()
    }

    /// All changes of customers so far.
    fn changes(&self) -> Vec<Value> {
        let records = self.kafka.read(Topic::SegmentChanges);
        let values = records.into_iter().flatten();
        let of_customers = values.filter(|record| record.key.is_some());
        let read = |value: Vec<u8>| serde_json::from_slice(&value).expect("JSON");
        of_customers
            .filter_map(|record| record.value.map(read))
            .collect()
    }

    /// The segment of each customer.
    fn segments(&self) -> BTreeMap<String, u64> {
        let segment_of = |change: Value| {
            let customer = change["customer_id"].as_str()?.to_owned();
            Some((customer, change["to"]["segment"].as_u64()))
        };
        let last: BTreeMap<_, _> = self.changes().into_iter().filter_map(segment_of).collect();
        // Expired customers have no segment.
        let present = last.into_iter();
        present
            .filter_map(|(customer, segment)| Some((customer, segment?)))
            .collect()
    }

    /// Changes from one segment to another that a model version caused.
    fn moved_by_model(&self) -> Vec<Value> {
        let is_made = |change: &Value| change["cause"] == "model" && !change["from"].is_null();
        self.changes().into_iter().filter(is_made).collect()
    }
}

/// Deterministic noise between -6 and 6, concentrated around zero.
fn noise(customer: u64, salt: u64) -> f64 {
    let draw = |n: u64| {
        let mixed = (customer * 8 + salt * 4 + n).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        ((mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 40) as f64
            / f64::from(1 << 24)
    };
    (0..4).map(draw).sum::<f64>() * 3.0 - 6.0
}

#[test]
fn what_would_move_many_is_held_until_it_is_approved_and_can_be_rolled_back() {
    let Some(mut shop) = Shop::open() else { return };
    let missing = shop.model(&["list"]);
    missing.expect(1, &["`flockwise run` creates it"]);
    let (process, address) = shop.start();
    let before = first_versions(&mut shop);
    let held = change_until_held(&mut shop);
    let line = format!("flockwise_model_held_version{{worker=\"0\"}} {held}");
    let says = |address| get(address, "/metrics").unwrap_or_default().contains(&line);
    eventually("the metric names the held version", || says(address));
    assert_eq!(shop.segments(), before, "a held version moved customers");
    process.terminate().expect(
        0,
        &["larger share of customers than model.churn_budget, and is held"],
    );

    let (process, address) = shop.start();
    eventually("the metric names the held version after a restart", || {
        says(address)
    });
    assert_eq!(shop.versions("held"), [held]);
    approve(&mut shop, held);
    roll_back(&mut shop, &before);
    import(&shop);
    process.terminate().expect(0, &["command executed"]);
    let why = ["--why", "nobody is there", "--wait", "1"];
    let ended = shop.model(&[&["rollback", "1"], &why[..]].concat());
    ended.expect(1, &["no trainer has executed it within 1 s"]);
}

/// Before the first version, `model list`, `/readyz`, the metrics and the log say what the warm-up waits for, and the
/// instance is ready.
#[test]
fn what_warm_up_waits_for_is_told() {
    let Some(mut shop) = Shop::open() else { return };
    let (process, address) = shop.start();
    let fewer = 0..CUSTOMERS / 2;
    shop.produce_hour(&fewer.collect::<Vec<_>>());
    shop.produce_hour(&[0, 1]);
    let text = |path| get(address, path).unwrap_or_default();
    let list = || shop.model(&["list"]).expect(0, &[]).stdout;
    let waits = "it waits for customers";
    eventually("`model list` names the reason", || {
        list().contains(waits) && !list().contains("sampled 0 of")
    });
    eventually("/readyz names the same reason", || {
        let list = list();
        let warm_up = list.trim().strip_prefix("no version yet: ");
        text("/readyz").contains(warm_up.expect("a reason"))
    });
    assert!(
        text("/readyz").contains("\"ready\":true"),
        "{}",
        text("/readyz")
    );
    let wanted = "flockwise_warm_up_customers_wanted{worker=\"0\"} 200";
    eventually("the metrics show the warm-up", || {
        text("/metrics").contains(wanted)
    });
    shop.produce_hour(&(0..CUSTOMERS).collect::<Vec<_>>());
    shop.produce_hour(&[0, 1]);
    eventually("the warm-up is over", || {
        text("/readyz").contains("\"warm_up\":null")
    });
    let wanted = "flockwise_warm_up_customers_wanted{worker=\"0\"} 0";
    eventually("the metrics show the end of the warm-up", || {
        text("/metrics").contains(wanted)
    });
    let lineage = || shop.kafka.read(Topic::Lineage).concat();
    eventually("the lineage says that the backfill is over", || {
        let says = |text: &[u8]| String::from_utf8_lossy(text).contains("pipeline.caught_up");
        let records = lineage();
        records
            .iter()
            .any(|record| record.value.as_deref().is_some_and(says))
    });
    process.terminate().expect(0, &["no segments yet", waits]);
}

/// Runs until every customer is in one of two segments. Returns the segment of each customer.
fn first_versions(shop: &mut Shop) -> BTreeMap<String, u64> {
    shop.model(&["show"]).expect(1, &["no version"]);
    assert_eq!(shop.model_json(&["list"])["versions"], json!([]));
    shop.produce_hour(&(0..CUSTOMERS).collect::<Vec<_>>());
    for _ in 0..3 {
        shop.produce_next_hour();
    }
    eventually("every customer has a segment", || {
        shop.segments().len() == CUSTOMERS as usize
    });
    assert_eq!(shop.versions("held"), [0; 0]);
    let shown = shop.model_json(&["show"]);
    assert_eq!(
        shown["segments"].as_array().map(Vec::len),
        Some(2),
        "{shown}"
    );
    shop.segments()
}

/// A third of the customers change their behaviour. Returns the version that is then held.
fn change_until_held(shop: &mut Shop) -> u64 {
    shop.has_changed = true;
    shop.produce_hour(&(0..CHANGING).collect::<Vec<_>>());
    for _ in 0..40 {
        if let [held] = shop.versions("held")[..] {
            let shown = shop.model(&["show", "--held"]).expect(0, &[]).stdout;
            assert!(shown.contains(&format!("version {held}, held")), "{shown}");
            assert!(shop.moved_by_model().is_empty(), "a held version is used");
            return held;
        }
        shop.produce_next_hour();
    }
    panic!("no version is held: {}", shop.model(&["list"]).stdout);
}

fn approve(shop: &mut Shop, held: u64) {
    let why = ["--why", "the sale is on", "--who", "anna"];
    let approve =
        |version: u64| shop.model(&[&["approve", &version.to_string()], &why[..]].concat());
    approve(held + 1).expect(1, &["is not held", &format!("version {held} is")]);
    let done = approve(held).expect(0, &[]).stdout;
    assert!(
        done.contains(&format!("version {held} is in use")),
        "{done}"
    );
    approve(held).expect(1, &["is not held"]);
    let shown = shop.model_json(&["show"]);
    assert_eq!(shown["version"], held);
    assert_eq!(shown["command"]["who"], "anna");
    shop.produce_next_hour();
    shop.produce_next_hour();
    let made = shop.moved_by_model();
    assert!(made.len() >= CHANGING as usize * 9 / 10, "{}", made.len());
    for change in made {
        assert_eq!(change["model_version"], held, "{change}");
        assert!(
            change["model_version_before"].as_u64() < Some(held),
            "{change}"
        );
        let step = &change["lineage"]["step"];
        assert!(*step == "born" || *step == "split", "{change}");
    }
}

fn roll_back(shop: &mut Shop, before: &BTreeMap<String, u64>) {
    assert_ne!(shop.segments(), *before);
    let why = ["--why", "a test was in the data"];
    let rolled_back = shop.model_json(&[&["rollback", "1"], &why[..]].concat());
    let version = rolled_back["version"].as_u64().expect("a version");
    assert_eq!(shop.versions("live"), [version]);
    shop.produce_next_hour();
    shop.produce_next_hour();
    assert_eq!(shop.segments(), *before);
    assert_eq!(shop.versions("live"), [version]);
}

/// Imports a model with a name and a pin set by hand.
fn import(shop: &Shop) {
    let exported = ["export", "--out", "model.json"];
    shop.model(&exported).expect(0, &[]);
    let bytes = fs::read(shop.path("model.json")).expect("exported");
    let mut model: Value = serde_json::from_slice(&bytes).expect("JSON");
    let segment = &mut model["artefacts"]["segmentation"]["segments"][0];
    segment["name"] = json!("our regulars");
    segment["pinned"] = json!(true);
    fs::write(shop.path("model.json"), model.to_string()).expect("written");
    let line = ["import", "model.json", "--why", "names by marketing"];
    let mut command = shop.command(&line);
    command.env("FLOCKWISE__KAFKA__PROPERTIES__MESSAGE_MAX_BYTES", "2000");
    run(&mut command).expect(1, &["bytes as a record, but the limit is 2000"]);
    shop.model(&line).expect(0, &[]);
    let shown = shop.model_json(&["show"]);
    assert_eq!(shown["segments"][0]["name"], "our regulars");
    assert_eq!(shown["segments"][0]["pinned"], true);
    assert_eq!(shown["command"]["what"], "import");
}
