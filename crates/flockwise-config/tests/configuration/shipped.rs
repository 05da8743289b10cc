//! The configurations in `config/`.

use std::path::{Path, PathBuf};

use flockwise_config::Config;

fn shipped() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config");
    let files = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = files
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "toml")
        })
        .collect();
    files.sort();
    files
}

#[test]
fn every_one_is_accepted() {
    let files = shipped();
    assert!(!files.is_empty());
    for path in files {
        if let Err(errors) = Config::load(&path, []) {
            panic!("{errors}");
        }
    }
}

fn commented_default() -> PathBuf {
    let mut files = shipped().into_iter();
    files.find(|path| path.ends_with("flockwise.toml")).unwrap()
}

/// Settings without a default follow a `#` without a space. They must be valid too.
#[test]
fn what_is_commented_out_is_accepted() {
    let text = std::fs::read_to_string(commented_default()).unwrap();
    let is_setting =
        |line: &&str| line.starts_with(|first: char| first.is_ascii_lowercase() || first == '[');
    let shown: Vec<&str> = text
        .lines()
        .map(|line| line.strip_prefix('#').filter(is_setting).unwrap_or(line))
        .collect();
    let config = Config::parse(&shown.join("\n")).unwrap_or_else(|errors| panic!("{errors}"));
    assert!(
        config.state_partitions.is_some() && config.shards.is_some() && config.import.is_some()
    );
}

/// The commented file promises every default, so it must not drift from the code.
#[test]
fn the_commented_default_holds_the_defaults() {
    let commented = Config::load(&commented_default(), []).unwrap();
    let features_alone = "
        app = \"shop\"
        [[input]]
        topic = \"events\"
        [[feature]]
        name = \"any\"
        aggregate = \"count\"
        lifetime = true
    ";
    let default = Config::parse(features_alone).unwrap();
    let expected = Config {
        features: commented.features.clone(),
        brings_in: commented.brings_in.clone(),
        ..default
    };
    assert_eq!(commented, expected);
}

/// The file says: "keep what you change, and delete the rest". So writing a default must change nothing, even if it is
/// the only key of its section.
#[test]
fn one_default_that_is_written_changes_nothing() {
    let text = std::fs::read_to_string(commented_default()).unwrap();
    let base = "
        app = \"shop\"
        [[input]]
        topic = \"events\"
        [[feature]]
        name = \"spend_90d\"
        event = \"Order Completed\"
        aggregate = \"sum\"
        value = \"/properties/revenue\"
        window = \"90d\"
    ";
    let silent = Config::parse(base).unwrap();
    let written = settings(&text);
    for section in [
        "kafka", "model", "decision", "sweep", "time", "state", "http",
    ] {
        assert!(
            written.iter().any(|(known, _)| *known == section),
            "[{section}]"
        );
    }
    for (section, setting) in written {
        let config = Config::parse(&format!("{base}\n[{section}]\n{setting}"));
        let config = config.unwrap_or_else(|errors| panic!("[{section}] {setting}: {errors}"));
        assert_eq!(config, silent, "[{section}] {setting}");
    }
}

/// The settings of sections that are not lists, each with its section. `[report]` is left out: it has no default.
fn settings(text: &str) -> Vec<(&str, &str)> {
    let (mut section, mut found) = ("", Vec::new());
    for line in text.lines() {
        if let Some(heading) = line.strip_prefix('[') {
            section = heading.split(']').next().unwrap();
        } else if line.starts_with(|first: char| first.is_ascii_lowercase()) {
            found.push((section, line));
        }
    }
    let has_defaults = |section: &str| {
        let is_list = section.starts_with('[') || section.starts_with("format.");
        !section.is_empty() && !is_list && section != "report"
    };
    found.retain(|(section, _)| has_defaults(section));
    found
}
