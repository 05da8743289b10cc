use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::naive::documents;
use super::{DocumentSplitter, Piece};

/// Splits a file that comes in pieces of these sizes, over and over.
fn split(file: &[u8], limit: usize, sizes: &[usize]) -> Vec<(u64, Vec<u8>)> {
    let mut splitter = DocumentSplitter::new(limit);
    let mut sizes = sizes.iter().cycle();
    let (mut from, mut to) = (0, 0);
    let mut found = Vec::new();
    loop {
        match splitter.split(&file[from..to], to == file.len()) {
            Piece::End => return found,
            Piece::More(passed) => {
                from += passed;
                to = (to + sizes.next().unwrap()).min(file.len());
                assert!(to - from <= 2 * limit + 80, "holds more than a document");
            }
            Piece::Document {
                text,
                line,
                consumed,
            } => {
                assert!(text.len() <= limit + 1, "more than the limit");
                found.push((line, file[from..][text].to_vec()));
                from += consumed;
            }
        }
    }
}

/// Splits a file, and compares with what is expected: for each document its line and its text.
fn check(file: &str, expected: &[(u64, &str)]) {
    let found = split(file.as_bytes(), 1000, &[7]);
    let found: Vec<(u64, &str)> = found
        .iter()
        .map(|(line, text)| (*line, std::str::from_utf8(text).unwrap()))
        .collect();
    assert_eq!(found, expected, "of {file}");
}

#[test]
fn lines_arrays_and_objects_over_several_lines_are_all_the_same() {
    let (a, b) = (r#"{"a":1}"#, r#"{"b":[{"c":"}]"}]}"#);
    for (file, lines) in [
        (format!("{a}\n{b}\n"), [1, 2]),
        (format!("\u{feff}{a}\r\n\r\n{b}"), [1, 3]),
        (format!("[{a},{b}]"), [1, 1]),
        (format!("[\n{a},\n{b}\n]\n"), [2, 3]),
        (format!("[{a}]\n[{b}]\n"), [1, 2]),
        (format!("[\n[{a}],\n[{b}]]"), [2, 3]),
        (format!("{a}{b}"), [1, 1]),
        (format!("  {a}, {b},\n"), [1, 1]),
        (format!("\u{1e}{a}\n\u{1e}{b}\n"), [1, 2]),
        (format!("[]\n{a}\n[ ]\n\u{feff}{b}"), [2, 4]),
    ] {
        check(&file, &[(lines[0], a), (lines[1], b)]);
    }
}

#[test]
fn a_line_that_is_cut_swallows_no_other() {
    let good = r#"{"good":1}"#;
    for bad in [
        r#"{"a":"#,
        r#"{"a":1,"#,
        r#"{"a":{"b":1}"#,
        r#"{"a":[{"b":1},"#,
        r#"{"a":"text"#,
        r#"{"a":"text\"#,
        r#"{"a":1]"#,
        r#"{"a""b":1"#,
        "{",
        "}",
        "]",
        "a,b,c",
        "[1,2,3]",
        r#""text""#,
        "[[[[",
    ] {
        check(
            &format!("{good}\n{bad}\n{good}\n{good}\n"),
            &[(1, good), (2, bad), (3, good), (4, good)],
        );
        check(&format!("{good}\n{bad}"), &[(1, good), (2, bad)]);
    }
}

#[test]
fn elements_that_are_no_objects_are_cut_out_of_their_array() {
    let expected = [
        (1, r#"{"a":1}"#),
        (1, "5"),
        (1, r#"["x,]",[2,3]]"#),
        (1, r#"{"b":2}"#),
        (1, "null"),
    ];
    check(r#"[{"a":1},5,["x,]",[2,3]],{"b":2} , null]"#, &expected);
}

#[test]
fn the_rest_of_what_is_too_large_is_skipped() {
    let good = (3, br#"{"a":1}"#.to_vec());
    for large in [
        format!(r#"{{"a":"{}"}}"#, "x".repeat(200)),
        format!(r#"{{"a":"{}"#, "x".repeat(200)),
        "x".repeat(200),
        "[".repeat(200),
    ] {
        let file = format!("\n{large}\n{{\"a\":1}}");
        let part = large.as_bytes()[..51].to_vec();
        assert_eq!(split(file.as_bytes(), 50, &[9]), [(2, part), good.clone()]);
    }
    let pretty = serde_json::to_string_pretty(&json!([[{"b": vec!["x"; 50]}]])).unwrap();
    let large = format!("{{\"a\":\n{pretty}\n}}\n");
    let line = 1 + large.lines().count() as u64;
    let found = split(format!("{large}{{}}").as_bytes(), 50, &[9]);
    assert_eq!(found.len(), 2);
    assert_eq!(found[1], (line, b"{}".to_vec()));
}

fn object() -> impl Strategy<Value = Value> {
    let text = r#"[a-z{}\[\],:"\\\n é]{0,6}"#;
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        text.prop_map(Value::from),
    ];
    let value = leaf.prop_recursive(3, 16, 4, move |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            vec((text, inner), 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    });
    vec((text, value), 0..4).prop_map(|members| Value::Object(members.into_iter().collect()))
}

proptest! {
    #[test]
    fn the_twin_finds_the_same(
        file in r#"([{}\[\]",:\\\n 1a]|\{"a":|\}\n|"a"|\{\}|\[ {9}){0,60}"#,
        limit in 1_usize..60,
        sizes in vec(1_usize..20, 1..5),
    ) {
        let expected = documents(file.as_bytes(), limit);
        prop_assert_eq!(split(file.as_bytes(), limit, &sizes), expected);
    }

    #[test]
    fn objects_are_found_however_they_are_written(
        objects in vec((object(), any::<bool>(), "[ \r\n,]{0,3}|\n\\[\n|\\]|\u{feff}"), 0..8),
        sizes in vec(1_usize..40, 1..5),
    ) {
        let mut file = String::new();
        for (object, is_pretty, separator) in &objects {
            file += separator.trim_matches(']');
            file += &match is_pretty {
                true => serde_json::to_string_pretty(object).unwrap(),
                false => object.to_string(),
            };
        }
        let found = split(file.as_bytes(), 100_000, &sizes);
        let found: Vec<Value> = found
            .iter()
            .map(|(_, text)| serde_json::from_slice(text).unwrap())
            .collect();
        let expected: Vec<Value> = objects.into_iter().map(|(object, ..)| object).collect();
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn no_line_is_lost_to_another(
        lines in vec(prop_oneof![
            object().prop_map(|object| object.to_string()),
            object().prop_map(|object| { let text = object.to_string(); text[..text.floor_char_boundary(text.len() / 2)].to_owned() }),
            r#"[a-z{"\\:]{1,9}"#,
        ], 0..9),
    ) {
        let file = lines.join("\n");
        let found = split(file.as_bytes(), 100_000, &[64]);
        for line in lines.iter().filter(|line| serde_json::from_str::<Value>(line).is_ok_and(|value| value.is_object())) {
            prop_assert!(found.iter().any(|(_, text)| text == line.as_bytes()), "{} is not in {:?}", line, found);
        }
    }
}
