//! `flockwise model list`: lists the versions.

use comfy_table::Table;
use serde_json::{Value, json};

use crate::args::ListArguments;
use crate::exit::{Failed, outln};
use crate::views::model::format;
use crate::views::model::topic::Setup;
use crate::views::model::versions::{Version, Versions};
use crate::views::table;

pub(crate) fn list(arguments: &ListArguments) -> Result<(), Failed> {
    let mut client = Setup::of(&arguments.config)?.connect()?;
    let versions = Versions::of(client.publications()?);
    let warm_up = match versions.is_empty() {
        true => client.warm_up()?,
        false => None,
    };
    let warm_up = warm_up.map(|warm_up| warm_up.to_string());
    if arguments.json {
        let versions: Vec<Value> = versions.iter().map(entry).collect();
        outln!("{:#}", json!({ "versions": versions, "warm_up": warm_up }));
    } else if let Some(warm_up) = warm_up {
        outln!("no version yet: {warm_up}");
    } else {
        outln!("{}", table(&versions));
    }
    Ok(())
}

fn table(versions: &Versions) -> Table {
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
    versions.iter().for_each(|version| {
        table.add_row(row(version));
    });
    table
}

fn row(version: &Version) -> [String; 8] {
    let published = &version.published;
    let (model, impact) = (&published.model, published.impact.as_ref());
    let command = published.command.as_ref();
    [
        version.number().to_string(),
        version.state.name().to_owned(),
        format::trained_at(model).unwrap_or_default(),
        model.segments.len().to_string(),
        impact.map_or(String::new(), |impact| format::percent(impact.moved)),
        impact.map_or(String::new(), |impact| {
            format::signed_percent(format::error_change(impact))
        }),
        format::steps(&model.lineage).join("\n"),
        command.map_or(String::new(), format::command),
    ]
}

fn entry(version: &Version) -> Value {
    let published = &version.published;
    let (model, impact) = (&published.model, published.impact.as_ref());
    json!({
        "version": version.number(),
        "state": version.state,
        "trained_at": format::trained_at(model),
        "segments": model.segments.len(),
        "moved": impact.map(|impact| impact.moved),
        "error_change": impact.map(format::error_change),
        "lineage": format::steps(&model.lineage),
        "order": published.command.as_ref().map(format::command_json),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::views::model::example::{approved, held, live, same};

    #[test]
    fn the_newest_comes_last() {
        let versions = Versions::of(vec![live(1), approved(2), held(3)]);
        let found = table(&versions).to_string();
        same(&found, include_str!("golden/list.txt"));
    }

    #[test]
    fn programs_read_shares_and_not_percent() {
        let versions = Versions::of(vec![live(1), held(2)]);
        let found: Vec<Value> = versions.iter().map(entry).collect();
        assert_eq!(found[0]["state"], "live");
        assert_eq!(found[0]["moved"], Value::Null);
        assert_eq!(found[1]["state"], "held");
        assert_eq!(found[1]["moved"], 0.25);
        assert_eq!(found[1]["lineage"][0], "split 1 → 1, 3");
    }
}
