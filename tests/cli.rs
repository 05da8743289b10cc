//! The command line: errors say what is wrong and what to do, and have the right exit code.

use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use flockwise_tests::events::lines;
use flockwise_tests::process::{
    Finished, Process, flockwise, folder, free_address, run, workspace, write_lines,
};
use tempfile::TempDir;

/// A folder with a valid configuration and valid events.
struct Scenario(TempDir);

impl Scenario {
    fn create() -> Self {
        let folder = folder();
        let config = workspace().join("config/web-shop.toml");
        fs::copy(config, folder.path().join("good.toml")).expect("copied");
        let lines = lines(3_000, 100, 1);
        write_lines(
            &folder.path().join("good.jsonl"),
            lines.iter().map(String::as_bytes),
        );
        Self(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn good_bytes(&self) -> Vec<u8> {
        fs::read(self.path("good.jsonl")).expect("events")
    }

    /// The `flockwise` command with the folder as working directory.
    fn command(&self, line: &str) -> Command {
        let arguments: Vec<&str> = line.split_whitespace().collect();
        let mut command = flockwise(&arguments);
        command.current_dir(self.0.path());
        command
    }

    fn run(&self, line: &str) -> Finished {
        run(&mut self.command(line))
    }
}

#[test]
fn every_command_shows_an_example() {
    let scenario = Scenario::create();
    let help = scenario.run("--help").expect(0, &[]).stdout;
    let commands = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let commands = commands.take_while(|line| !line.is_empty());
    let names = commands.filter_map(|line| line.split_whitespace().next());
    let names: Vec<&str> = names.filter(|name| *name != "help").collect();
    assert!(
        ["demo", "replay", "run", "check"]
            .iter()
            .all(|name| names.contains(name)),
        "{names:?}"
    );
    for name in names {
        let help = scenario
            .run(&format!("{name} --help"))
            .expect(0, &[])
            .stdout;
        let example = help.split("Example:\n").nth(1).unwrap_or_default();
        assert!(
            example.contains(&format!("flockwise {name} ")),
            "{name}: {help}"
        );
    }
}

#[test]
fn every_command_about_the_model_shows_an_example() {
    let scenario = Scenario::create();
    for name in [
        "list", "show", "diff", "export", "import", "approve", "rollback",
    ] {
        let help = scenario.run(&format!("model {name} --help")).expect(0, &[]);
        let example = help.stdout.split("Example:\n").nth(1).unwrap_or_default();
        let command = format!("flockwise model {name} ");
        assert!(example.contains(&command), "{name}: {}", help.stdout);
    }
}

#[test]
fn what_an_order_about_the_model_lacks_is_named() {
    let scenario = Scenario::create();
    scenario.run("model").expect(2, &["Usage"]);
    scenario.run("model lst").expect(2, &["lst", "list"]);
    scenario.run("model list").expect(2, &["--config"]);
    let given = |line: &str| scenario.run(&format!("model {line} --config good.toml"));
    given("approve 5").expect(2, &["--why"]);
    given("approve five --why x").expect(2, &["five"]);
    given("rollback --why x").expect(2, &["VERSION"]);
    given("approve 5 --why x --wait soon").expect(2, &["soon", "seconds"]);
    given("show 5 --held").expect(2, &["--held"]);
    let mut command = scenario.command("model approve 5 --config good.toml");
    run(command.args(["--why", " "])).expect(2, &["must not be empty"]);
}

#[test]
fn a_model_that_cannot_be_imported_is_refused_before_any_broker_is_asked() {
    let scenario = Scenario::create();
    let import = |file: &str| {
        let line = format!("model import {file} --config good.toml --why x");
        let mut command = scenario.command(&line);
        run(command.env("FLOCKWISE__KAFKA__BOOTSTRAP_SERVERS", "127.0.0.1:1"))
    };
    import("missing.json").expect(2, &["missing.json"]);
    fs::write(scenario.path("torn.json"), "{").expect("written");
    import("torn.json").expect(2, &["torn.json", "not a model"]);
    let other = r#"{"features":["a"],"artefacts":{"segmentation":{"scaler":{"deviations":[1]},"segments":[{"id":1,"centroid":[0]}]}}}"#;
    fs::write(scenario.path("other.json"), other).expect("written");
    let ended = import("other.json").expect(2, &["other.json", "the features [a]"]);
    assert_eq!(ended.stdout, "");
}

#[test]
fn a_number_out_of_range_on_the_command_line_is_named() {
    let scenario = Scenario::create();
    scenario
        .run("demo --once --speed=0")
        .expect(2, &["--speed", "0.01 to 1000000"]);
    scenario
        .run("demo --once --speed=NaN")
        .expect(2, &["--speed", "0.01 to 1000000"]);
    scenario
        .run("replay good.jsonl --config good.toml --shards 0")
        .expect(2, &["--shards", "1..=1024"]);
}

#[test]
fn an_unknown_word_on_the_command_line_is_named() {
    let scenario = Scenario::create();
    scenario
        .run("replya good.jsonl")
        .expect(2, &["replya", "replay"]);
    scenario
        .run("replay good.jsonl --configg good.toml")
        .expect(2, &["--configg", "--config"]);
    scenario.run("replay good.jsonl").expect(2, &["--config"]);
    scenario
        .run("replay --config good.toml")
        .expect(2, &["FILES"]);
    scenario.run("").expect(2, &["Usage"]);
}

#[test]
fn every_unknown_key_is_named_with_the_nearest_that_there_is() {
    let scenario = Scenario::create();
    let good = fs::read_to_string(scenario.path("good.toml")).expect("a configuration");
    let bad = good
        .replace("remembered_ids", "remembered_idss")
        .replace("margin", "margn");
    fs::write(scenario.path("bad.toml"), bad).expect("written");
    let named = [
        "bad.toml",
        "remembered_idss",
        "`remembered_ids`",
        "margn",
        "`margin`",
    ];
    for command in [
        "replay good.jsonl --config bad.toml",
        "check --config bad.toml",
        "run --config bad.toml",
    ] {
        let ended = scenario.run(command).expect(2, &named);
        assert_eq!(ended.stdout, "");
    }
    let mut command = scenario.command("check --config good.toml");
    let ended = run(command.env("FLOCKWISE__DECISION__MARGN", "0.2"));
    ended.expect(2, &["FLOCKWISE__DECISION__MARGN"]);
}

#[test]
fn a_configuration_or_model_that_is_not_one_is_named() {
    let scenario = Scenario::create();
    fs::write(scenario.path("torn.toml"), "app = \"shop\n[").expect("written");
    fs::write(scenario.path("other.json"), r#"{"version":1}"#).expect("written");
    scenario
        .run("check --config missing.toml")
        .expect(2, &["missing.toml"]);
    scenario.run("check --config .").expect(2, &[]);
    scenario
        .run("check --config torn.toml")
        .expect(2, &["torn.toml"]);
    let replay = "replay good.jsonl --config good.toml --model";
    scenario
        .run(&format!("{replay} missing.json"))
        .expect(2, &["missing.json"]);
    scenario
        .run(&format!("{replay} other.json"))
        .expect(2, &["other.json"]);
    scenario
        .run(&format!("{replay} good.jsonl"))
        .expect(2, &["good.jsonl"]);
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let scenario = Scenario::create();
    fs::create_dir(scenario.path("folder")).expect("a folder");
    let replay = |file: &str| scenario.run(&format!("replay {file} --config good.toml"));
    replay("missing.jsonl").expect(2, &["missing.jsonl"]);
    replay("folder").expect(2, &["folder", "give the files in it"]);
    let cut = |name: &str, bytes: Vec<u8>| {
        fs::write(scenario.path(name), &bytes[..bytes.len() / 2]).expect("written");
        replay(name).expect(1, &[name, "line"]);
    };
    cut("cut.jsonl.gz", gzip(&scenario.good_bytes()));
    cut(
        "cut.jsonl.zst",
        zstd::encode_all(&*scenario.good_bytes(), 1).expect("packed"),
    );
    fs::write(scenario.path("none.jsonl"), "").expect("written");
    replay("none.jsonl").expect(1, &["none.jsonl is empty"]);
    replay("none.jsonl good.jsonl").expect(0, &["none.jsonl is empty"]);
    replay("- -").expect(2, &["stdin can be read once"]);
}

#[test]
fn packed_files_are_as_good_as_plain_ones() {
    let scenario = Scenario::create();
    fs::write(scenario.path("good.jsonl.gz"), gzip(&scenario.good_bytes())).expect("written");
    let packed = zstd::encode_all(&*scenario.good_bytes(), 1).expect("packed");
    fs::write(scenario.path("good.jsonl.zst"), packed).expect("written");
    let summary = |file: &str| {
        let ended = scenario.run(&format!("replay {file} --config good.toml --json"));
        let ended = ended.expect(0, &[]);
        serde_json::from_str::<serde_json::Value>(&ended.stdout).expect("JSON and nothing else")
    };
    let plain = summary("good.jsonl");
    assert_eq!(plain["events"], 3_000);
    assert_eq!(summary("good.jsonl.gz"), plain);
    assert_eq!(summary("good.jsonl.zst"), plain);
}

#[test]
fn a_time_that_is_none_is_named() {
    let scenario = Scenario::create();
    for time in ["yesterday", "2026-13-01T00:00:00Z", "2026-01-01", "12"] {
        let ended = scenario.run(&format!("replay good.jsonl --config good.toml --at {time}"));
        ended.expect(2, &[time, "RFC 3339"]);
    }
    scenario
        .run("replay good.jsonl --config good.toml --shards many")
        .expect(2, &["many"]);
}

#[test]
fn results_that_cannot_be_written_are_said_to_be() {
    let scenario = Scenario::create();
    fs::write(scenario.path("taken"), "").expect("written");
    let replay = "replay good.jsonl --config good.toml --out";
    scenario
        .run(&format!("{replay} taken"))
        .expect(2, &["taken"]);
    scenario
        .run(&format!("{replay} taken/deeper"))
        .expect(2, &["taken/deeper"]);
    let Some(full) = on_a_mount(&scenario, "size=16k", &format!("{replay} mount")) else {
        return;
    };
    full.expect(1, &["mount/", "No space left"]);
    let Some(fixed) = on_a_mount(&scenario, "ro", &format!("{replay} mount/deeper")) else {
        return;
    };
    fixed.expect(2, &["mount/deeper", "Read-only"]);
}

#[test]
fn a_result_that_nobody_reads_to_its_end_is_no_failure() {
    let scenario = Scenario::create();
    for (line, code) in [
        ("check --config good.toml", 0),
        ("check --config good.toml --json", 0),
        ("check --config good.toml --acls", 0),
        // An error keeps its exit code.
        ("check --config missing.toml --json", 2),
        ("replay good.jsonl --config good.toml", 0),
        ("replay good.jsonl --config good.toml --json", 0),
    ] {
        let mut command = scenario.command(line);
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        command.stdout(writer).stderr(Stdio::piped());
        let ended = command.spawn().expect("started");
        drop(command);
        let ended = ended.wait_with_output().expect("ended");
        let output = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(ended.status.code(), Some(code), "{line}: {output}");
        assert!(!output.contains("panicked"), "{line}: {output}");
    }
}

/// Runs `flockwise` with a separate file system mounted at `mount`, which ends with the process; `None`, with a
/// message on stderr, if mounting is not permitted.
fn on_a_mount(scenario: &Scenario, options: &str, line: &str) -> Option<Finished> {
    fs::create_dir_all(scenario.path("mount")).expect("a folder");
    let mount = format!("mount -t tmpfs -o {options} none mount");
    let unshare = |script: &str| {
        let mut command = Command::new("unshare");
        command.args(["--map-root-user", "--mount", "sh", "-c", script, "sh"]);
        command.current_dir(scenario.0.path()).stdin(Stdio::null());
        command
    };
    let tried = unshare(&mount).stderr(Stdio::null()).status();
    if !tried.is_ok_and(|status| status.success()) {
        eprintln!("skipped: this user may not mount a file system");
        return None;
    }
    let flockwise = scenario.command(line);
    let mut command = unshare(&format!("{mount} && exec \"$@\""));
    Some(run(command
        .arg(flockwise.get_program())
        .args(flockwise.get_args())))
}

#[test]
fn a_broker_that_does_not_answer_is_named_by_run() {
    without_a_broker("run --config good.toml");
}

#[test]
fn a_broker_that_does_not_answer_is_named_by_check() {
    without_a_broker("check --config good.toml --connect");
}

#[test]
fn a_broker_that_does_not_answer_is_named_by_model() {
    without_a_broker("model list --config good.toml");
    without_a_broker("model approve 5 --config good.toml --why x");
}

fn without_a_broker(line: &str) {
    let scenario = Scenario::create();
    let mut command = scenario.command(line);
    let ended = run(command.env("FLOCKWISE__KAFKA__BOOTSTRAP_SERVERS", "127.0.0.1:1"));
    let output = format!("{}{}", ended.stdout, ended.stderr);
    assert_eq!(ended.code, Some(1), "{output}");
    assert!(output.contains("127.0.0.1:1"), "{output}");
}

#[test]
fn a_signal_before_anything_has_begun_ends_in_good_order() {
    let scenario = Scenario::create();
    // A listener that never answers, so that the topic check at startup takes long.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = silent.local_addr().expect("its address").to_string();
    let mut command = scenario.command("run --config good.toml");
    command.env("FLOCKWISE__KAFKA__BOOTSTRAP_SERVERS", address);
    let process = Process::start(&mut command);
    drop(silent.accept().expect("it connects"));
    let ended = process.terminate().expect(0, &["SIGTERM"]);
    assert_eq!(ended.stdout, "");
}

#[test]
fn the_demo_ends_with_a_table_of_segments() {
    let scenario = Scenario::create();
    let ended = scenario
        .run("demo --once --speed 100000 --listen 127.0.0.1:0")
        .expect(0, &[]);
    let lines = ended.stdout.lines();
    let table: Vec<_> = lines
        .skip_while(|line| !line.contains("brings in"))
        .map(str::trim_end)
        .collect();
    assert!(table.len() > 20, "{}", ended.stdout);
    let readme = fs::read_to_string(workspace().join("README.md")).expect("README.md");
    assert!(
        readme.contains(&table.join("\n")),
        "README.md shows another table: {}",
        ended.stdout
    );
    assert!(ended.stdout.contains("4,372 customers"), "{}", ended.stdout);
}

#[test]
fn a_port_that_is_taken_is_named() {
    let scenario = Scenario::create();
    let address = free_address();
    let taken = std::net::TcpListener::bind(address).expect("the port");
    let ended = scenario.run(&format!("demo --once --listen {address}"));
    assert!(
        ended.code != Some(0) && ended.stderr.contains(&address.to_string()),
        "{ended:?}"
    );
    drop(taken);
    scenario
        .run("demo --listen nowhere")
        .expect(2, &["nowhere"]);
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packer.write_all(bytes).expect("packed");
    packer.finish().expect("packed")
}

#[test]
fn results_alone_are_on_stdout() {
    let scenario = Scenario::create();
    let json = scenario
        .run("check --config good.toml --json")
        .expect(0, &[])
        .stdout;
    serde_json::from_str::<serde_json::Value>(&json).expect("JSON and nothing else");
    let ended = scenario
        .run("replay good.jsonl --config good.toml --out result")
        .expect(0, &[]);
    assert!(ended.stdout.contains("customers"), "{ended:?}");
    assert!(Path::new(&scenario.path("result/summary.json")).exists());
}
