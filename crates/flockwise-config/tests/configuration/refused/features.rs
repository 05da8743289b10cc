//! `[[feature]]`

use super::{APP, FEATURE, INPUT, check, feature};

#[test]
fn feature_names_and_events() {
    check(
        &format!("{APP}{INPUT}{FEATURE}{FEATURE}"),
        "feature[2] \"orders\".name: feature[1] has this name already; choose another",
    );
    check(
        &feature("aggregate = \"count\"\nlifetime = true").replace("\"f\"", "\"\""),
        "feature[1].name: is empty; give a text or leave the key out",
    );
    for (lines, expected) in [
        (
            "event = 3",
            "feature[1] \"f\".event: found the number 3, expected a text in quotes",
        ),
        (
            "event = [\"a\", 3]",
            "feature[1] \"f\".event[2]: found the number 3, expected a text in quotes",
        ),
        (
            "event = [\"a\", \"a\"]",
            "feature[1] \"f\".event[2]: found \"a\", expected each name once",
        ),
        (
            "event = []",
            "feature[1] \"f\".event: is an empty list; name at least one or leave the key out",
        ),
        (
            "event = \"\"",
            "feature[1] \"f\".event: is empty; give a text or leave the key out",
        ),
    ] {
        check(
            &feature(&format!("aggregate = \"count\"\nlifetime = true\n{lines}")),
            expected,
        );
    }
}

#[test]
fn aggregates_and_their_values() {
    let horizon = "lifetime = true\ndefault = 1.0\n";
    let none = "is missing; sum, mean, last, min and max need a JSON pointer to a number, such as \"/properties/revenue\"";
    let some = "only sum, mean, last, min and max use a value; remove the key, or make it a condition of where";
    for (lines, expected) in [
        (
            "",
            "feature[1] \"f\".aggregate: is missing; give one of count, sum, mean, share, recency, last, min, max, mean_gap, hour_sin, hour_cos",
        ),
        (
            "aggregate = \"avg\"",
            "feature[1] \"f\".aggregate: found \"avg\"; expected one of count, sum, mean, share, recency, last, min, max, mean_gap, hour_sin, hour_cos",
        ),
        (
            "aggregate = \"counts\"",
            "feature[1] \"f\".aggregate: found \"counts\"; did you mean `count`?",
        ),
        (
            "aggregate = \"sum\"",
            &format!("feature[1] \"f\".value: {none}"),
        ),
        (
            "aggregate = \"mean\"",
            &format!("feature[1] \"f\".value: {none}"),
        ),
        (
            "aggregate = \"last\"",
            &format!("feature[1] \"f\".value: {none}"),
        ),
        (
            "aggregate = \"count\"\nvalue = \"/x\"",
            &format!("feature[1] \"f\".value: {some}"),
        ),
        (
            "aggregate = \"recency\"\nvalue = \"/x\"",
            &format!("feature[1] \"f\".value: {some}"),
        ),
        (
            "aggregate = \"share\"\nvalue = \"/x\"",
            &format!("feature[1] \"f\".value: {some}"),
        ),
        (
            "aggregate = \"sum\"\nvalue = \"x\"",
            "feature[1] \"f\".value: `x` is not a JSON pointer: it must start with `/`, as in `/properties/revenue`",
        ),
        (
            "aggregate = \"sum\"\nvalue = \"/a~b\"",
            "feature[1] \"f\".value: `/a~b` is not a JSON pointer: `~` is written `~0` and `/` inside a name `~1`",
        ),
    ] {
        check(&feature(&format!("{horizon}{lines}")), expected);
    }
    for name in ["distinct", "sessions"] {
        check(
            &feature(&format!("{horizon}aggregate = \"{name}\"")),
            &format!(
                "feature[1] \"f\".aggregate: \"{name}\" is not supported yet; use one of count, sum, mean, share, recency, last, min, max, mean_gap, hour_sin, hour_cos"
            ),
        );
    }
}

