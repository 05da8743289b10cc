//! Invalid lines in a `replay`: each becomes a dead letter, and all others are processed.

use std::collections::BTreeMap;
use std::fs;

use flockwise_tests::events::lines;
use flockwise_tests::process::{flockwise, folder, json_lines, run, workspace, write_lines};
use serde_json::Value;

const START: &str =
    r#""type":"track","event":"Order Completed","timestamp":"2026-02-10T00:00:00Z""#;

/// Invalid lines and the reasons of their dead letters.
fn bad_lines() -> Vec<(Vec<u8>, &'static str)> {
    let deep = "[".repeat(100_000);
    let whole = format!("{deep}{}", "]".repeat(100_000));
    let megabyte = "x".repeat(1_000_000);
    let texts = [
        (format!("{{{START}"), "not_json"),
        (
            format!(r#"{{{START},"userId":"u1","properties":{{"revenue":"#),
            "not_json",
        ),
        (
            format!(r#"{{{START},"userId":"u1","properties":{{"revenue":NaN}}}}"#),
            "not_json",
        ),
        (
            format!(r#"{{{START},"userId":"u1","properties":{{"revenue":Infinity}}}}"#),
            "not_json",
        ),
        ("},".to_owned(), "not_json"),
        (deep, "not_json"),
        (whole, "not_json"),
        ("null".to_owned(), "not_json"),
        ("\"text\"".to_owned(), "not_json"),
        (megabyte.clone(), "not_json"),
        (
            format!(r#"{{{START},"userId":"{megabyte}"}}"#),
            "wrong_type",
        ),
        (format!(r#"{{{START},"userId":["u1"]}}"#), "wrong_type"),
        (format!(r#"{{{START},"userId":true}}"#), "wrong_type"),
        (format!(r#"{{{START},"userId":1.5}}"#), "wrong_type"),
        (format!("{{{START}}}"), "missing_field"),
        (format!(r#"{{{START},"userId":null}}"#), "missing_field"),
        ("{}".to_owned(), "missing_field"),
    ];
    let mut bad: Vec<_> = texts
        .into_iter()
        .map(|(text, why)| (text.into_bytes(), why))
        .collect();
    let mut invalid = format!(r#"{{{START},"userId":"#).into_bytes();
    invalid.extend(b"\"\xc3\x28\"}");
    bad.push((invalid, "not_json"));
    bad
}

/// Unusual but valid lines.
fn odd_lines() -> Vec<Vec<u8>> {
    let long = "y".repeat(1_000_000);
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let texts = [
        format!(r#"  {{{START},"userId":"odd-1"}}  "#),
        format!(r#"{{{START},"userId":12}}"#),
        format!(r#"{{{START},"userId":"odd-2","note":"{long}"}}"#),
        format!(r#"{{{START},"userId":"odd-4","note":{deep}}}"#),
        format!(r#"{{{START},"userId":"odd-3","properties":{{"revenue":"much"}}}}"#),
        format!(r#"{{{START},"userId":"odd-\u00e9\n"}}"#),
    ];
    texts.into_iter().map(String::into_bytes).collect()
}

#[test]
fn every_bad_line_is_put_aside_and_the_rest_flows() {
    let folder = folder();
    let path = |name: &str| folder.path().join(name);
    let good = lines(3_000, 100, 3);
    let (bad, odd) = (bad_lines(), odd_lines());
    let mut mixed: Vec<&[u8]> = good.iter().map(String::as_bytes).collect();
    for (number, (line, _)) in bad.iter().enumerate() {
        mixed.insert(100 * number, line);
        // Blank lines are ignored.
        mixed.insert(100 * number, [&b""[..], b" \t", b"\r"][number % 3]);
    }
    write_lines(
        &path("good.jsonl"),
        good.iter()
            .map(String::as_bytes)
            .chain(odd.iter().map(|line| &**line)),
    );
    write_lines(
        &path("mixed.jsonl"),
        mixed.into_iter().chain(odd.iter().map(|line| &**line)),
    );
    let summary = |events: &str, out: &str| -> Value {
        let mut command = flockwise(&["replay", "--json", events, "--out", out, "--config"]);
        command
            .arg(workspace().join("config/web-shop.toml"))
            .current_dir(folder.path());
        let ended = run(&mut command).expect(0, &[]);
        serde_json::from_str(&ended.stdout).expect("JSON")
    };
    let expected = summary("good.jsonl", "expected");
    let found = summary("mixed.jsonl", "found");
    assert_eq!(expected["dead_letters"], serde_json::json!({}));
    assert_eq!(found["customers"], expected["customers"]);
    for file in ["customers.jsonl", "segment-changes.jsonl"] {
        let read = |out: &str| fs::read(path(out).join(file)).expect("a file");
        assert!(read("found") == read("expected"), "{file} differs");
    }

    let dead_letters = json_lines(&path("found/dead-letters.jsonl"));
    let mut reasons = BTreeMap::<&str, u64>::new();
    bad.iter()
        .for_each(|(_, reason)| *reasons.entry(reason).or_default() += 1);
    assert_eq!(found["dead_letters"], serde_json::json!(reasons));
    assert_eq!(dead_letters.len(), bad.len());
    for (line, reason) in &bad {
        let is_it = |dead_letter: &&Value| match std::str::from_utf8(line) {
            Ok(text) => dead_letter["value"] == text,
            Err(_) => dead_letter["value_hex"] == hex(line),
        };
        let dead_letter = dead_letters
            .iter()
            .find(is_it)
            .expect("a dead letter with the unchanged line");
        assert_eq!(dead_letter["reason"], *reason, "{}", dead_letter["detail"]);
        let detail = dead_letter["detail"].as_str().expect("a detail");
        assert!((10..1_000).contains(&detail.len()), "{detail}");
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn numbers_beyond_reason_are_put_aside_and_never_added() {
    let folder = folder();
    let line = |revenue: &str| {
        format!(r#"{{{START},"userId":"rich","properties":{{"revenue":{revenue}}}}}"#)
    };
    let lines = ["1e999", "-1e999", "1e300", "100", "1e-400"].map(line);
    write_lines(
        &folder.path().join("events.jsonl"),
        lines.iter().map(String::as_bytes),
    );
    let mut command = flockwise(&["replay", "events.jsonl", "--out", "out", "--config"]);
    command
        .arg(workspace().join("config/web-shop.toml"))
        .current_dir(folder.path());
    run(&mut command).expect(0, &[]);
    let dead_letters = json_lines(&folder.path().join("out/dead-letters.jsonl"));
    assert_eq!(dead_letters.len(), 3, "{dead_letters:?}");
    let customers = json_lines(&folder.path().join("out/customers.jsonl"));
    assert_eq!(customers.len(), 1);
    assert_eq!(customers[0]["features"]["spend_180d"], 100.0);
    assert_eq!(customers[0]["features"]["orders_ever"], 2.0);
}
