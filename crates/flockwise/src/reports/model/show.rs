//! `flockwise model show`: shows one version.

use comfy_table::Table;
use flockwise_core::model::ModelVersion;
use flockwise_core::plan::Plan;
use flockwise_core::segmentation::{Flow, Impact, Segment};
use flockwise_view::{VersionEntry, error_change};
use serde_json::{Value, json};

use crate::args::ShowArguments;
use crate::exit::{Failed, outln};
use crate::reports::model::format::{self, CentroidTrait};
use crate::reports::model::topic::Setup;
use crate::reports::model::versions::{PublishedVersion, VersionHistory};
use crate::reports::table;
use crate::reports::wording::{label, readable};

pub(crate) fn show(arguments: &ShowArguments) -> Result<(), Failed> {
    let mut client = Setup::of(&arguments.config)?.connect()?;
    let versions = client.versions()?;
    let version = if arguments.held {
        let held = versions.held();
        held.ok_or_else(|| {
            Failed::runtime("no version is held; without --held, the version in use is shown")
        })?
    } else {
        versions.numbered_or_live(arguments.number)?
    };
    client.check(&version.published.model)?;
    if arguments.json {
        outln!("{:#}", version_json(client.plan(), &versions, version));
    } else {
        outln!("{}", text(client.plan(), &versions, version));
    }
    Ok(())
}

/// Names of segments in a version. A segment that it lacks has its name in the last earlier version that had it.
struct Names<'v>(Vec<&'v ModelVersion>);

impl<'v> Names<'v> {
    fn of(versions: &'v VersionHistory, version: &'v PublishedVersion) -> Self {
        let model = &version.published.model;
        let before = versions
            .iter()
            .filter(|other| other.number() < version.number());
        let before = before.map(|other| &other.published.model);
        let mut models: Vec<&ModelVersion> = before.chain([model]).collect();
        models.reverse();
        Self(models)
    }

    fn name(&self, id: u32) -> Option<&'v str> {
        let segments = self
            .0
            .iter()
            .flat_map(|model| &model.segmentation().segments);
        let mut segments = segments.filter(|segment| segment.id == id);
        segments.next().map(|segment| &*segment.name)
    }

    fn described(&self, id: u32) -> String {
        let name = self.name(id).unwrap_or("?");
        format!("{id} {name}")
    }
}

fn text(plan: &Plan, versions: &VersionHistory, version: &PublishedVersion) -> String {
    let published = &version.published;
    let model = &published.model;
    let entry = VersionEntry::of(published, version.state);
    let trained = entry
        .trained_at
        .map_or("made by hand".to_owned(), |at| format!("trained at {at}"));
    let mut lines = vec![format!(
        "version {}, {}, {trained}",
        version.number(),
        version.state.name()
    )];
    lines.extend(published.command.as_ref().map(format::command));
    if !entry.lineage.is_empty() {
        lines.push(format!("lineage: {}", entry.lineage.join("; ")));
    }
    let names = Names::of(versions, version);
    lines.extend(
        published
            .impact
            .iter()
            .flat_map(|r| impact_lines(r, &names)),
    );
    lines.push(table(plan, model).to_string());
    lines.join("\n")
}

fn impact_lines(impact: &Impact, names: &Names<'_>) -> Vec<String> {
    let change = format::signed_percent(error_change(impact));
    let Impact {
        error_before,
        error_after,
        ..
    } = impact;
    let mut lines = vec![
        format!("quantisation error {error_before:.3} → {error_after:.3} ({change})"),
        format!(
            "moves {} of customers; for {} another segment is nearest",
            format::percent(impact.moved),
            format::percent(impact.other_nearest)
        ),
    ];
    lines.extend(impact.flows.iter().map(|flow| {
        let (from, to) = (names.described(flow.from), names.described(flow.to));
        format!("  {:>6}  {from} → {to}", format::percent(flow.share))
    }));
    lines
}

