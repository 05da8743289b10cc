//! Valid configurations and the values that they give.

mod formats;

use std::path::PathBuf;
use std::time::Duration;

use flockwise_codec::format::Format;
use flockwise_config::{Config, InitialStart, Input, Kafka, LostRecords, Partitioner};
use flockwise_core::dedup::IdMemory;
use flockwise_core::feature::{
    Aggregate, Condition, Constant, Feature, Horizon, Test, Transform, Wording,
};
use flockwise_core::order_rules::{OrderRules, Repeat};
use flockwise_core::pointer::Pointer;
use flockwise_core::policy::{DecisionPolicy, LearningPolicy, TimePolicy};

const SMALLEST: &str = "
    app = \"shop\"
    [[input]]
    topic = \"clicks\"
    [[feature]]
    name = \"orders\"
    aggregate = \"count\"
    lifetime = true
";

const DAY_MS: i64 = 86_400_000;

#[track_caller]
fn parse(toml: &str) -> Config {
    Config::parse(toml).unwrap_or_else(|errors| panic!("{errors}"))
}

fn smallest_with(lines: &str) -> Config {
    parse(&format!("{SMALLEST}\n{lines}"))
}

fn pointer(text: &str) -> Pointer {
    Pointer::parse(text).unwrap()
}

fn orders() -> Feature {
    Feature::count("orders")
}

/// The only feature of a configuration with these lines in its section.
#[track_caller]
fn feature(lines: &str) -> Feature {
    let config = parse(&format!(
        "app = \"shop\"\n[[input]]\ntopic = \"clicks\"\n[[feature]]\nname = \"orders\"\n{lines}"
    ));
    config.features.into_iter().next().unwrap()
}

#[test]
fn what_is_left_out_has_its_default() {
    let expected = Config {
        app: "shop".to_owned(),
        state_partitions: None,
        shards: None,
        standbys: 0,
        partitioner: Partitioner::Murmur2,
        kafka: Kafka {
            bootstrap_servers: "localhost:9092".to_owned(),
            commit_interval_ms: 100,
            lost_records: LostRecords::Stop,
            properties: [].into(),
        },
        inputs: vec![Input {
            topic: "clicks".to_owned(),
            start: InitialStart::Earliest,
            format: Format::builtin("native").unwrap(),
        }],
        orders: OrderRules {
            repeats: vec![("Order Updated".to_owned(), Repeat::Last)],
            ..OrderRules::default()
        },
        features: vec![orders()],
        learning: LearningPolicy {
            k_min: 8,
            k_max: 32,
            half_life_ms: 30 * DAY_MS,
            warm_up_customers: 2000,
            warm_up_ms: 0,
            churn_budget: 0.1,
            learn: true,
            seed: 42,
        },
        import: None,
        decision: DecisionPolicy {
            margin: 0.15,
            patience: 0.35,
            dwell: 1,
            cooldown_ms: 0,
        },
        time: TimePolicy {
            lateness_ms: 30 * DAY_MS,
            max_ahead_ms: Some(3_600_000),
            sweep_ms: Some(3_600_000),
            remembered_ids: IdMemory {
                least: 32,
                span_ms: 600_000,
            },
            forget_ms: None,
        },
        max_skew_ms: 600_000,
        idle_timeout: Duration::from_secs(30),
        state_directory: "flockwise-state".into(),
        memory: None,
        http_listen: "127.0.0.1:8080".parse().unwrap(),
        publishes_history: true,
        brings_in: None,
    };
    assert_eq!(parse(SMALLEST), expected);
}

#[test]
fn the_top_of_the_file() {
    let config = parse(&format!(
        "state_partitions = 12\nshards = 2\npartitioner = \"crc32\"\n{SMALLEST}"
    ));
    assert_eq!(config.state_partitions, Some(12));
    assert_eq!(config.shards, Some(2));
    assert_eq!(config.partitioner, Partitioner::Crc32);
}