#[test]
fn what_is_not_weighted_does_not_decay() {
    for aggregate in ["min", "max", "mean_gap"] {
        let value = match aggregate {
            "mean_gap" => "default = 90.0",
            _ => "value = \"/x\"",
        };
        check(
            &feature(&format!(
                "aggregate = \"{aggregate}\"\n{value}\nhalf_life = \"30d\""
            )),
            "feature[1] \"f\".half_life: min, max and mean_gap have no weights that decay; give window or lifetime = true",
        );
    }
    check(
        &feature("aggregate = \"mean_gap\"\nlifetime = true"),
        "feature[1] \"f\".default: is missing; give the days to assume for a customer with fewer than two such events, such as 365.0",
    );
}

#[test]
fn horizons() {
    let several =
        "feature[1] \"f\": has several horizons; keep one of half_life, window and lifetime";
    let none = "feature[1] \"f\": has no horizon; give half_life, window or lifetime = true";
    for (lines, expected) in [
        ("", none),
        ("lifetime = false", none),
        ("half_life = \"1d\"\nwindow = \"1d\"", several),
        ("window = \"1d\"\nlifetime = true", several),
        ("half_life = \"1d\"\nlifetime = true", several),
        (
            "half_life = \"0d\"",
            "feature[1] \"f\".half_life: found \"0d\", expected a duration above zero",
        ),
        (
            "half_life = \"1y\"",
            "feature[1] \"f\".half_life: found \"1y\": months and years differ in length; give it in days, such as 30d or 365d",
        ),
        (
            "window = \"100ms\"",
            "feature[1] \"f\".window: 100ms cannot be split into 30 buckets of whole milliseconds; give buckets = 25",
        ),
        (
            "window = \"1d\"\nbuckets = 7",
            "feature[1] \"f\".window: 1d cannot be split into 7 buckets of whole milliseconds; give buckets = 6",
        ),
        (
            "window = \"1d\"\nbuckets = 401",
            "feature[1] \"f\".buckets: found the number 401, expected a whole number from 1 to 400",
        ),
        (
            "lifetime = true\nbuckets = 30",
            "feature[1] \"f\".buckets: belongs to a window, but there is none; leave it out",
        ),
        (
            "lifetime = 1",
            "feature[1] \"f\".lifetime: found the number 1, expected true or false, without quotes",
        ),
    ] {
        let none_too = if lines == "lifetime = 1" {
            format!("{expected}\n{none}")
        } else {
            expected.to_owned()
        };
        check(
            &feature(&format!("aggregate = \"count\"\n{lines}")),
            &none_too,
        );
    }
}

#[test]
fn recency_and_last_look_at_one_event() {
    let decay = "feature[1] \"f\".half_life: recency and last use only the last event, so nothing decays; give a window or \
                 leave it out";
    for (lines, expected) in [
        (
            "aggregate = \"recency\"\ndefault = 1.0\nhalf_life = \"1d\"",
            decay,
        ),
        (
            "aggregate = \"last\"\nvalue = \"/x\"\nhalf_life = \"1d\"",
            decay,
        ),
        (
            "aggregate = \"recency\"",
            "feature[1] \"f\".default: is missing; give the days to assume for a customer without such an event, such as 365.0",
        ),
        (
            "aggregate = \"recency\"\ndefault = 1.0\nevent = \"a\"\nreversed_by = \"b\"",
            "feature[1] \"f\".reversed_by: recency, last, min, max and mean_gap cannot be reversed; sums, counts, means and shares can",
        ),
    ] {
        check(&feature(lines), expected);
    }
}

