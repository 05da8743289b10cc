//! Checks that alert rules and the dashboard use only existing metrics, and that the documents explain each alert.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use flockwise_tests::metrics::documented;
use flockwise_tests::process::{folder, workspace};
use serde_json::Value;

const RULES: &str = "deploy/prometheus/alerts.yml";
const RULE_TESTS: &str = "deploy/prometheus/alerts_test.yml";
const DASHBOARD: &str = "deploy/grafana/flockwise.json";

fn read(path: &str) -> String {
    fs::read_to_string(workspace().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The words of a text that have the form of a metric name.
fn metrics_of(text: &str) -> BTreeSet<&str> {
    let words = text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    words
        .filter(|word| word.starts_with("flockwise_") || word.starts_with("process_"))
        .collect()
}

/// Every series name that a query may use. A histogram has three.
fn known() -> BTreeSet<String> {
    let metrics = documented().into_iter().map(|row| row.metric);
    let names = metrics.flat_map(|metric| {
        let suffixes: &[&str] = match metric.kind {
            "histogram" => &["_bucket", "_sum", "_count"],
            _ => &[""],
        };
        let names = suffixes
            .iter()
            .map(move |suffix| format!("{}{suffix}", metric.name));
        names.collect::<Vec<String>>()
    });
    names.collect()
}

fn expect_known(place: &str, text: &str) {
    let known = known();
    let unknown: Vec<&str> = metrics_of(text)
        .into_iter()
        .filter(|name| !known.contains(*name))
        .collect();
    assert!(unknown.is_empty(), "{place} names {unknown:?}");
}

/// An alert rule.
#[derive(Debug, Default)]
struct Alert {
    name: String,
    severity: String,
    runbook: String,
}

fn alerts() -> Vec<Alert> {
    let mut alerts: Vec<Alert> = Vec::new();
    let rules = read(RULES);
    for line in rules.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix("- alert: ") {
            alerts.push(Alert {
                name: name.to_owned(),
                ..Alert::default()
            });
        }
        let Some(alert) = alerts.last_mut() else {
            continue;
        };
        if let Some(severity) = line.strip_prefix("labels: {severity: ") {
            alert.severity = severity.trim_end_matches('}').to_owned();
        } else if let Some(runbook) = line.strip_prefix("runbook: ") {
            alert.runbook = runbook.to_owned();
        }
    }
    alerts
}

fn expressions(dashboard: &Value) -> Vec<String> {
    let panels = dashboard["panels"].as_array().expect("panels");
    let targets = panels
        .iter()
        .filter_map(|panel| panel["targets"].as_array())
        .flatten();
    targets
        .map(|target| target["expr"].as_str().expect("an expression").to_owned())
        .collect()
}

fn dashboard() -> Value {
    serde_json::from_str(&read(DASHBOARD)).expect("JSON")
}

#[test]
fn rules_dashboard_and_documents_name_only_metrics_that_there_are() {
    for path in [RULES, RULE_TESTS, "docs/operations.md", "README.md"] {
        expect_known(path, &read(path));
    }
    let dashboard = dashboard();
    for expression in expressions(&dashboard) {
        expect_known(DASHBOARD, &expression);
    }
    for variable in dashboard["templating"]["list"]
        .as_array()
        .expect("variables")
    {
        expect_known(DASHBOARD, variable["query"]["query"].as_str().unwrap_or(""));
    }
}

#[test]
fn every_alert_is_explained_and_tested() {
    let alerts = alerts();
    assert!(alerts.len() > 10, "{alerts:?}");
    let (page, tests) = (read("docs/operations.md"), read(RULE_TESTS));
    for alert in &alerts {
        let name = &alert.name;
        assert!(page.contains(&format!("\n### {name}\n")), "{name}");
        let runbook = format!("docs/operations.md#{}", name.to_lowercase());
        assert_eq!(alert.runbook, runbook);
        let is_known = ["page", "ticket"].contains(&&*alert.severity);
        assert!(is_known, "{alert:?}");
        let firing = format!("alertname: {name}\n        exp_alerts:");
        assert!(
            tests.contains(&firing),
            "{RULE_TESTS} has no test in which {name} fires"
        );
    }
    let names: BTreeSet<&str> = alerts.iter().map(|alert| &*alert.name).collect();
    let explained = page.lines().filter_map(|line| line.strip_prefix("### "));
    for name in explained.filter(|name| name.starts_with("Flockwise")) {
        assert!(names.contains(name), "docs/operations.md explains {name}");
    }
    let table = read("docs/metrics.md");
    let words = table.split(|letter: char| !letter.is_ascii_alphanumeric());
    for name in words.filter(|word| word.starts_with("Flockwise") && word.len() > 9) {
        assert!(names.contains(name), "docs/metrics.md names {name}");
    }
}

#[test]
fn few_alerts_wake_somebody() {
    let alerts = alerts();
    let pages = alerts.iter().filter(|alert| alert.severity == "page");
    let pages: Vec<&str> = pages.map(|alert| &*alert.name).collect();
    assert!(pages.len() <= 5, "{pages:?}");
    let page = read("docs/operations.md");
    let by_night = page
        .find("## Alerts that wake somebody")
        .expect("a section");
    let by_day = page.find("## Alerts for the day").expect("a section");
    for alert in &alerts {
        let section = format!("\n### {}\n", alert.name);
        let place = page.find(&section).expect("explained");
        let wakes = (by_night..by_day).contains(&place);
        assert_eq!(wakes, alert.severity == "page", "{}", alert.name);
    }
}

#[test]
fn each_panel_says_what_it_shows() {
    let dashboard = dashboard();
    let panels = dashboard["panels"].as_array().expect("panels");
    let ids: BTreeSet<i64> = panels
        .iter()
        .filter_map(|panel| panel["id"].as_i64())
        .collect();
    assert_eq!(ids.len(), panels.len(), "panel ids are unique");
    for panel in panels.iter().filter(|panel| panel["type"] != "row") {
        let title = panel["title"].as_str().unwrap_or("");
        let description = panel["description"].as_str().unwrap_or("");
        let unit = panel["fieldConfig"]["defaults"]["unit"].as_str();
        assert!(!title.is_empty() && !description.is_empty(), "{panel}");
        assert!(unit.is_some(), "{title} has no unit");
    }
}

/// Replaces Grafana's variables; the rest must be a valid Prometheus expression.
#[test]
fn prometheus_reads_every_expression_of_the_dashboard() {
    if Command::new("promtool").arg("--version").output().is_err() {
        eprintln!("skipped: promtool is not on PATH; `./dev test` puts it there");
        return;
    }
    let rules = expressions(&dashboard()).into_iter().zip(0..);
    let rules = rules.map(|(expression, number)| {
        let plain = expression.replace("$__rate_interval", "5m");
        let quoted = Value::String(plain).to_string();
        format!("  - record: panel:{number}\n    expr: {quoted}\n")
    });
    let rules: String = rules.collect();
    let folder = folder();
    let file = folder.path().join("rules.yml");
    fs::write(
        &file,
        format!("groups:\n- name: dashboard\n  rules:\n{rules}"),
    )
    .expect("written");
    let mut promtool = Command::new("promtool");
    let checked = promtool.args(["check", "rules"]).arg(&file).output();
    let checked = checked.expect("promtool");
    let output = String::from_utf8_lossy(&checked.stderr).into_owned();
    assert!(checked.status.success(), "{output}");
}
