//! Files in which nothing is an event: what they look like, and what to do.

use flockwise_codec::decode::Appearance;

use crate::exit::Failed;
use crate::local::event_files::{FileReport, NoEvent};

/// Letters that are shown of a document, at most.
const SHOWN_LETTERS: usize = 100;
/// Bytes that are shown of what is not text, at most.
const SHOWN_BYTES: usize = 24;

/// Fails if nothing in one of the files was an event, or all are empty. Warns of a file that is empty or was cut.
pub(crate) fn check(files: &[FileReport]) -> Result<(), Failed> {
    let is_nothing = files.iter().all(|file| file.events == 0);
    let wrong = files.iter().filter(|file| file.events == 0);
    let wrong = wrong.filter(|file| file.documents > 0 || is_nothing);
    let problems: Vec<String> = wrong.map(describe).collect();
    for file in files {
        if file.documents == 0 && !is_nothing {
            eprintln!("{} is empty", file.name);
        }
        if file.is_cut {
            let name = &file.name;
            eprintln!("{name} ends within a JSON array: the rest of the file may be missing");
        }
    }
    match problems.is_empty() {
        true => Ok(()),
        false => Err(Failed::runtime(problems.join("\n"))),
    }
}

fn describe(file: &FileReport) -> String {
    let name = &file.name;
    if file.documents == 0 {
        return format!("{name} is empty: there is no event to replay");
    }
    let mut text = match file.documents {
        1 => format!("nothing in {name} is an event. It begins with"),
        count => format!("nothing in {name} is an event, of {count} documents. It begins with"),
    };
    for found in &file.no_events {
        text += &format!("\n  line {}: {}", found.line, shown(&found.bytes));
        text += &format!("\n    {}", found.reason);
    }
    if let Some(first) = file.no_events.first() {
        text += &format!("\n{}", advice(name, first));
    }
    text
}

/// The beginning of a document, on one line. Of one that is not text, bytes as hexadecimal digits.
fn shown(bytes: &[u8]) -> String {
    // The last letter may be cut.
    let valid = bytes.utf8_chunks().next().map_or("", |chunk| chunk.valid());
    if valid.len() + 4 < bytes.len() {
        let digits = bytes.iter().take(SHOWN_BYTES);
        let digits: Vec<String> = digits.map(|byte| format!("{byte:02x}")).collect();
        return format!("bytes {}", digits.join(" "));
    }
    let text = String::from_utf8_lossy(bytes);
    let words: Vec<&str> = text.split_whitespace().collect();
    let text = words.join(" ");
    let shown: String = text.chars().take(SHOWN_LETTERS).collect();
    let shown = shown.escape_debug().to_string().replace("\\\"", "\"");
    match text.chars().count() > SHOWN_LETTERS {
        true => format!("{shown}…"),
        false => shown,
    }
}

/// What to do about a file whose first document is this.
fn advice(file: &str, first: &NoEvent) -> String {
    if first.is_ahead {
        return "Correct the times, or raise `max_ahead` under [time] in the configuration."
            .to_owned();
    }
    let piped = |command: &str| format!("Try: {command} | flockwise replay - …");
    match first.appearance {
        Some(Appearance::CommaSeparated) => {
            let command = format!("mlr --icsv --ojsonl cat {file}");
            format!("Replay reads JSON objects. {}", piped(&command))
        }
        Some(Appearance::TabSeparated) => {
            let command = format!("mlr --itsv --ojsonl cat {file}");
            format!("Replay reads JSON objects. {}", piped(&command))
        }
        Some(Appearance::Utf16) => piped(&format!("iconv -f UTF-16 -t UTF-8 {file}")),
        Some(Appearance::JsonInString) => piped(&format!("jq -c fromjson {file}")),
        Some(Appearance::JsonArray) => piped(&format!("jq -c '.. | objects' {file}")),
        Some(Appearance::SchemaRegistry(_)) => {
            "Replay reads JSON objects: export the topic as JSON, without the schema registry's frame."
                .to_owned()
        }
        Some(Appearance::Json) => match list_within(&first.bytes) {
            Some(list) => piped(&format!("jq -c '.{list}[]' {file}")),
            None => {
                "Compare it with the input's `format` in the configuration, which says where customer, event and time are \
                 (docs/input-formats.md)."
                    .to_owned()
            }
        },
        _ => "Replay reads JSON objects, also compressed with gzip or zstd: convert the file.".to_owned(),
    }
}

/// The name of the first member of an object that is a list of objects. Looks at the beginning of the object only.
fn list_within(bytes: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(bytes);
    let compact: String = text
        .chars()
        .filter(|letter| !letter.is_whitespace())
        .collect();
    let (before, _) = compact.split_once("\":[{")?;
    let (_, name) = before.rsplit_once('"')?;
    let is_plain = name
        .chars()
        .all(|letter| letter.is_alphanumeric() || letter == '_');
    is_plain.then(|| name.to_owned())
}
