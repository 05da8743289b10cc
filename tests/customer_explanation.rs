//! Checks an instance's explanation of a customer's segment against one computed from the model file and the
//! configuration alone.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use flockwise_config::Config;
use flockwise_core::feature::Transform;
use flockwise_tests::TIMEOUT;
use flockwise_tests::process::{
    Finished, Process, flockwise, folder, free_address, get, json_lines, run, workspace,
};
use serde_json::Value;
use tempfile::TempDir;

/// The demo after its last event, and a replay of the same orders.
struct Scenario {
    demo: Process,
    address: SocketAddr,
    folder: TempDir,
    shop: Shop,
}

/// How a feature's value becomes an element of the vector.
struct Feature {
    transform: Transform,
    clip: (f64, f64),
}

/// The model as read from its file, and the features of the configuration.
struct Shop {
    names: Vec<String>,
    features: Vec<Feature>,
    deviations: Vec<f64>,
    /// Centroids by segment.
    segments: BTreeMap<u64, Vec<f64>>,
    margin: f64,
}

impl Scenario {
    fn create() -> Self {
        let (address, folder) = (free_address(), folder());
        let listen = address.to_string();
        let demo = ["demo", "--speed", "100000", "--listen", &listen];
        let demo = Process::start(&mut flockwise(&demo));
        let out = folder.path().join("out");
        run(replay().arg("--out").arg(&out)).expect(0, &[]);
        let model = std::fs::read_to_string(out.join("model.json")).expect("a model");
        let shop = Shop::of(&serde_json::from_str(&model).expect("JSON"));
        let scenario = Self {
            demo,
            address,
            folder,
            shop,
        };
        let start = Instant::now();
        while !scenario.demo.stdout().contains("The year is over") {
            assert!(start.elapsed() < TIMEOUT, "{}", scenario.demo.stderr());
            std::thread::sleep(Duration::from_millis(10));
        }
        scenario
    }

    fn ask(&self, customer: &str, more: &[&str]) -> Finished {
        let address = format!("http://{}/", self.address);
        let mut command = flockwise(&["customer", customer, "--ask", "127.0.0.1:1"]);
        run(command.args(["--ask", &address]).args(more))
    }

    fn explanation(&self, customer: &str) -> Value {
        let ended = self.ask(customer, &["--json"]).expect(0, &[]);
        serde_json::from_str(&ended.stdout).expect("JSON and nothing else")
    }

    fn out(&self, name: &str) -> PathBuf {
        self.folder.path().join("out").join(name)
    }
}

/// A command that replays the demo's orders.
fn replay() -> Command {
    let mut command = flockwise(&["replay"]);
    command
        .arg(workspace().join("crates/flockwise/data/online-retail.jsonl.zst"))
        .arg("--config")
        .arg(workspace().join("config/web-shop.toml"));
    command
}

fn numbers(value: &Value) -> Vec<f64> {
    let values = value.as_array().expect("numbers").iter();
    values
        .map(|value| value.as_f64().expect("a number"))
        .collect()
}

fn number(value: &Value) -> f64 {
    value.as_f64().expect("a number")
}

fn assert_near(found: f64, expected: f64) {
    let slack = 1e-9 * (1.0 + expected.abs());
    assert!((found - expected).abs() <= slack, "{found}, not {expected}");
}

impl Feature {
    fn in_vector(&self, value: f64) -> f64 {
        let size = match self.transform {
            Transform::None => value.abs(),
            Transform::Log1p => value.abs().ln_1p(),
            Transform::Sqrt => value.abs().sqrt(),
        };
        size.copysign(value).clamp(self.clip.0, self.clip.1)
    }
}

impl Shop {
    fn of(model: &Value) -> Self {
        let config = Config::load(&workspace().join("config/web-shop.toml"), []);
        let config = config.unwrap_or_else(|errors| panic!("{errors}"));
        let features = config.features.iter();
        assert!(features.clone().all(|feature| feature.weight == 1.0));
        let segments = model["artefacts"]["segmentation"]["segments"]
            .as_array()
            .expect("segments")
            .iter();
        Self {
            names: features
                .clone()
                .map(|feature| feature.name.clone())
                .collect(),
            features: features
                .map(|feature| Feature {
                    transform: feature.transform,
                    clip: feature.clip.unwrap_or((f64::MIN, f64::MAX)),
                })
                .collect(),
            deviations: numbers(&model["artefacts"]["segmentation"]["scaler"]["deviations"]),
            segments: segments
                .map(|segment| {
                    (
                        segment["id"].as_u64().expect("an id"),
                        numbers(&segment["centroid"]),
                    )
                })
                .collect(),
            margin: config.decision.margin,
        }
    }

