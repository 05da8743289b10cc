//! `replay` on files as they really come: shapes, compressions, orders and clocks, each with the right answer.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use flockwise_tests::process::{Finished, flockwise, folder, json_lines, run};
use serde_json::{Value, json};
use tempfile::TempDir;

const CONFIG: &str = r#"
app = "t"
state_partitions = 1
[[input]]
topic = "events"
format = "native"
[[feature]]
name = "events"
aggregate = "count"
lifetime = true
[[feature]]
name = "spend"
event = "buy"
reversed_by = "back"
aggregate = "sum"
value = "/amount"
lifetime = true
"#;

/// A folder with files of events and a configuration.
struct Files(TempDir);

/// What a replay has ended with.
struct Replayed {
    ended: Finished,
    /// For each customer, the number of events and the spend.
    customers: BTreeMap<String, (f64, f64)>,
    dead_letters: Vec<Value>,
}

impl Files {
    fn create() -> Self {
        let files = Self(folder());
        files.write("config.toml", CONFIG);
        files
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        fs::write(self.path(name), bytes).expect("written");
    }

    fn command(&self, files: &[&str]) -> Command {
        let mut command = flockwise(&["replay", "--config", "config.toml", "--out", "out"]);
        command.args(files).current_dir(self.0.path());
        command
    }

    fn replay(&self, files: &[&str]) -> Replayed {
        self.replayed(run(&mut self.command(files)))
    }

    fn replayed(&self, ended: Finished) -> Replayed {
        let customers = json_lines(&self.path("out/customers.jsonl"));
        let customers = customers.iter().map(|customer| {
            let number = |name: &str| customer["features"][name].as_f64().expect("a number");
            let id = customer["customer_id"].as_str().expect("an id");
            (id.to_owned(), (number("events"), number("spend")))
        });
        Replayed {
            ended,
            customers: customers.collect(),
            dead_letters: json_lines(&self.path("out/dead-letters.jsonl")),
        }
    }

    /// Replays one file of these bytes.
    fn replay_bytes(&self, bytes: impl AsRef<[u8]>) -> Replayed {
        self.write("events.jsonl", bytes);
        self.replay(&["events.jsonl"])
    }
}

impl Replayed {
    /// Checks the exit code and the customers with their spends, of one event each.
    fn expect(self, code: i32, spends: &[(&str, f64)]) -> Self {
        let spends = spends.iter();
        let expected: BTreeMap<_, _> = spends
            .map(|(id, spend)| ((*id).to_owned(), (1.0, *spend)))
            .collect();
        assert_eq!(self.customers, expected, "{:#?}", self.ended);
        assert_eq!(self.ended.code, Some(code), "{:#?}", self.ended);
        self
    }

    /// Checks the reasons and the lines of the dead letters.
    fn expect_dead(self, expected: &[(&str, u64)]) -> Self {
        let letters = self.dead_letters.iter().map(|letter| {
            let reason = letter["reason"].as_str().expect("a reason");
            (reason, letter["line"].as_u64().expect("a line"))
        });
        assert_eq!(
            letters.collect::<Vec<_>>(),
            expected,
            "{:#?}",
            self.dead_letters
        );
        self
    }

    /// Checks that a message contains all of these words.
    fn says(self, words: &[&str]) -> Self {
        let said = format!("{}{}", self.ended.stderr, self.ended.stdout);
        for word in words {
            assert!(said.contains(word), "{word} is not in: {said}");
        }
        self
    }
}

/// An event at noon of a day of March 2026.
fn buy(customer: &str, day: u32, amount: f64) -> Value {
    let time = format!("2026-03-{day:02}T12:00:00Z");
    json!({ "customer_id": customer, "event": "buy", "time": time, "amount": amount })
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packer.write_all(bytes).expect("written");
    packer.finish().expect("packed")
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).expect("packed")
}

