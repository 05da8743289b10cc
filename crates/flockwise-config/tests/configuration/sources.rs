//! Files and the environment, and which overrides which.

use std::path::{Path, PathBuf};

use flockwise_config::{Config, ConfigErrors};

const FILE: &str = "
    app = \"shop\"
    shards = 1
    [kafka]
    bootstrap_servers = \"file:9092\"
    [kafka.properties]
    \"sasl.password\" = \"file\"
    ssl.ca.location = \"file.pem\"
    [[input]]
    topic = \"clicks\"
    [[feature]]
    name = \"orders\"
    aggregate = \"count\"
    lifetime = true
    [model]
    k = 5
    import = \"models/first.json\"
";

/// Loads [`FILE`] from a temporary folder with an environment. Problems name the file `FILE`.
fn load(variables: &[(&str, &str)]) -> Result<Config, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shop.toml");
    std::fs::write(&path, FILE).unwrap();
    let relative = |config: Config| Config {
        import: config.import.map(|import| {
            import
                .strip_prefix(folder.path())
                .unwrap_or(&import)
                .to_owned()
        }),
        ..config
    };
    let named = |errors: ConfigErrors| {
        errors
            .to_string()
            .replace(&path.display().to_string(), "FILE")
    };
    let environment = variables
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Config::load(&path, environment)
        .map(relative)
        .map_err(named)
}

#[track_caller]
fn accepted(variables: &[(&str, &str)]) -> Config {
    load(variables).unwrap_or_else(|errors| panic!("{errors}"))
}

#[test]
fn the_environment_overrides_the_file_and_the_file_the_default() {
    let config = accepted(&[]);
    assert_eq!(config.kafka.bootstrap_servers, "file:9092");
    assert_eq!(config.decision.dwell, 1);

    let config = accepted(&[
        ("FLOCKWISE__KAFKA__BOOTSTRAP_SERVERS", "a:1,b:2"),
        ("FLOCKWISE__KAFKA__COMMIT_INTERVAL", "250ms"),
        ("FLOCKWISE__SHARDS", "3"),
        ("FLOCKWISE__DECISION__MARGIN", "0.25"),
        ("FLOCKWISE__DECISION__DWELL", "2"),
        ("FLOCKWISE__MODEL__LEARN", "false"),
        ("FLOCKWISE__MODEL__K__MIN", "3"),
        ("FLOCKWISE__MODEL__WARM_UP__CUSTOMERS", "50"),
        ("FLOCKWISE__HTTP__LISTEN", "0.0.0.0:9000"),
        ("FLOCKWISE_LOG", "not ours"),
        ("PATH", "/bin"),
    ]);
    assert_eq!(config.kafka.bootstrap_servers, "a:1,b:2");
    assert_eq!(config.kafka.commit_interval_ms, 250);
    assert_eq!(config.shards, Some(3));
    assert_eq!((config.decision.margin, config.decision.dwell), (0.25, 2));
    assert!(!config.learning.learn);
    assert_eq!((config.learning.k_min, config.learning.k_max), (3, 32));
    assert_eq!(config.learning.warm_up_customers, 50);
    assert_eq!(config.http_listen, "0.0.0.0:9000".parse().unwrap());
}

#[test]
fn a_text_from_the_environment_is_taken_word_for_word() {
    let config = accepted(&[
        ("FLOCKWISE__APP", "42"),
        ("FLOCKWISE__KAFKA__PROPERTIES__SASL_PASSWORD", "0012"),
        (
            "FLOCKWISE__KAFKA__PROPERTIES__SASL_USERNAME",
            "\"[quoted]\" ",
        ),
        (
            "FLOCKWISE__KAFKA__PROPERTIES__SSL_CA_LOCATION",
            "environment.pem",
        ),
    ]);
    assert_eq!(config.app, "42");
    let property = |name: &str| config.kafka.properties[name].as_str();
    assert_eq!(property("sasl.password"), "0012");
    assert_eq!(property("sasl.username"), "\"[quoted]\" ");
    assert_eq!(property("ssl.ca.location"), "environment.pem");
}