    fn values(&self, explanation: &Value) -> Vec<f64> {
        let lines = explanation["features"].as_array().expect("features");
        assert_eq!(lines.len(), self.names.len());
        let value = |name: &String| {
            let mut lines = lines.iter();
            let line = lines.find(|line| line["feature"] == name.as_str());
            number(&line.expect("every feature")["value"])
        };
        self.names.iter().map(value).collect()
    }

    /// Each feature's part of the squared distance to a segment.
    fn parts(&self, values: &[f64], segment: u64) -> Vec<f64> {
        let part = |index: usize| {
            let gap =
                self.features[index].in_vector(values[index]) - self.segments[&segment][index];
            (gap / self.deviations[index]).powi(2)
        };
        (0..values.len()).map(part).collect()
    }

    fn distance(&self, values: &[f64], segment: u64) -> f64 {
        self.parts(values, segment).iter().sum::<f64>().sqrt()
    }

    /// The segment that a customer of segment `own` with these values moves to; `None` if it stays.
    fn moved(&self, values: &[f64], own: u64) -> Option<u64> {
        let distance = |segment: &u64| self.distance(values, *segment);
        let ids = self.segments.keys().copied();
        let nearest = ids.min_by(|left, right| distance(left).total_cmp(&distance(right)));
        let nearest = nearest.expect("segments");
        (distance(&nearest) < distance(&own) * (1.0 - self.margin)).then_some(nearest)
    }

    /// Checks an explanation. Returns the number of counterfactuals that name a feature.
    fn check(&self, explanation: &Value) -> usize {
        let values = self.values(explanation);
        let id = |place: &Value| place["segment"].as_u64().expect("a segment");
        let (own, other) = (
            id(&explanation["segment"]),
            id(&explanation["nearest_other"]),
        );
        let [distance, distance_other] = [own, other].map(|id| self.distance(&values, id));
        assert_near(number(&explanation["distance"]), distance);
        assert_near(number(&explanation["distance_other"]), distance_other);
        assert_near(
            number(&explanation["margin"]),
            1.0 - distance / distance_other,
        );
        let others = self.segments.keys().filter(|id| **id != own);
        let least = others.map(|id| self.distance(&values, *id));
        assert_near(least.fold(f64::INFINITY, f64::min), distance_other);
        self.check_pulls(explanation, own, other);
        let counterfactuals = explanation["counterfactuals"]
            .as_array()
            .expect("counterfactuals");
        assert_eq!(counterfactuals.len(), self.segments.len() - 1);
        let reached = counterfactuals
            .iter()
            .filter(|counterfactual| counterfactual["feature"].is_string());
        reached.clone().for_each(|counterfactual| {
            self.check_counterfactual(counterfactual, &values, own, id(&counterfactual["to"]));
        });
        reached.count()
    }

    fn check_pulls(&self, explanation: &Value, own: u64, other: u64) {
        let values = self.values(explanation);
        let [near, far] = [own, other].map(|id| self.parts(&values, id));
        let mut sum = 0.0;
        for line in explanation["features"].as_array().expect("features") {
            let name = line["feature"].as_str().expect("a name");
            let index = self.names.iter().position(|known| known == name);
            let index = index.expect("a feature");
            assert_near(number(&line["pull"]), far[index] - near[index]);
            for (key, segment) in [("typical", own), ("typical_other", other)] {
                let feature = &self.features[index];
                let free = Feature {
                    clip: (f64::MIN, f64::MAX),
                    ..*feature
                };
                assert_near(
                    free.in_vector(number(&line[key])),
                    self.segments[&segment][index],
                );
            }
            sum += number(&line["pull"]);
        }
        let [distance, other] = ["distance", "distance_other"].map(|key| number(&explanation[key]));
        assert_near(sum, other * other - distance * distance);
    }

    /// Checks that the needed value moves the customer, and that a value a thousandth nearer to the current one does
    /// not.
    fn check_counterfactual(&self, counterfactual: &Value, values: &[f64], own: u64, to: u64) {
        let name = counterfactual["feature"].as_str().expect("a name");
        let index = self.names.iter().position(|known| known == name);
        let index = index.expect("a feature");
        let [value, needed] = ["value", "needed"].map(|key| number(&counterfactual[key]));
        assert_eq!(value, values[index]);
        let moved = |value: f64| {
            let mut values = values.to_vec();
            values[index] = value;
            self.moved(&values, own)
        };
        assert_eq!(moved(needed), Some(to), "{counterfactual}");
        assert_ne!(
            moved(needed + (value - needed) / 1000.0),
            Some(to),
            "{counterfactual}"
        );
        let feature = &self.features[index];
        let length = feature.in_vector(needed) - feature.in_vector(value);
        assert_near(
            number(&counterfactual["move"]),
            length.abs() / self.deviations[index],
        );
    }
}