#[test]
fn a_file_is_read_in_each_shape() {
    let files = Files::create();
    let (a, b) = (buy("a", 1, 1.5), buy("b", 2, 2.5));
    let pretty = |value: &Value| serde_json::to_string_pretty(value).expect("JSON");
    let both = json!([a, b]);
    for file in [
        format!("{a}\n{b}\n"),
        format!("{a}\n{b}"),
        format!("\u{feff}{a}\n{b}\n"),
        format!("{a}\r\n{b}\r\n"),
        format!("\n\n{a}\n \t\r\n\n{b}\n\n"),
        format!("{both}"),
        format!("\u{feff}{both}\n"),
        pretty(&both),
        pretty(&both).replace('\n', "\r\n"),
        format!("[\n{a},\n{b}\n]\n"),
        format!("[\n  {a}\n  ,{b}\n]\n"),
        format!("[{a}]\n[{b}]\n"),
        format!("{a}{b}"),
        format!("{a} {b}\n"),
        format!("{a},\n{b},\n"),
        format!("{}\n{}\n", pretty(&a), pretty(&b)),
        format!("{}{}", pretty(&a), pretty(&b)),
        format!("\u{1e}{a}\n\u{1e}{b}\n"),
        // Two files with byte order marks, one behind the other.
        format!("\u{feff}{a}\n\u{feff}{b}\n"),
    ] {
        let replayed = files
            .replay_bytes(&file)
            .expect(0, &[("a", 1.5), ("b", 2.5)]);
        replayed.expect_dead(&[]);
    }
}

#[test]
fn compression_is_detected_by_content() {
    let files = Files::create();
    let text = format!("{}\n{}\n", buy("a", 1, 1.0), buy("b", 2, 2.0));
    let (first, second) = text.split_at(40);
    for packed in [
        gzip(text.as_bytes()),
        zstd(text.as_bytes()),
        [gzip(first.as_bytes()), gzip(second.as_bytes())].concat(),
        [zstd(first.as_bytes()), zstd(second.as_bytes())].concat(),
        zstd(&gzip(text.as_bytes())),
        gzip(&gzip(text.as_bytes())),
        text.clone().into_bytes(),
    ] {
        for name in ["events", "events.jsonl", "events.gz", "events.zst"] {
            files.write(name, &packed);
            files.replay(&[name]).expect(0, &[("a", 1.0), ("b", 2.0)]);
        }
    }
}

#[test]
fn stdin_and_pipes_are_read_too() {
    let files = Files::create();
    let newest_first = format!("{}\n{}\n", buy("b", 20, 2.0), buy("a", 1, 1.0));
    files.write("packed", gzip(newest_first.as_bytes()));
    for name in ["-", "/dev/stdin"] {
        let mut command = files.command(&[name]);
        command.stdin(Stdio::from(File::open(files.path("packed")).expect("open")));
        let replayed = files.replayed(run(&mut command));
        replayed.expect(0, &[("a", 1.0), ("b", 2.0)]);
    }
    let replayed = files.replayed(run(&mut files.command(&["-"])));
    replayed.expect(1, &[]).says(&["stdin is empty"]);
}

#[test]
fn a_bad_line_is_named_and_costs_itself_alone() {
    let files = Files::create();
    let (a, b) = (buy("a", 1, 1.0), buy("b", 2, 2.0));
    let cut = r#"{"customer_id":"c","event":"buy","time":"2026-03"#;
    for bad in [
        cut,
        "{",
        r#"{"customer_id":"#,
        "}",
        "x,y,z",
        "[1,2]",
        "null",
        "\u{0}\u{1}",
    ] {
        let replayed = files.replay_bytes(format!("{a}\n\n{bad}\n{b}\n"));
        let replayed = replayed.expect(0, &[("a", 1.0), ("b", 2.0)]);
        let replayed = replayed.expect_dead(&[("not_json", 3)]);
        let letter = &replayed.dead_letters[0];
        assert_eq!(letter["file"], "events.jsonl");
        assert_eq!(letter["value"], bad);
        replayed.says(&["dead letters with reason not_json: 1; the first: events.jsonl, line 3"]);
    }
    let pretty = serde_json::to_string_pretty(&json!({ "event": "buy", "time": 0 })).expect("JSON");
    let replayed = files.replay_bytes(format!("[{a},\n{pretty},\n7, {b}"));
    let replayed = replayed.expect(0, &[("a", 1.0), ("b", 2.0)]);
    replayed
        .expect_dead(&[("missing_field", 2), ("not_json", 6)])
        .says(&["events.jsonl ends within a JSON array"]);
}

