//! Checks the documents: commands can be run as shown, links and configurations are valid.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use flockwise_config::Config;
use flockwise_tests::process::{Finished, flockwise, folder, run, workspace};

/// A command in a fenced `sh` block, and its file and line.
#[derive(Debug)]
struct ShownCommand {
    place: String,
    words: Vec<String>,
}

/// Every Markdown file in the root folder, `docs` and `deploy`.
fn documents() -> Vec<PathBuf> {
    let folders = ["", "docs", "deploy"].map(|folder| workspace().join(folder));
    let entries = folders
        .iter()
        .filter_map(|folder| fs::read_dir(folder).ok())
        .flatten();
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let mut documents: Vec<PathBuf> = paths
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .collect();
    documents.sort();
    documents
}

fn commands() -> Vec<ShownCommand> {
    documents()
        .iter()
        .flat_map(|path| commands_of(path))
        .collect()
}

fn commands_of(path: &Path) -> Vec<ShownCommand> {
    let text = fs::read_to_string(path).expect("a document");
    let mut commands = Vec::new();
    let (mut in_shell, mut in_other, mut before) = (false, false, String::new());
    for (line, number) in text.lines().zip(1..) {
        if line.trim_start().starts_with("```") {
            let is_open = in_shell || in_other;
            in_shell = !is_open && matches!(line.trim(), "```sh" | "```bash" | "```shell");
            in_other = !is_open && !in_shell;
        } else if in_shell {
            before.push_str(line.trim_start_matches("$ "));
            if before.ends_with('\\') {
                before.pop();
                continue;
            }
            let place = format!("{}:{number}", path.display());
            commands.extend(shown(&place, &std::mem::take(&mut before)));
        }
    }
    commands
}

/// The commands of a line, split at pipes and list operators.
fn shown(place: &str, line: &str) -> Vec<ShownCommand> {
    let words = words(line);
    let commands = words.split(|word| matches!(&**word, "|" | "&&" | "||" | ";" | "&"));
    let commands = commands.map(|words| {
        let is_setting =
            |word: &&String| word.split('=').next().is_some_and(is_variable) && word.contains('=');
        let words = words.iter().skip_while(is_setting);
        let words = words.take_while(|word| !matches!(&***word, ">" | "2>" | "<" | ">>"));
        ShownCommand {
            place: place.to_owned(),
            words: words.cloned().collect(),
        }
    });
    commands.filter(|shown| !shown.words.is_empty()).collect()
}

fn is_variable(name: &str) -> bool {
    !name.is_empty()
        && name
            .chars()
            .all(|letter| letter.is_ascii_uppercase() || letter == '_')
}

/// The words of a line, without quotes and comments.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for letter in line.chars() {
        match (quote, letter) {
            (Some(open), letter) if letter == open => quote = None,
            (Some(_), letter) => word.get_or_insert_default().push(letter),
            (None, '"' | '\'') => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (None, '#') if word.is_none() => break,
            (None, letter) if letter.is_whitespace() => words.extend(word.take()),
            (None, letter) => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    words
}

#[test]
fn lines_fall_into_commands() {
    let line = r#"A_B=1 flockwise replay "a b".jsonl --at 'x' && ./dev test > log # as it is"#;
    let commands: Vec<Vec<String>> = shown("", line)
        .into_iter()
        .map(|shown| shown.words)
        .collect();
    assert_eq!(
        commands[0],
        ["flockwise", "replay", "a b.jsonl", "--at", "x"]
    );
    assert_eq!(commands[1], ["./dev", "test"]);
    assert_eq!(commands.len(), 2);
}

#[test]
fn every_flockwise_command_can_be_given() {
    for ShownCommand { place, words } in commands() {
        let [program, arguments @ ..] = &words[..] else {
            continue;
        };
        if program != "flockwise" && !program.ends_with("/flockwise") {
            continue;
        }
        let ended = run_shown(arguments);
        assert_eq!(ended.code, Some(0), "{place}: {words:?}: {}", ended.stderr);
    }
}