#[test]
fn an_answer_is_what_the_model_says() {
    let scenario = Scenario::create();
    let customers = json_lines(&scenario.out("customers.jsonl"));
    let segment_of: BTreeMap<&str, &Value> = customers
        .iter()
        .map(|line| {
            (
                line["customer_id"].as_str().expect("an id"),
                &line["segment"],
            )
        })
        .collect();
    let mut counterfactuals = 0;
    for (id, segment) in segment_of.iter().step_by(segment_of.len() / 25) {
        let explanation = scenario.explanation(id);
        assert_eq!(explanation["customer_id"], *id);
        assert_eq!(&explanation["segment"]["segment"], *segment);
        counterfactuals += scenario.shop.check(&explanation);
        let members = explanation["typical_members"].as_array().expect("members");
        assert!(!members.is_empty() && members.len() <= 5);
        for member in members {
            let member = member.as_str().expect("an id");
            assert!(member != *id && segment_of[member] == *segment, "{member}");
        }
    }
    assert!(counterfactuals > 10, "{counterfactuals}");

    let explanation = scenario.explanation("12417");
    let at = explanation["as_of"].as_str().expect("a time");
    let out = scenario.folder.path().join("then");
    run(replay().args(["--at", at, "--out"]).arg(&out)).expect(0, &[]);
    let then = json_lines(&out.join("customers.jsonl"));
    let line = then.iter().find(|line| line["customer_id"] == "12417");
    let line = line.expect("the customer");
    for (name, value) in scenario
        .shop
        .names
        .iter()
        .zip(scenario.shop.values(&explanation))
    {
        assert_near(value, number(&line["features"][name]));
    }

    let ended = scenario.ask("12417", &[]).expect(0, &[]);
    let name = explanation["segment"]["name"].as_str().expect("a name");
    for word in ["customer 12417", name, "last order", "total", "typical"] {
        assert!(ended.stdout.contains(word), "{}", ended.stdout);
    }
    scenario
        .ask("nobody", &[])
        .expect(1, &["there is no customer nobody"]);
    let refusal = get(scenario.address, "/api/v1/customers/nobody").expect("an answer");
    let refusal: Value = serde_json::from_str(&refusal).expect("JSON");
    assert_eq!(refusal["error"], "there is no such customer");
}

#[test]
fn the_demo_serves_the_sizes_of_its_segments_and_its_versions() {
    let scenario = Scenario::create();
    let read = |path: &str| -> Value {
        let document = get(scenario.address, path).expect("an answer");
        serde_json::from_str(&document).expect("JSON")
    };
    let segments = read("/api/v1/segments");
    let customers = json_lines(&scenario.out("customers.jsonl"));
    for entry in segments["segments"].as_array().expect("segments") {
        let is_in = |line: &&Value| line["segment"] == entry["segment"];
        assert_eq!(
            customers.iter().filter(is_in).count() as u64,
            entry["customers"],
            "{entry}"
        );
    }
    assert_eq!(segments["customers"], customers.len());
    let summary = std::fs::read_to_string(scenario.out("summary.json")).expect("a summary");
    let summary: Value = serde_json::from_str(&summary).expect("JSON");
    assert_eq!(segments["model_version"], summary["model_version"]);
    let versions = read("/api/v1/model/versions");
    let versions = versions["versions"].as_array().expect("versions");
    let live = versions.iter().filter(|version| version["state"] == "live");
    let live: Vec<&Value> = live.map(|version| &version["version"]).collect();
    assert_eq!(live, [&segments["model_version"]]);
}

#[test]
fn who_cannot_be_asked_is_named() {
    let customer = |line: &str| {
        let line: Vec<&str> = line.split_whitespace().collect();
        run(&mut flockwise(&[&["customer"], &line[..]].concat()))
    };
    let ended = customer("17850 --ask 127.0.0.1:1 --ask http://127.0.0.1:2");
    ended.expect(1, &["17850", "127.0.0.1:1", "http://127.0.0.1:2", "--ask"]);
    customer("").expect(2, &["ID"]);
    customer("17850 --config missing.toml").expect(2, &["missing.toml"]);
    customer("17850 --ask 127.0.0.1:1 --config x.toml").expect(2, &["--config"]);
    run(flockwise(&["customer"]).arg("")).expect(2, &["ID"]);
}