fn table(plan: &Plan, model: &ModelVersion) -> Table {
    let mut table = table::empty_table([
        "segment",
        "name",
        "pinned",
        "customers",
        "what sets it apart (all), in standard deviations",
    ]);
    for segment in &model.segmentation().segments {
        let traits = format::traits(plan, model, segment);
        let traits: Vec<String> = traits.iter().map(|found| trait_text(plan, found)).collect();
        table.add_row([
            segment.id.to_string(),
            segment.name.clone(),
            if segment.is_pinned { "yes" } else { "" }.to_owned(),
            format::percent(format::share(model, segment)),
            traits.join("\n"),
        ]);
    }
    table
}

/// `orders lately 5.9 (0.9), +1.50`
fn trait_text(plan: &Plan, found: &CentroidTrait) -> String {
    let feature = plan.feature(found.feature);
    let unit = feature.wording.unit.as_deref();
    let (here, all) = (
        readable(found.typical, unit),
        readable(found.typical_of_all, unit),
    );
    format!(
        "{} {here} ({all}), {:+.2}",
        label(feature),
        found.deviations
    )
}

fn version_json(plan: &Plan, versions: &VersionHistory, version: &PublishedVersion) -> Value {
    let published = &version.published;
    let model = &published.model;
    let entry = VersionEntry::of(published, version.state);
    let names = Names::of(versions, version);
    let segments = model.segmentation().segments.iter();
    let segments: Vec<Value> = segments.map(|s| segment(plan, model, s)).collect();
    json!({
        "version": entry.version,
        "state": entry.state,
        "trained_at": entry.trained_at,
        "segments": segments,
        "lineage": entry.lineage,
        "impact": published.impact.as_ref().map(|found| impact(found, &names)),
        "command": entry.command,
    })
}

fn segment(plan: &Plan, model: &ModelVersion, segment: &Segment) -> Value {
    let traits = format::traits(plan, model, segment).into_iter();
    let traits = traits.map(|found| {
        json!({
            "feature": plan.feature(found.feature).name,
            "typical": found.typical,
            "typical_of_all": found.typical_of_all,
            "deviations": found.deviations,
        })
    });
    json!({
        "id": segment.id,
        "name": segment.name,
        "pinned": segment.is_pinned,
        "share": format::share(model, segment),
        "traits": traits.collect::<Vec<_>>(),
    })
}

fn impact(impact: &Impact, names: &Names<'_>) -> Value {
    let place = |id: u32| json!({ "segment": id, "name": names.name(id) });
    let flow = |flow: &Flow| json!({ "from": place(flow.from), "to": place(flow.to), "share": flow.share });
    json!({
        "moved": impact.moved,
        "other_nearest": impact.other_nearest,
        "flows": impact.flows.iter().map(flow).collect::<Vec<_>>(),
        "error_before": impact.error_before,
        "error_after": impact.error_after,
        "error_change": error_change(impact),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reports::model::example::{approved, held, live, plan, same};

    #[test]
    fn a_version_is_told_with_what_it_does() {
        let versions = VersionHistory::of(vec![live(1), approved(2), held(3)]);
        let shown = |number| text(&plan(), &versions, versions.numbered(number).unwrap());
        let found = format!("{}\n\n{}", shown(2), shown(3));
        same(&found, include_str!("golden/show.txt"));
    }

    #[test]
    fn flows_name_segments_that_are_gone() {
        let versions = VersionHistory::of(vec![live(1), held(2)]);
        let found = version_json(&plan(), &versions, versions.held().unwrap());
        let flow = &found["impact"]["flows"][0];
        assert_eq!(flow["from"]["name"], "big");
        assert_eq!(flow["to"]["name"], "newcomers");
        let strongest = &found["segments"][0]["traits"][0];
        assert_eq!(strongest["feature"], "spend");
        assert_eq!(strongest["typical"], 16.0);
        assert_eq!(strongest["typical_of_all"], 100.0);
        assert_eq!(strongest["deviations"], -1.5);
    }
}