#[test]
fn the_rest_of_a_feature() {
    let clip = "feature[1] \"f\".clip: found";
    for (lines, expected) in [
        (
            "default = \"0\"",
            "feature[1] \"f\".default: found \"0\", expected a number",
        ),
        (
            "default = inf",
            "feature[1] \"f\".default: found the number inf, expected a number",
        ),
        (
            "transform = \"log\"",
            "feature[1] \"f\".transform: found \"log\"; expected one of none, log1p, sqrt",
        ),
        (
            "clip = [1, 1]",
            &*format!("{clip} [1, 1], expected the lower number first and the higher second"),
        ),
        (
            "clip = [2.5, 1]",
            &*format!("{clip} [2.5, 1], expected the lower number first and the higher second"),
        ),
        (
            "clip = [1]",
            &*format!(
                "{clip} a list, expected two numbers, lowest and highest, such as [0.0, 10.0]"
            ),
        ),
        (
            "clip = 10",
            &*format!(
                "{clip} the number 10, expected two numbers, lowest and highest, such as [0.0, 10.0]"
            ),
        ),
        (
            "weight = 0",
            "feature[1] \"f\".weight: found the number 0, expected a number above zero; remove the feature if it should not count",
        ),
        (
            "label = \"\"",
            "feature[1] \"f\".label: is empty; give a text or leave the key out",
        ),
        (
            "high = 3",
            "feature[1] \"f\".high: found the number 3, expected a text in quotes",
        ),
        (
            "reversed_by = \"Refund\"",
            "feature[1] \"f\".reversed_by: needs event too: the names of the events that are reversed",
        ),
        (
            "event = \"a\"\nreversed_by = [\"b\", \"a\"]",
            "feature[1] \"f\".reversed_by: \"a\" is in event too; an event cannot reverse itself",
        ),
        (
            "event = \"a\"\nreversed_by = []",
            "feature[1] \"f\".reversed_by: is an empty list; name at least one or leave the key out",
        ),
        (
            "gap = \"30m\"",
            "feature[1] \"f\".gap: is not supported yet; it needs sessions, which are not supported either",
        ),
    ] {
        check(
            &feature(&format!("aggregate = \"count\"\nlifetime = true\n{lines}")),
            expected,
        );
    }
}

#[test]
fn conditions() {
    let known = "eq, in, ne, gt, ge, lt, le, exists, prefix";
    let constant = "expected a text, a number, true or false";
    for (condition, expected) in [
        ("where = 3", "where: found the number 3, expected a table"),
        (
            "where = { revenue = 3 }",
            "where.revenue: `revenue` is not a JSON pointer: it must start with `/`, as in `/properties/revenue`",
        ),
        (
            "where = { \"/x\" = [] }",
            "where.\"/x\": is an empty list, which matches nothing; give at least one value",
        ),
        (
            "where = { \"/x\" = 2026-01-31 }",
            &*format!("where.\"/x\": found a date without quotes, {constant}"),
        ),
        (
            "where = { \"/x\" = [1, [2]] }",
            &*format!("where.\"/x\"[2]: found a list, {constant}"),
        ),
        (
            "base = { \"/x\" = { ne = [1] } }",
            &*format!("base.\"/x\".ne: found a list, {constant}"),
        ),
        (
            "where = { \"/x\" = { gt = \"3\" } }",
            "where.\"/x\".gt: found \"3\", expected a number",
        ),
        (
            "where = { \"/x\" = { le = nan } }",
            "where.\"/x\".le: found the number NaN, expected a number",
        ),
        (
            "where = { \"/x\" = { exists = 1 } }",
            "where.\"/x\".exists: found the number 1, expected true or false, without quotes",
        ),
        (
            "where = { \"/x\" = { prefix = 1 } }",
            "where.\"/x\".prefix: found the number 1, expected a text in quotes",
        ),
        (
            "where = { \"/x\" = {} }",
            "where.\"/x\": is an empty table; give a value, a list of values, or one of eq, ne, in, gt, ge, lt, le, exists, prefix",
        ),
    ] {
        check(
            &feature(&format!(
                "aggregate = \"count\"\nlifetime = true\n{condition}"
            )),
            &format!("feature[1] \"f\".{expected}"),
        );
    }
    check(
        &feature(
            "aggregate = \"count\"\nlifetime = true\nwhere = { \"/x\" = { above = 3, prefx = \"a\" } }",
        ),
        &format!(
            "unknown key `feature[1] \"f\".where.\"/x\".above`: expected one of {known}\n\
             unknown key `feature[1] \"f\".where.\"/x\".prefx`: did you mean `prefix`?"
        ),
    );
}
