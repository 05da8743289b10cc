//! Checks which crate may depend on which, as stated in `ARCHITECTURE.md`.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use flockwise_tests::process::workspace;
use serde_json::Value;

/// The output of `cargo metadata`.
fn metadata() -> Value {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .args(["metadata", "--no-deps", "--format-version", "1"])
        .current_dir(workspace());
    let answer = command.output().expect("cargo metadata");
    assert!(
        answer.status.success(),
        "{}",
        String::from_utf8_lossy(&answer.stderr)
    );
    serde_json::from_slice(&answer.stdout).expect("JSON")
}

/// Names of the dependencies of every workspace crate, without dev-dependencies.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let metadata = metadata();
    let packages = metadata["packages"].as_array().expect("packages").iter();
    packages
        .map(|package| (text(&package["name"]), named(package)))
        .collect()
}

fn named(package: &Value) -> BTreeSet<String> {
    let dependencies = package["dependencies"]
        .as_array()
        .expect("dependencies")
        .iter();
    let counts = dependencies.filter(|dependency| dependency["kind"] != "dev");
    counts.map(|dependency| text(&dependency["name"])).collect()
}

fn text(value: &Value) -> String {
    value.as_str().expect("a name").to_owned()
}

fn is_own(name: &str) -> bool {
    name.starts_with("flockwise") || name == "xtask"
}

/// The workspace crates that a crate may use; `None` if it may use all, as the command, the tests and the benchmarks
/// may.
fn allowed(name: &str) -> Option<&'static [&'static str]> {
    Some(match name {
        "flockwise-vocabulary"
        | "flockwise-kmeans"
        | "flockwise-avro"
        | "flockwise-json"
        | "flockwise-http"
        | "xtask" => &[],
        "flockwise-core" => &["flockwise-vocabulary", "flockwise-kmeans"],
        "flockwise-codec" | "flockwise-config" => &[
            "flockwise-vocabulary",
            "flockwise-kmeans",
            "flockwise-core",
            "flockwise-avro",
            "flockwise-json",
            "flockwise-codec",
        ],
        "flockwise-runtime" => &[
            "flockwise-vocabulary",
            "flockwise-kmeans",
            "flockwise-core",
            "flockwise-codec",
        ],
        "flockwise-view" => &["flockwise-vocabulary", "flockwise-core", "flockwise-codec"],
        "flockwise-kafka" | "flockwise-memory" | "flockwise-store" => &[
            "flockwise-vocabulary",
            "flockwise-core",
            "flockwise-codec",
            "flockwise-runtime",
        ],
        "flockwise-simulation" => &["flockwise-runtime", "flockwise-memory"],
        _ => return None,
    })
}

#[test]
fn crates_use_each_other_in_one_direction_only() {
    let unbound = [
        "flockwise",
        "flockwise-tests",
        "flockwise-fuzz",
        "flockwise-benches",
        "flockwise-quality",
    ];
    for (name, used) in dependencies() {
        let Some(allowed) = allowed(&name) else {
            let is_known = unbound.contains(&&*name);
            assert!(
                is_known,
                "{name} is new: list the crates that it may use here and in ARCHITECTURE.md"
            );
            continue;
        };
        let wrong = used
            .iter()
            .filter(|used| is_own(used) && !allowed.contains(&&***used));
        let wrong: Vec<_> = wrong.collect();
        assert!(wrong.is_empty(), "{name} must not use {wrong:?}");
    }
}

#[test]
fn the_product_uses_neither_tests_nor_development_tasks() {
    let outside = [
        "flockwise-simulation",
        "flockwise-tests",
        "flockwise-benches",
        "flockwise-quality",
        "xtask",
    ];
    for (name, used) in dependencies() {
        let wrong = used.iter().find(|used| outside.contains(&&***used));
        let may = outside.contains(&&*name);
        assert!(may || wrong.is_none(), "{name} must not use {wrong:?}");
    }
}

#[test]
fn one_crate_names_each_outside_system() {
    let owners = [
        ("rdkafka", "flockwise-kafka"),
        ("rdkafka-sys", "flockwise-kafka"),
        ("axum", "flockwise-http"),
        ("tokio", "flockwise-http"),
        ("figment", "flockwise-config"),
        ("clap", "flockwise"),
    ];
    let helpers = [
        "flockwise-tests",
        "flockwise-benches",
        "flockwise-quality",
        "xtask",
    ];
    let dependencies = dependencies();
    for (system, owner) in owners {
        let users = dependencies
            .iter()
            .filter(|(_, used)| used.contains(system));
        let others = users
            .map(|(name, _)| &**name)
            .filter(|name| !helpers.contains(name));
        let others: Vec<_> = others.filter(|name| *name != owner).collect();
        assert!(
            others.is_empty(),
            "{system} belongs to {owner}, not to {others:?}"
        );
    }
}

#[test]
fn pure_crates_can_do_no_io() {
    let impure = [
        "tokio",
        "rdkafka",
        "rdkafka-sys",
        "tracing",
        "tracing-subscriber",
        "log",
        "axum",
        "prometheus",
        "signal-hook",
        "tempfile",
        "figment",
        "anyhow",
        "libc",
        "rustix",
        "mio",
    ];
    let dependencies = dependencies();
    for name in [
        "flockwise-vocabulary",
        "flockwise-kmeans",
        "flockwise-core",
        "flockwise-json",
        "flockwise-codec",
        "flockwise-view",
    ] {
        let used = &dependencies[name];
        let wrong: Vec<_> = impure
            .iter()
            .filter(|impure| used.contains(**impure))
            .collect();
        assert!(wrong.is_empty(), "{name} must not use {wrong:?}");
        let bans = workspace().join("crates").join(name).join("clippy.toml");
        let bans = std::fs::read_to_string(bans).expect("its own clippy.toml");
        for banned in [
            "std::fs",
            "std::thread",
            "std::time::SystemTime::now",
            "std::net",
        ] {
            assert!(
                bans.contains(banned),
                "{name}'s clippy.toml does not ban {banned}"
            );
        }
    }
}

/// An unused dependency still has to be kept up to date.
#[test]
fn every_dependency_of_the_workspace_is_used_by_a_crate() {
    let read = |path: &str| std::fs::read_to_string(path).expect("a manifest");
    let root = read(workspace().join("Cargo.toml").to_str().expect("UTF-8"));
    let (_, listed) = root
        .split_once("[workspace.dependencies]")
        .expect("dependencies of the workspace");
    let listed = listed.lines().take_while(|line| !line.starts_with('['));
    let names = listed.filter_map(|line| Some(line.split_once(" = ")?.0));
    let manifests: String = manifests().iter().map(|path| read(path)).collect();
    let is_used = |name: &&str| {
        let (short, long) = (
            format!("\n{name}.workspace"),
            format!("\n{name} = {{ workspace"),
        );
        manifests.contains(&short) || manifests.contains(&long)
    };
    let unused: Vec<&str> = names.filter(|name| !is_used(name)).collect();
    assert_eq!(unused, [""; 0], "remove them from Cargo.toml");
}

fn manifests() -> Vec<String> {
    let packages = metadata()["packages"].clone();
    let packages = packages.as_array().expect("packages").iter();
    packages
        .map(|package| text(&package["manifest_path"]))
        .collect()
}
