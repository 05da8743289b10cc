//! Invalid configurations and their error texts.

use flockwise_config::Config;

mod features;
mod inputs;
mod orders;
mod sections;

#[track_caller]
fn check(toml: &str, expected: &str) {
    let found = match Config::parse(toml) {
        Ok(_) => "accepted".to_owned(),
        Err(errors) => errors.to_string(),
    };
    assert_eq!(found, expected, "\n{toml}");
}

const APP: &str = "app = \"shop\"\n";
const INPUT: &str = "[[input]]\ntopic = \"clicks\"\n";
const FEATURE: &str = "[[feature]]\nname = \"orders\"\naggregate = \"count\"\nlifetime = true\n";

/// A valid configuration with these lines at the top.
fn top(lines: &str) -> String {
    format!("{APP}{lines}\n{INPUT}{FEATURE}")
}

/// A valid configuration with these sections at the end.
fn sections(lines: &str) -> String {
    format!("{APP}{INPUT}{FEATURE}{lines}")
}

/// A configuration whose only input has these lines.
fn input(lines: &str) -> String {
    format!("{APP}{FEATURE}[[input]]\n{lines}")
}

/// A configuration whose only feature is called `f` and has these lines.
fn feature(lines: &str) -> String {
    format!("{APP}{INPUT}[[feature]]\nname = \"f\"\n{lines}")
}

#[test]
fn the_top_of_the_file() {
    for (lines, expected) in [
        (
            "state_partitions = 0",
            "state_partitions: found the number 0, expected a whole number from 1 to 100000",
        ),
        (
            "state_partitions = \"12\"",
            "state_partitions: found \"12\", expected a whole number from 1 to 100000",
        ),
        (
            "shards = 1.5",
            "shards: found the number 1.5, expected a whole number from 1 to 1024",
        ),
        (
            "shards = -1",
            "shards: found the number -1, expected a whole number from 1 to 1024",
        ),
        (
            "partitioner = \"murmur\"",
            "partitioner: found \"murmur\"; did you mean `murmur2`?",
        ),
        (
            "partitioner = \"fnv1a\"",
            "partitioner: found \"fnv1a\"; expected one of murmur2, crc32",
        ),
        (
            "partitioner = 2",
            "partitioner: found the number 2, expected one of murmur2, crc32",
        ),
        ("shard = 2", "unknown key `shard`: did you mean `shards`?"),
        (
            "colour = 1",
            "unknown key `colour`: expected one of app, state_partitions, shards, standbys, partitioner, kafka, format, input, \
             feature, model, decision, time, sweep, state, http, backfill, report",
        ),
    ] {
        check(&top(lines), expected);
    }
}

#[test]
fn the_app_names_topics_and_so_obeys_their_rules() {
    let long = "a".repeat(201);
    for (app, expected) in [
        (
            "",
            "app: is missing; give a name for this pipeline, such as app = \"shop\"",
        ),
        (
            "app = \" \"",
            "app: is empty; give a text or leave the key out",
        ),
        (
            "app = 7",
            "app: found the number 7, expected a text in quotes",
        ),
        (
            "app = \"my shop\"",
            "app: found \"my shop\", expected 1 to 200 of the letters a-z A-Z 0-9 . _ -, since topics are named after it",
        ),
        (
            &format!("app = \"{long}\""),
            &format!(
                "app: found \"{}...\", expected 1 to 200 of the letters a-z A-Z 0-9 . _ -, since topics are named after it",
                &long[..60]
            ),
        ),
    ] {
        check(&format!("{app}\n{INPUT}{FEATURE}"), expected);
    }
}

#[test]
fn a_file_needs_inputs_and_features() {
    check(
        "",
        "app: is missing; give a name for this pipeline, such as app = \"shop\"\n\
         input: there is none; give at least one topic to read, under [[input]]\n\
         feature: there is none; give at least one, under [[feature]]",
    );
    check(
        "app = \"shop\"\ninput = []\nfeature = []",
        "input: there is none; give at least one topic to read, under [[input]]\n\
         feature: there is none; give at least one, under [[feature]]",
    );
    check(
        "app = \"shop\"\n[input]\ntopic = \"clicks\"\n[feature]\nname = \"f\"",
        "input: found a table, expected a list of tables, each written [[input]] with two brackets\n\
         feature: found a table, expected a list of tables, each written [[feature]] with two brackets",
    );
    let many: String = (0..257)
        .map(|index| FEATURE.replace("orders", &format!("f{index}")))
        .collect();
    check(
        &format!("{APP}{INPUT}{many}"),
        "feature: found 257 features, expected at most 256",
    );
}

#[test]
fn a_file_that_is_not_toml_names_the_line() {
    check(
        "app = \"shop\"\nshards = \n",
        "is not TOML: line 2, column 10; invalid string; expected `\"`, `'`",
    );
    check(
        "app = \"a\"\napp = \"b\"\n",
        "is not TOML: line 2, column 1; duplicate key `app` in document root",
    );
}

#[test]
fn sections_are_tables() {
    check(
        &top("model = 3"),
        "model: found the number 3, expected a table, written [model]",
    );
    check(
        &sections("[[time]]\nlateness = \"1d\""),
        "time: found a list, expected a table, written [time]",
    );
}

#[test]
fn every_problem_is_told_at_once_and_with_its_place() {
    check(
        "shards = 0\n[[input]]\ntopic = \"a\"\nformt = \"segment\"\n[[feature]]\nname = \"a\"\naggregate = \"count\"\n\
         half_lfe = \"1d\"\n[[feature]]\naggregate = \"sum\"\nwindow = 7\n[decision]\ndwell = \"2\"",
        "app: is missing; give a name for this pipeline, such as app = \"shop\"\n\
         shards: found the number 0, expected a whole number from 1 to 1024\n\
         unknown key `input[1] \"a\".formt`: did you mean `format`?\n\
         feature[1] \"a\": has no horizon; give half_life, window or lifetime = true\n\
         unknown key `feature[1] \"a\".half_lfe`: did you mean `half_life`?\n\
         feature[2].name: is missing; give a name such as \"orders_30d\"\n\
         feature[2].value: is missing; sum, mean, last, min and max need a JSON pointer to a number, such as \"/properties/revenue\"\n\
         feature[2].window: found the number 7, expected a duration in quotes, such as \"30s\", \"1h\" or \"30d\"\n\
         decision.dwell: found \"2\", expected a whole number from 1 to 65535",
    );
}