#[test]
fn properties_in_either_spelling_are_texts() {
    let config = smallest_with(
        "[kafka]\nbootstrap_servers = \"a:1,b:2\"\ndelivery = \"exactly_once\"\ncommit_interval = \"1s\"\n\
         [kafka.properties]\n\"security.protocol\" = \"SASL_SSL\"\nssl.ca.location = \"ca.pem\"\n\"linger.ms\" = 5\n\
         \"ratio\" = 0.5\n\"log.connection.close\" = false",
    );
    let expected = [
        ("linger.ms", "5"),
        ("log.connection.close", "false"),
        ("ratio", "0.5"),
        ("security.protocol", "SASL_SSL"),
        ("ssl.ca.location", "ca.pem"),
    ];
    let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(config.kafka.properties, expected.into());
    assert_eq!(config.kafka.bootstrap_servers, "a:1,b:2");
    assert_eq!(config.kafka.commit_interval_ms, 1000);
}

#[test]
fn lost_records_stop_their_partition_or_are_skipped() {
    for (word, expected) in [("stop", LostRecords::Stop), ("skip", LostRecords::Skip)] {
        let config = smallest_with(&format!("[kafka]\nlost_records = \"{word}\"\n"));
        assert_eq!(config.kafka.lost_records, expected);
    }
}

#[test]
fn passwords_are_not_shown() {
    let config = smallest_with("[kafka.properties]\n\"sasl.password\" = \"hunter2\"\n");
    let shown = format!("{config:?}");
    assert!(
        shown.contains("sasl.password") && !shown.contains("hunter2"),
        "{shown}"
    );
}

#[test]
fn the_earliest_time_of_an_event_holds_for_all_inputs() {
    const OTHER: &str = "[[input]]\ntopic = \"till\"\nformat = \"segment\"\n";
    for (lines, expected_ms) in [
        ("", 946_684_800_000),
        ("[time]\nearliest = \"2000-01-01\"", 946_684_800_000),
        ("[time]\nearliest = 2000-01-01", 946_684_800_000),
        (
            "[time]\nearliest = \"1997-01-01T01:00:00+01:00\"",
            852_076_800_000,
        ),
        ("[time]\nearliest = 1997-01-01T00:00:00Z", 852_076_800_000),
        ("[time]\nearliest = \"1900-01-01\"", -2_208_988_800_000),
    ] {
        let config = smallest_with(&format!("{OTHER}{lines}"));
        let earliest = config
            .inputs
            .iter()
            .map(|input| input.format.time_rules.earliest_ms);
        assert_eq!(earliest.collect::<Vec<_>>(), [expected_ms; 2], "{lines}");
    }
}

#[test]
fn memory_is_limited_and_tasks_of_others_kept_warm_where_it_says_so() {
    let config = smallest_with("[state]\nmemory = \"2GiB\"");
    assert_eq!(config.memory, Some(2 << 30));
    let lines = "app = \"shop\"\nstandbys = 1\n[[input]]\ntopic = \"clicks\"\n[[feature]]\nname = \"orders\"\naggregate = \"count\"\nlifetime = true";
    assert_eq!(parse(lines).standbys, 1);
}

#[test]
fn segments_are_a_number_or_a_range() {
    for (lines, expected) in [
        ("k = 1\nwarm_up = { customers = 1 }", (1, 1)),
        ("k = 12", (12, 12)),
        ("k = { min = 4, max = 6 }", (4, 6)),
        ("k = { min = 40 }", (40, 40)),
        ("k = { min = 10 }", (10, 32)),
        ("k = { max = 5 }", (5, 5)),
        ("[model.k]\nmax = 50", (8, 50)),
    ] {
        let learning = smallest_with(&format!("[model]\n{lines}")).learning;
        assert_eq!((learning.k_min, learning.k_max), expected, "{lines}");
    }
}