#[test]
fn numbers_from_the_environment_may_be_written_without_a_dot() {
    assert!(
        (accepted(&[("FLOCKWISE__DECISION__MARGIN", "5e-2")])
            .decision
            .margin
            - 0.05)
            .abs()
            < 1e-12
    );
    assert!(
        accepted(&[("FLOCKWISE__DECISION__MARGIN", "0")])
            .decision
            .margin
            .abs()
            < 1e-12
    );
}

#[test]
fn whole_lists_and_tables_may_come_from_the_environment() {
    let config = accepted(&[
        ("FLOCKWISE__INPUT", "[{topic=a,format=segment},{topic=b}]"),
        ("FLOCKWISE__MODEL__K", "{min=2,max=4}"),
    ]);
    let topics: Vec<&str> = config
        .inputs
        .iter()
        .map(|input| input.topic.as_str())
        .collect();
    assert_eq!(topics, ["a", "b"]);
    assert_eq!((config.learning.k_min, config.learning.k_max), (2, 4));
}

#[test]
fn problems_name_the_variable_or_the_file() {
    for (name, value, expected) in [
        (
            "FLOCKWISE__DECISION__DWELL",
            "twice",
            "environment variable FLOCKWISE__DECISION__DWELL: decision.dwell: found \"twice\", expected a whole number from 1 \
             to 65535",
        ),
        (
            "FLOCKWISE__KAFAK__BOOTSTRAP_SERVERS",
            "a:1",
            "environment variable FLOCKWISE__KAFAK__BOOTSTRAP_SERVERS: unknown key `kafak`: did you mean `kafka`?",
        ),
        (
            "FLOCKWISE__KAFKA__BOOTSTRAP_SERVER",
            "a:1",
            "environment variable FLOCKWISE__KAFKA__BOOTSTRAP_SERVER: unknown key `kafka.bootstrap_server`: did you mean \
             `bootstrap_servers`?",
        ),
        (
            "FLOCKWISE__FEATURE__1__NAME",
            "f",
            "environment variable FLOCKWISE__FEATURE__1__NAME: feature: found a table, expected a list of tables, each \
             written [[feature]] with two brackets",
        ),
        (
            "FLOCKWISE__REPORT__BRINGS_IN",
            "orders",
            "environment variable FLOCKWISE__REPORT__BRINGS_IN: report.brings_in: found \"orders\", expected a feature with \
             aggregate = \"sum\"",
        ),
        (
            "FLOCKWISE__MODEL",
            "{k=5,import=a.json,colour=red}",
            "environment variable FLOCKWISE__MODEL: unknown key `model.colour`: expected one of k, import, \
             warm_up, half_life, churn_budget, learn, seed",
        ),
    ] {
        assert_eq!(load(&[(name, value)]).unwrap_err(), expected);
    }
    let path = Path::new("no/such/shop.toml");
    assert_eq!(
        Config::load(path, []).unwrap_err().to_string(),
        "no/such/shop.toml: the file does not exist; give the path of a configuration, for example config/flockwise.toml"
    );
    let folder = tempfile::tempdir().unwrap();
    let errors = Config::load(folder.path(), []).unwrap_err();
    assert!(
        errors.to_string().contains(": cannot be read: "),
        "{errors}"
    );
}

#[test]
fn each_line_of_a_report_stands_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.toml");
    std::fs::write(&path, "app = \"a\"\nshards = 0").unwrap();
    let errors = Config::load(&path, []).unwrap_err();
    assert_eq!(errors.problems().len(), 3);
    let file = path.display().to_string();
    for (line, problem) in errors.to_string().lines().zip(errors.problems()) {
        assert_eq!(line, format!("{file}: {}", problem.text));
        assert_eq!(problem.source.as_deref(), Some(&*file));
    }
}

#[test]
fn the_model_lies_beside_the_file() {
    assert_eq!(
        accepted(&[]).import,
        Some(PathBuf::from("models/first.json"))
    );
    let elsewhere = accepted(&[("FLOCKWISE__MODEL__IMPORT", "/srv/model.json")]);
    assert_eq!(elsewhere.import, Some(PathBuf::from("/srv/model.json")));
}
