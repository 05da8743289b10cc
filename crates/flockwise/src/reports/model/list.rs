//! `flockwise model list`: lists the versions.

use comfy_table::Table;
use flockwise_view::VersionEntry;
use serde_json::json;

use crate::args::ListArguments;
use crate::exit::{Failed, outln};
use crate::reports::model::format;
use crate::reports::model::topic::Setup;
use crate::reports::model::versions::{PublishedVersion, VersionHistory};
use crate::reports::table;

pub(crate) fn list(arguments: &ListArguments) -> Result<(), Failed> {
    let mut client = Setup::of(&arguments.config)?.connect()?;
    let versions = VersionHistory::of(client.publications()?);
    let warm_up = match versions.is_empty() {
        true => client.warm_up()?,
        false => None,
    };
    let warm_up = warm_up.map(|warm_up| warm_up.to_string());
    if arguments.json {
        let versions: Vec<VersionEntry> = versions.iter().map(entry).collect();
        outln!("{:#}", json!({ "versions": versions, "warm_up": warm_up }));
    } else if let Some(warm_up) = warm_up {
        outln!("no version yet: {warm_up}");
    } else {
        outln!("{}", table(&versions));
    }
    Ok(())
}

fn table(versions: &VersionHistory) -> Table {
    let mut table = table::empty_table([
        "version",
        "state",
        "trained at",
        "segments",
        "moved",
        "error",
        "lineage",
        "command",
    ]);
    table.add_rows(versions.iter().map(row));
    table
}

fn row(version: &PublishedVersion) -> [String; 8] {
    let entry = entry(version);
    let command = version.published.command.as_ref();
    [
        entry.version.to_string(),
        entry.state.name().to_owned(),
        entry.trained_at.unwrap_or_default(),
        entry.segments.to_string(),
        entry.moved.map_or(String::new(), format::percent),
        entry
            .error_change
            .map_or(String::new(), format::signed_percent),
        entry.lineage.join("\n"),
        command.map_or(String::new(), format::command),
    ]
}

fn entry(version: &PublishedVersion) -> VersionEntry {
    VersionEntry::of(&version.published, version.state)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reports::model::example::{approved, held, live, same};

    #[test]
    fn the_newest_comes_last() {
        let versions = VersionHistory::of(vec![live(1), approved(2), held(3)]);
        let found = table(&versions).to_string();
        same(&found, include_str!("golden/list.txt"));
    }

    #[test]
    fn programs_read_shares_and_not_percent() {
        let versions = VersionHistory::of(vec![live(1), held(2)]);
        let found: Vec<VersionEntry> = versions.iter().map(entry).collect();
        let found = serde_json::to_value(found).unwrap();
        assert_eq!(found[0]["state"], "live");
        assert!(found[0]["moved"].is_null());
        assert_eq!(found[1]["state"], "held");
        assert_eq!(found[1]["moved"], 0.25);
        assert_eq!(found[1]["lineage"][0], "split 1 → 1, 3");
    }
}