#[test]
fn customers_are_forgotten_when_told_or_when_nothing_is_left() {
    let forgotten = |time: &str, features: &str| {
        let text =
            format!("app = \"shop\"\n[[input]]\ntopic = \"events\"\n{features}\n[time]\n{time}");
        parse(&text).time.forget_ms
    };
    let week = "[[feature]]\nname = \"a\"\naggregate = \"count\"\nhalf_life = \"1w\"\n";
    let month = "[[feature]]\nname = \"b\"\naggregate = \"count\"\nwindow = \"30d\"\n";
    let ever = "[[feature]]\nname = \"c\"\naggregate = \"count\"\nlifetime = true\n";
    let (lasting, all) = (format!("{week}{month}"), format!("{week}{month}{ever}"));
    assert_eq!(forgotten("", &lasting), Some(280 * DAY_MS));
    assert_eq!(forgotten("", month), Some(31 * DAY_MS));
    assert_eq!(forgotten("lateness = \"99d\"", month), Some(99 * DAY_MS));
    assert_eq!(forgotten("", &all), None);
    assert_eq!(forgotten("forget_after = \"30d\"", &all), Some(30 * DAY_MS));
    assert_eq!(forgotten("forget_after = \"off\"", month), None);
}

#[test]
fn policies() {
    let config = smallest_with(
        "[model]\nhalf_life = \"2w\"\nlearn = false\nseed = 7\nimport = \"model.json\"\n\
         warm_up = { customers = 3, time = \"14d\" }\n\
         [decision]\nmargin = 0\ndwell = 3\ncooldown = \"0s\"\n\
         [sweep]\nevery = \"off\"\n\
         [time]\nlateness = \"0s\"\nmax_ahead = \"5m\"\nmax_skew = \"1ms\"\nidle_timeout = \"5m\"\nremembered_ids = 1024\nremembered_for = \"0s\"\n\
         [state]\ndirectory = \"/var/lib/shop\"\n[http]\nlisten = \"[::]:80\"",
    );
    assert_eq!(config.learning.half_life_ms, 14 * DAY_MS);
    assert_eq!((config.learning.learn, config.learning.seed), (false, 7));
    assert_eq!(
        (
            config.learning.warm_up_customers,
            config.learning.warm_up_ms
        ),
        (3, 14 * DAY_MS)
    );
    assert_eq!(config.import, Some(PathBuf::from("model.json")));
    let decision = DecisionPolicy {
        margin: 0.0,
        patience: 0.35,
        dwell: 3,
        cooldown_ms: 0,
    };
    assert_eq!(config.decision, decision);
    let time = TimePolicy {
        lateness_ms: 0,
        max_ahead_ms: Some(300_000),
        sweep_ms: None,
        remembered_ids: IdMemory::latest(1024),
        forget_ms: None,
    };
    assert_eq!(config.time, time);
    assert_eq!(config.max_skew_ms, 1);
    assert_eq!(config.idle_timeout, Duration::from_secs(300));
    assert_eq!(config.state_directory, PathBuf::from("/var/lib/shop"));
    assert_eq!(config.http_listen, "[::]:80".parse().unwrap());
    assert_eq!(
        smallest_with("[sweep]\nevery = \"2h\"").time.sweep_ms,
        Some(7_200_000)
    );
}

#[test]
fn the_report_names_a_sum() {
    let config = smallest_with(
        "[[feature]]\nname = \"spent\"\naggregate = \"sum\"\nvalue = \"/items/*/price\"\nlifetime = true\n\
         [report]\nbrings_in = \"spent\"",
    );
    assert_eq!(config.brings_in.as_deref(), Some("spent"));
}

#[test]
fn a_feature_with_everything() {
    let found = feature(
        "event = \"Order Completed\"\nreversed_by = [\"Order Refunded\", \"Order Cancelled\"]\naggregate = \"sum\"\n\
         value = \"/revenue\"\nhalf_life = \"30d\"\ndefault = 1\ntransform = \"log1p\"\nclip = [0, 10.5]\nweight = 2\n\
         label = \"spending\"\nunit = \"£\"\nlow = \"thrifty\"\nhigh = \"generous\"",
    );
    let text = |text: &str| Some(text.to_owned());
    let expected = Feature {
        events: vec!["Order Completed".to_owned()],
        aggregate: Aggregate::Sum,
        value: Some(pointer("/revenue")),
        horizon: Horizon::HalfLife(30 * DAY_MS),
        reversed_by: vec!["Order Refunded".to_owned(), "Order Cancelled".to_owned()],
        default: 1.0,
        transform: Transform::Log1p,
        clip: Some((0.0, 10.5)),
        weight: 2.0,
        wording: Wording {
            label: text("spending"),
            unit: text("£"),
            low: text("thrifty"),
            high: text("generous"),
        },
        ..orders()
    };
    assert_eq!(found, expected);
}