#[test]
fn of_several_files_each_dead_letter_names_its_own() {
    let files = Files::create();
    files.write("one", format!("{}\nbad\n", buy("a", 3, 1.0)));
    files.write(
        "two",
        format!("bad\n{}\n{}\nbad\n", buy("b", 1, 2.0), buy("c", 5, 3.0)),
    );
    let spends = [("a", 1.0), ("b", 2.0), ("c", 3.0)];
    let replayed = files.replay(&["one", "two"]).expect(0, &spends);
    let letters = replayed.dead_letters.iter();
    let places: Vec<_> = letters
        .map(|letter| (&letter["file"], &letter["line"]))
        .collect();
    let (one, two) = (&json!("one"), &json!("two"));
    assert_eq!(
        places,
        [(one, &json!(2)), (two, &json!(1)), (two, &json!(4))]
    );
}

#[test]
fn a_file_without_an_event_fails_and_says_what_it_looks_like() {
    let files = Files::create();
    let event = buy("a", 1, 1.0).to_string();
    let utf16: Vec<u8> = format!("\u{feff}{event}\n")
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    let quoted = json!(event).to_string();
    let frame = [&b"\0\0\0\0\x07"[..], event.as_bytes()].concat();
    let cases: [(Vec<u8>, &[&str]); 13] = [
        (
            b"customer,event,time\na,buy,1\n".to_vec(),
            &["comma-separated", "line 2", "mlr --icsv"],
        ),
        (
            b"customer;event;time\na;buy;1\n".to_vec(),
            &["comma-separated"],
        ),
        (
            b"customer\tevent\na\tbuy\n".to_vec(),
            &["tab-separated", "mlr --itsv"],
        ),
        (utf16, &["UTF-16", "iconv -f UTF-16"]),
        (
            quoted.into_bytes(),
            &["JSON within a string", "jq -c fromjson"],
        ),
        (frame, &["schema registry, with schema id 7"]),
        (
            format!("[[{event}]]").into_bytes(),
            &["a JSON array", "jq -c"],
        ),
        (
            format!("{{\"page\": 1, \"orders\": [{event}]}}").into_bytes(),
            &["missing_field", "jq -c '.orders[]'"],
        ),
        (b"{'customer_id': 'a'}\n".to_vec(), &["Python dictionary"]),
        (b"<html></html>".to_vec(), &["XML or HTML"]),
        (b"PAR1\x15\x04\x15".to_vec(), &["a Parquet file"]),
        (b"PK\x03\x04\x14\0".to_vec(), &["a ZIP archive"]),
        (
            br#"{"user":"a"}"#.to_vec(),
            &["no customer_id", "input-formats.md"],
        ),
    ];
    for (bytes, words) in cases {
        let replayed = files.replay_bytes(&bytes).expect(1, &[]);
        assert!(!replayed.dead_letters.is_empty());
        replayed
            .says(&["nothing in events.jsonl is an event"])
            .says(words);
    }
    files.write("good", &event);
    files.write("bad", "a,b\n");
    let replayed = files.replay(&["good", "bad"]).expect(1, &[("a", 1.0)]);
    replayed.says(&["nothing in bad is an event"]);
}

