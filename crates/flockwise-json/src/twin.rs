//! Compares the scan with the reference: the same values and the same rejections for every document.

mod path_tree;
mod reference;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use crate::{Invalid, explain, scan};
use path_tree::{Found, PathTree};

/// The names include indices of elements, two names with the same first eight letters, and one of eight letters.
const PATHS: [&str; 16] = [
    "/a",
    "/b/a",
    "/a/*",
    "/a/0",
    "/a/*/b",
    "/a/0/b",
    "/a/*/*",
    "/b/*/0",
    "/~0~1",
    "/é/a",
    "/a/é",
    "/propertyOne",
    "/propertyTwo/a",
    "/quantity",
    "/",
    "/a/a/a/a",
];
const NAMES: [&str; 20] = [
    "a",
    "b",
    "a",
    "b",
    "0",
    "1",
    "01",
    "~/",
    "é",
    "propertyOne",
    "propertyTwo",
    "property",
    "quantity",
    "",
    "\\u0061",
    "\\u00e9",
    "property\\u004fne",
    "\\n",
    "\\ud83d\\ude00",
    "nobody wants it",
];
const LEAVES: [&str; 26] = [
    "null",
    "true",
    "false",
    "0",
    "-0",
    "-0.0",
    "1e15",
    "-1e16",
    "1E+2",
    "2.5e-3",
    "1e308",
    "1e999",
    "-1e-999",
    "18446744073709551615",
    "18446744073709551616",
    "-9223372036854775808",
    "-9223372036854775809",
    "9007199254740993",
    "9007199254740993.0",
    "5e-324",
    "0.3",
    "1.0e22",
    "1e23",
    "123456789012345678901234567890",
    "0e99999999999",
    "1e-99999999999",
];
/// What a document, a text or a number is damaged with.
const DAMAGE: [&str; 38] = [
    "\"",
    "\\",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    " ",
    "\n",
    "\r",
    "\t",
    "\u{b}",
    "\0",
    "\u{1f}",
    "\u{7f}",
    "é",
    "😀",
    "\\u",
    "\\u12",
    "\\ud800",
    "\\udc00",
    "\\ud83d\\ude00",
    "\\ud800\\u0041",
    "\\q",
    "\\/",
    "-",
    "+",
    ".",
    "e",
    "0",
    "00",
    "1",
    "nul",
    "tr",
    "f",
    "NaN",
    "1e400",
];

fn space() -> impl Strategy<Value = &'static str> {
    select(&["", "", "", "", " ", "\n", "\t\r ", "  "][..])
}

fn text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        8 => "[a-z0-9 ]{0,20}",
        1 => "[\\PC]{0,3}",
        1 => select(&["\\n", "\\\"", "\\\\", "\\/", "\\b\\f\\r\\t", "\\u00E9", "\\u0000", "\\ud83d\\uDE00"][..])
            .prop_map(str::to_owned),
    ];
    vec(piece, 0..4).prop_map(|pieces| {
        let plain = pieces.concat();
        // Nothing is escaped here. A quote in a piece ends the text early, which damages the document.
        format!("\"{plain}\"")
    })
}

fn number() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<f64>()
            .prop_filter("finite", |x| x.is_finite())
            .prop_map(|x| format!("{x:e}")),
        any::<i64>().prop_map(|x| x.to_string()),
        (-1e6..1e6_f64).prop_map(|x| format!("{x:.2}")),
        "-?(0|[1-9][0-9]{0,22})([.][0-9]{1,22})?([eE][+-]?[0-9]{1,4})?",
    ]
}

fn value() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        3 => select(&LEAVES[..]).prop_map(str::to_owned),
        2 => number(),
        3 => text(),
    ];
    leaf.prop_recursive(6, 60, 5, |inner| {
        prop_oneof![array(inner.clone()), object(inner)]
    })
}

fn array(value: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    (vec((space(), value, space()), 0..5), space()).prop_map(|(elements, empty)| {
        let elements: Vec<String> = elements
            .iter()
            .map(|(before, value, after)| format!("{before}{value}{after}"))
            .collect();
        format!("[{empty}{}]", elements.join(","))
    })
}

fn object(value: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    let member = (select(&NAMES[..]), space(), space(), value, space());
    (vec(member, 0..7), space()).prop_map(|(members, empty)| {
        let members: Vec<String> = members
            .iter()
            .map(|(name, first, second, value, last)| {
                format!("{first}\"{name}\"{second}:{first}{value}{last}")
            })
            .collect();
        format!("{{{empty}{}}}", members.join(","))
    })
}

fn document() -> impl Strategy<Value = String> {
    (space(), object(value()), space())
        .prop_map(|(before, object, after)| format!("{before}{object}{after}"))
}

