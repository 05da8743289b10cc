//! `flockwise model list`: the versions there are.

use comfy_table::Table;
use serde_json::{Value, json};

use crate::args::ListArguments;
use crate::exit::{Failed, say};
use crate::model::desk::Setup;
use crate::model::versions::{Version, Versions};
use crate::model::words;
use crate::report;

pub(crate) fn list(arguments: &ListArguments) -> Result<(), Failed> {
    let mut desk = Setup::of(&arguments.config)?.connect()?;
    let versions = Versions::of(desk.news()?);
    let warm_up = match versions.is_empty() {
        true => desk.warm_up()?,
        false => None,
    };
    let warm_up = warm_up.map(|warm_up| warm_up.to_string());
    if arguments.json {
        let versions: Vec<Value> = versions.iter().map(entry).collect();
        say!("{:#}", json!({ "versions": versions, "warm_up": warm_up }));
    } else if let Some(warm_up) = warm_up {
        say!("no version yet: {warm_up}");
    } else {
        say!("{}", table(&versions));
    }
    Ok(())
}

fn table(versions: &Versions) -> Table {
    let mut table = report::blank([
        "version",
        "state",
        "trained at",
        "segments",
        "moved",
        "error",
        "steps",
        "by order",
    ]);
    versions.iter().for_each(|version| {
        table.add_row(row(version));
    });
    table
}

fn row(version: &Version) -> [String; 8] {
    let published = &version.published;
    let (model, review) = (&published.model, published.review.as_ref());
    let order = published.order.as_ref();
    [
        version.number().to_string(),
        version.state.name().to_owned(),
        words::trained_at(model).unwrap_or_default(),
        model.segments.len().to_string(),
        review.map_or(String::new(), |review| words::percent(review.moved)),
        review.map_or(String::new(), |review| {
            words::signed_percent(words::error_change(review))
        }),
        words::steps(&model.lineage).join("\n"),
        order.map_or(String::new(), words::order),
    ]
}

fn entry(version: &Version) -> Value {
    let published = &version.published;
    let (model, review) = (&published.model, published.review.as_ref());
    json!({
        "version": version.number(),
        "state": version.state,
        "trained_at": words::trained_at(model),
        "segments": model.segments.len(),
        "moved": review.map(|review| review.moved),
        "error_change": review.map(words::error_change),
        "lineage": words::steps(&model.lineage),
        "order": published.order.as_ref().map(words::order_json),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::example::{approved, held, live, same};

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