#[test]
fn a_document_that_is_too_large_costs_itself_alone() {
    let files = Files::create();
    let (a, b) = (buy("a", 1, 1.0), buy("b", 2, 2.0));
    let mut large = buy("c", 1, 1.0);
    large["note"] = json!(vec!["x".repeat(1000); 4000]);
    let pretty = serde_json::to_string_pretty(&large).expect("JSON");
    for (file, line) in [
        (format!("{a}\n{large}\n{b}\n"), 2),
        (format!("[{a},{large},{b}]"), 1),
        (format!("[{a},\n{pretty},\n{b}]"), 2),
    ] {
        let replayed = files
            .replay_bytes(file)
            .expect(0, &[("a", 1.0), ("b", 2.0)]);
        replayed.expect_dead(&[("too_large", line)]);
    }
}

#[test]
fn events_in_any_order_count_all() {
    let files = Files::create();
    // Over 310 days, with `time.lateness` of 30.
    let event = |number: u32| {
        let (month, day) = (number / 28 % 10 + 1, number % 28 + 1);
        let time = format!("2026-{month:02}-{day:02}T12:00:00Z");
        json!({ "customer_id": format!("c{}", number % 7), "event": "buy", "time": time, "amount": 1 })
            .to_string()
    };
    let oldest_first: Vec<String> = (0..280).map(event).collect();
    let newest_first: Vec<String> = (0..280).rev().map(event).collect();
    let shuffled: Vec<String> = (0..280).map(|number| event(number * 97 % 280)).collect();
    let results = |lines: &[String]| {
        let replayed = files.replay_bytes(lines.join("\n")).expect_dead(&[]);
        assert_eq!(replayed.ended.code, Some(0));
        assert_eq!(replayed.customers.len(), 7);
        let stderr = replayed.ended.stderr;
        let read = |name: &str| fs::read(files.path("out").join(name)).expect("a file");
        (
            ["customers.jsonl", "segment-changes.jsonl", "summary.json"].map(read),
            stderr,
        )
    };
    let (expected, said) = results(&oldest_first);
    assert!(!said.contains("Sorting"), "{said}");
    for lines in [newest_first, shuffled] {
        let (found, said) = results(&lines);
        assert!(
            found == expected,
            "the order of the file shows in the results"
        );
        assert!(said.contains("Sorting all events by time"), "{said}");
    }
}

#[test]
fn a_refund_above_its_order_finds_it() {
    let files = Files::create();
    let order = r#"{"customer_id":"a","event":"buy","time":"2026-03-01T00:00:00Z","order_id":"o","amount":10}"#;
    let refund = r#"{"customer_id":"a","event":"back","time":"2026-03-02T00:00:00Z","order_id":"o","amount":10}"#;
    for file in [
        format!("{order}\n{refund}\n"),
        format!("{refund}\n{order}\n"),
    ] {
        let replayed = files.replay_bytes(file);
        assert_eq!(replayed.customers["a"], (2.0, 0.0));
    }
}

#[test]
fn a_clock_that_is_wrong_harms_nobody_else() {
    let files = Files::create();
    let wrong = r#"{"customer_id":"x","event":"buy","time":"2136-01-01T00:00:00Z","amount":1}"#;
    let good: Vec<String> = (1..=5)
        .map(|day| buy(&format!("c{day}"), day, 10.0).to_string())
        .collect();
    for place in [0, 3, 5] {
        let mut lines = good.clone();
        lines.insert(place, wrong.to_owned());
        let replayed = files.replay_bytes(lines.join("\n"));
        let spends = ["c1", "c2", "c3", "c4", "c5"].map(|id| (id, 10.0));
        let replayed = replayed.expect(0, &spends);
        let replayed = replayed.expect_dead(&[("too_far_ahead", place as u64 + 1)]);
        assert!(!replayed.ended.stderr.contains("Sorting"));
    }
    let replayed = files.replay_bytes(wrong).expect(1, &[]);
    replayed.says(&["nothing in events.jsonl is an event", "max_ahead"]);
}