type Damage = (prop::sample::Index, u8, &'static str);

fn damage() -> impl Strategy<Value = Damage> {
    (any::<prop::sample::Index>(), 0..4_u8, select(&DAMAGE[..]))
}

fn damaged(mut document: String, damage: &[Damage]) -> String {
    for (place, kind, with) in damage {
        let mut place = place.index(document.len().max(1)).min(document.len());
        while !document.is_char_boundary(place) {
            place -= 1;
        }
        let next = document[place..].chars().next().map_or(0, char::len_utf8);
        match kind {
            0 => document.insert_str(place, with),
            1 => document.replace_range(place..place + next, with),
            2 => document.replace_range(place..place + next, ""),
            _ => document.truncate(place),
        }
    }
    document
}

/// Runs the scan and the reference, and compares what they find.
fn compare(paths: &[&str], document: &str) -> Result<(), TestCaseError> {
    let tree = PathTree::new(paths);
    let (mut found, mut expected) = (Found::default(), Found::default());
    let scanned = scan(&tree, document, &mut found);
    match reference::scan(&tree, document, &mut expected) {
        Ok(()) => {
            prop_assert_eq!(scanned, Ok(()), "{}", document);
            prop_assert_eq!(found.0, expected.0, "{}", document);
        }
        Err(error) => {
            prop_assert_eq!(scanned, Err(Invalid), "{}: {}", error, document);
            let words = explain(&tree, document).map_err(|error| error.to_string());
            prop_assert_eq!(words, Err(error.to_string()));
        }
    }
    Ok(())
}

fn paths() -> impl Strategy<Value = Vec<&'static str>> {
    prop::sample::subsequence(&PATHS[..], 0..PATHS.len())
}

proptest! {
    #[test]
    fn whole_documents(document in document(), wanted in paths()) {
        compare(&wanted, &document)?;
    }

    #[test]
    fn damaged_documents(
        document in document(),
        damage in vec(damage(), 1..4),
        wanted in paths(),
    ) {
        compare(&wanted, &damaged(document, &damage))?;
    }

    #[test]
    fn numbers(number in number(), damage in vec(damage(), 0..2), is_wanted in any::<bool>()) {
        let name = if is_wanted { "a" } else { "b" };
        let number = damaged(number, &damage);
        compare(&["/a"], &format!("{{\"{name}\":{number}}}"))?;
    }

    #[test]
    fn texts(text in text(), damage in vec(damage(), 0..3), is_wanted in any::<bool>()) {
        let name = if is_wanted { "a" } else { "b" };
        let text = damaged(text, &damage);
        compare(&["/a"], &format!("{{\"{name}\":{text}}}"))?;
        compare(&["/a"], &format!("{{{text}:1}}"))?;
    }

    #[test]
    fn any_text_at_all(document in "\\PC{0,40}") {
        compare(&["/a"], &document)?;
    }
}

#[test]
fn depth_is_bounded_where_it_is_wanted() {
    let pointer = "/a".repeat(200);
    for depth in 120..135 {
        for (open, close) in [("{\"a\":", "}"), ("[", "]")] {
            let document = open.repeat(depth) + "1" + &close.repeat(depth);
            compare(&[&pointer], &document).unwrap();
            compare(&["/a/*/*"], &format!("{{\"a\":{document}}}")).unwrap();
            compare(&[], &format!("{{\"a\":{document}}}")).unwrap();
        }
    }
}

#[test]
fn an_exponent_may_make_up_for_many_digits() {
    for zeros in [10, 400, 70_000] {
        let digits = "0".repeat(zeros);
        for number in [
            format!("0.{digits}1e{}", zeros + 1),
            format!("-0.{digits}1e{}", zeros + 300),
            format!("1{digits}e-{zeros}"),
            format!("1{digits}.0e-{}", zeros - 1),
            format!("12{digits}345.6{digits}e-{}", zeros + 320),
            format!("0.{digits}e{}", zeros + 9),
            format!("1{digits}e{zeros}"),
            format!("0.{digits}1e-{zeros}"),
        ] {
            compare(&["/a"], &format!("{{\"a\":{number}}}")).unwrap();
        }
    }
}

#[test]
fn halves_of_pairs_at_the_ends_of_their_ranges() {
    const UNITS: [&str; 8] = [
        "0000", "d7FF", "d800", "DBff", "dc00", "DFFF", "e000", "ffff",
    ];
    for first in UNITS {
        for second in UNITS {
            for text in [
                format!("\\u{first}\\u{second}"),
                format!("\\u{first}x\\u{second}"),
                format!("\\u{first}\\n\\u{second}"),
            ] {
                compare(&["/a"], &format!("{{\"a\":\"{text}\"}}")).unwrap();
                compare(&["/a"], &format!("{{\"b\":\"{text}\"}}")).unwrap();
                compare(&["/a"], &format!("{{\"{text}\":1}}")).unwrap();
            }
        }
    }
}

/// Texts of every length end at each byte of the words and blocks that the scan reads at once, and at each
/// distance from the end of the document.
#[test]
fn texts_of_every_length() {
    for length in 0..70 {
        let plain = "x".repeat(length);
        for tail in ["", "\\n", "\\u00e9y", "é", "\u{1f}", "\\", "\\x"] {
            for after in ["", ",\"b\":[1,2,3,4,5,6,7,8,9]"] {
                let document = format!("{{\"a\":\"{plain}{tail}\"{after}}}");
                compare(&["/a"], &document).unwrap();
                let document = format!("{{\"{plain}{tail}\":1{after}}}");
                compare(&[&format!("/{plain}"), "/b"], &document).unwrap();
                compare(&[&format!("/{plain}é")], &document).unwrap();
            }
        }
    }
}