#[test]
fn horizons() {
    let window = |span_ms, buckets| Horizon::Window { span_ms, buckets };
    for (lines, expected) in [
        ("aggregate = \"count\"\nlifetime = true", Horizon::Lifetime),
        (
            "aggregate = \"count\"\nwindow = \"7d\"",
            window(7 * DAY_MS, 30),
        ),
        (
            "aggregate = \"count\"\nwindow = \"7d\"\nbuckets = 7",
            window(7 * DAY_MS, 7),
        ),
        (
            "aggregate = \"count\"\nwindow = \"7d\"\nlifetime = false",
            window(7 * DAY_MS, 30),
        ),
        ("aggregate = \"recency\"\ndefault = 365", Horizon::Lifetime),
        (
            "aggregate = \"recency\"\ndefault = 365\nlifetime = true",
            Horizon::Lifetime,
        ),
        (
            "aggregate = \"recency\"\ndefault = 365\nwindow = \"30d\"",
            window(30 * DAY_MS, 30),
        ),
        ("aggregate = \"last\"\nvalue = \"/x\"", Horizon::Lifetime),
        (
            "aggregate = \"last\"\nvalue = \"/x\"\nwindow = \"30d\"",
            window(30 * DAY_MS, 30),
        ),
        (
            "aggregate = \"mean\"\nvalue = \"/x\"\nhalf_life = \"1h\"",
            Horizon::HalfLife(3_600_000),
        ),
    ] {
        assert_eq!(feature(lines).horizon, expected, "{lines}");
    }
}

#[test]
fn conditions() {
    let text = |text: &str| Constant::Text(text.to_owned());
    for (value, expected) in [
        ("\"web\"", vec![Test::In(vec![text("web")])]),
        ("true", vec![Test::In(vec![Constant::Bool(true)])]),
        ("3", vec![Test::In(vec![Constant::Number(3.0)])]),
        (
            "[\"web\", 1.5]",
            vec![Test::In(vec![text("web"), Constant::Number(1.5)])],
        ),
        ("\"\"", vec![Test::In(vec![text("")])]),
        ("{ eq = \"web\" }", vec![Test::In(vec![text("web")])]),
        (
            "{ in = [1, 2] }",
            vec![Test::In(vec![Constant::Number(1.0), Constant::Number(2.0)])],
        ),
        (
            "{ ne = false }",
            vec![Test::NotEqual(Constant::Bool(false))],
        ),
        ("{ gt = 5 }", vec![Test::Greater(5.0)]),
        (
            "{ ge = 5, lt = 10 }",
            vec![Test::AtLeast(5.0), Test::Less(10.0)],
        ),
        ("{ le = -0.5 }", vec![Test::AtMost(-0.5)]),
        ("{ exists = false }", vec![Test::Exists(false)]),
        (
            "{ exists = true, prefix = \"SKU-\" }",
            vec![Test::Exists(true), Test::Prefix("SKU-".to_owned())],
        ),
    ] {
        for key in ["where", "base"] {
            let lines = format!(
                "aggregate = \"share\"\nlifetime = true\n{key} = {{ \"/p/*/x~1y\" = {value} }}"
            );
            let found = feature(&lines);
            let expected: Vec<Condition> = expected
                .iter()
                .map(|test| Condition {
                    pointer: pointer("/p/*/x~1y"),
                    test: test.clone(),
                })
                .collect();
            let (there, elsewhere) = match key {
                "where" => (found.conditions, found.base),
                _ => (found.base, found.conditions),
            };
            assert_eq!(there, expected, "{lines}");
            assert!(elsewhere.is_empty(), "{lines}");
        }
    }
}