/// Runs a command if it needs only files; otherwise runs it with `--help`, which checks the subcommand.
fn run_shown(arguments: &[String]) -> Finished {
    let folder = folder();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let is_harmless = match arguments[..] {
        ["check", ..] => !arguments.contains(&"--connect"),
        ["replay", ..] => true,
        ["demo", ..] => arguments.contains(&"--once"),
        _ => false,
    };
    let mut command = flockwise(&arguments);
    command.current_dir(folder.path());
    match arguments[..] {
        _ if !is_harmless => command.arg("--help"),
        ["demo", ..] => command.args(["--speed", "100000", "--listen", "127.0.0.1:0"]),
        _ => {
            copy_files(folder.path(), &arguments);
            &mut command
        }
    };
    run(&mut command)
}

/// Puts the files that a command names into a folder: the configurations of `config`, and the demo's orders as every
/// event file.
fn copy_files(folder: &Path, arguments: &[&str]) {
    fs::create_dir(folder.join("config")).expect("a folder");
    for entry in fs::read_dir(workspace().join("config")).expect("config") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name").to_owned();
        fs::copy(&path, folder.join("config").join(name)).expect("copied");
    }
    fs::copy(
        workspace().join("config/web-shop.toml"),
        folder.join("flockwise.toml"),
    )
    .expect("copied");
    let orders = workspace().join("crates/flockwise/data/online-retail.jsonl.zst");
    for name in arguments.iter().filter(|word| word.contains(".jsonl")) {
        let packed = fs::read(&orders).expect("the orders");
        let plain = || zstd::decode_all(&*packed).expect("unpacked");
        let bytes = if name.ends_with(".zst") {
            packed.clone()
        } else {
            plain()
        };
        fs::write(folder.join(name), bytes).expect("written");
    }
}

#[test]
fn every_command_of_the_development_script_is_one() {
    let mut usage = Command::new("./dev");
    let usage = usage
        .arg("help")
        .current_dir(workspace())
        .output()
        .expect("./dev");
    let usage = String::from_utf8_lossy(&usage.stdout).into_owned();
    for ShownCommand { place, words } in commands() {
        if let ["./dev", command, ..] = words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            let is_known = usage.contains(&format!("./dev {command}"));
            assert!(is_known, "{place}: {words:?} is not in: {usage}");
        }
    }
}

#[test]
fn every_cargo_xtask_command_can_be_given() {
    for ShownCommand { place, words } in commands() {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let ["cargo", "xtask", arguments @ ..] = &words[..] else {
            continue;
        };
        // Arguments after `tool NAME` belong to one of Kafka's own tools.
        let own = arguments
            .split(|word| *word == "tool")
            .next()
            .unwrap_or_default();
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(cargo);
        command
            .args(["run", "--quiet", "--package", "xtask", "--"])
            .args(own)
            .arg("--help");
        let ended = run(command.current_dir(workspace()));
        assert_eq!(ended.code, Some(0), "{place}: {words:?}: {}", ended.stderr);
    }
}

#[test]
fn every_file_that_a_link_leads_to_is_there() {
    for path in documents() {
        let text = fs::read_to_string(&path).expect("a document");
        let folder = path.parent().expect("a folder");
        for target in text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next())
        {
            let file = target.split('#').next().unwrap_or_default();
            let is_outside = file.contains("://") || file.starts_with("mailto:");
            let is_there = file.is_empty() || is_outside || folder.join(file).exists();
            assert!(
                is_there,
                "{}: the link to {target} is broken",
                path.display()
            );
        }
    }
}

/// The configurations in `config` are tested next to the parser.
#[test]
fn every_configuration_for_deployment_is_valid() {
    for entry in fs::read_dir(workspace().join("deploy")).expect("deploy") {
        let path = entry.expect("an entry").path();
        if path
            .extension()
            .is_some_and(|extension| extension == "toml")
        {
            Config::load(&path, []).unwrap_or_else(|errors| panic!("{errors}"));
        }
    }
}

/// README lists the files that a replay writes.
#[test]
fn readme_names_every_file_of_a_replay() {
    let read = |path: &str| std::fs::read_to_string(workspace().join(path)).expect("a file");
    let (readme, results) = (
        read("README.md"),
        read("crates/flockwise/src/local/result_files.rs"),
    );
    let literals = results.split('"').skip(1).step_by(2);
    let is_file = |text: &&str| text.ends_with(".json") || text.ends_with(".jsonl");
    let files: Vec<&str> = literals.filter(is_file).collect();
    assert!(files.len() > 3, "{files:?}");
    for file in files {
        assert!(
            readme.contains(&format!("`{file}`")),
            "README.md does not mention {file}"
        );
    }
}
