//! The files of `replay --out DIR`. Their lines are sorted, so that two runs can be compared.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use flockwise_codec::model::encode_model;
use flockwise_codec::time::write_time;
use flockwise_core::customer_view::CustomerView;
use flockwise_core::plan::Plan;
use flockwise_core::task::DuplicateBy;
use flockwise_memory::CommittedRecord;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value, json};

use crate::exit::Failed;
use crate::local::dead_letters::{LocatedDeadLetter, header};
use crate::local::local_pipeline::Session;
use crate::local::segment_stats::SegmentStats;
use crate::local::summary_counts::Tally;
use crate::local::unused_features;

/// Collects the records for the files.
pub(crate) struct Results {
    directory: PathBuf,
    pub(crate) changes: Vec<CommittedRecord>,
    pub(crate) lineage: Vec<CommittedRecord>,
    pub(crate) dead_letters: Vec<LocatedDeadLetter>,
}

impl Results {
    /// Creates the directory before the replay, so that a wrong path is an error at once.
    pub(crate) fn create(directory: &Path) -> Result<Self, Failed> {
        let cannot = |error| Failed::invalid(format!("--out {}: {error}", directory.display()));
        fs::create_dir_all(directory).map_err(cannot)?;
        Ok(Self {
            directory: directory.to_owned(),
            changes: Vec::new(),
            lineage: Vec::new(),
            dead_letters: Vec::new(),
        })
    }

    /// Writes the files. `files`: the names of the files of events, in order.
    pub(crate) fn finish(
        mut self,
        files: &[String],
        session: &Session,
        customer_views: &[CustomerView],
        summary: &Value,
    ) -> Result<(), Failed> {
        // The changes of one customer are in order, so a stable sort by customer keeps that order.
        self.changes.sort_by(|left, right| left.key.cmp(&right.key));
        let changes = self
            .changes
            .iter()
            .filter_map(|record| record.value.clone());
        self.write("segment-changes.jsonl", changes)?;
        let lineage = self.lineage.iter();
        let lineage = lineage.filter_map(|record| record.value.clone());
        self.write("lineage.jsonl", lineage)?;
        // Those of one line are in the order of their partitions.
        self.dead_letters.sort_by_key(|letter| letter.origin);
        let dead_letters = self.dead_letters.iter();
        let dead_letters = dead_letters.map(|letter| text(&dead_letter(files, letter)));
        self.write("dead-letters.jsonl", dead_letters)?;
        let plan = &session.pipeline.task.plan;
        let customers = customer_views.iter().map(|view| customer(plan, view));
        self.write("customers.jsonl", customers)?;
        let model = session
            .model()
            .map(|model| encode_model(model.as_version()));
        self.write("model.json", model.into_iter())?;
        self.write(
            "summary.json",
            std::iter::once(format!("{summary:#}").into_bytes()),
        )
    }

    fn write(&self, name: &str, lines: impl Iterator<Item = Vec<u8>>) -> Result<(), Failed> {
        let path = self.directory.join(name);
        let write = || -> std::io::Result<()> {
            let mut file = BufWriter::new(File::create(&path)?);
            for line in lines {
                file.write_all(&line)?;
                file.write_all(b"\n")?;
            }
            file.flush()
        };
        write()
            .map_err(|error| Failed::runtime(format!("cannot write {}: {error}", path.display())))
    }
}

fn text(value: &Value) -> Vec<u8> {
    value.to_string().into_bytes()
}

#[derive(Serialize)]
struct CustomerLine<'a> {
    customer_id: &'a str,
    segment: Option<u32>,
    as_of: String,
    features: Named<'a>,
    vector: &'a [f64],
    distance: Option<f64>,
    margin: Option<f64>,
    outlier: Option<bool>,
    sequence: u32,
}

/// Serializes values under the names of their features, in the order of the configuration.
struct Named<'a>(&'a Plan, &'a [f64]);

impl Serialize for Named<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.feature_names().zip(self.1))
    }
}

fn customer(plan: &Plan, view: &CustomerView) -> Vec<u8> {
    let line = CustomerLine {
        customer_id: &view.customer_id,
        segment: view.segment,
        as_of: write_time(view.as_of_ms),
        features: Named(plan, &view.features),
        vector: &view.vector,
        distance: view.distance,
        margin: view.margin,
        outlier: view.is_outlier,
        sequence: view.sequence,
    };
    // Cannot fail: only numbers and strings, written to memory.
    serde_json::to_vec(&line).unwrap_or_default()
}

/// A dead letter: why, where its document is in the files, the input, and the document. A document that is not UTF-8 is
/// written as hexadecimal digits.
fn dead_letter(files: &[String], letter: &LocatedDeadLetter) -> Value {
    let LocatedDeadLetter { origin, record } = letter;
    let named = |name: &str| json!(header(record, &format!("flockwise.{name}")));
    let mut line = Map::new();
    line.insert("reason".to_owned(), named("reason"));
    line.insert("detail".to_owned(), named("detail"));
    line.insert("file".to_owned(), json!(files.get(origin.file as usize)));
    line.insert("line".to_owned(), json!(origin.line));
    line.insert("topic".to_owned(), named("topic"));
    let value = record.value.as_deref().unwrap_or_default();
    match std::str::from_utf8(value) {
        Ok(text) => line.insert("value".to_owned(), json!(text)),
        Err(_) => {
            let digits: String = value.iter().map(|byte| format!("{byte:02x}")).collect();
            line.insert("value_hex".to_owned(), json!(digits))
        }
    };
    Value::Object(line)
}

/// The summary of a replay. It does not depend on the machine or the number of workers.
pub(crate) fn summary(
    session: &Session,
    tally: &Tally,
    segments: &[SegmentStats],
    at_ms: Option<i64>,
) -> Value {
    let duplicates = DuplicateBy::NAMES.iter().zip(tally.duplicates);
    let duplicates: BTreeMap<&str, u64> = duplicates.map(|(by, count)| (*by, count)).collect();
    json!({
        "app": session.pipeline.topics.app,
        "events": session.events,
        "first_event": session.stream_ms.map(|(first, _)| write_time(first)),
        "last_event": session.stream_ms.map(|(_, last)| write_time(last)),
        "at": at_ms.map(write_time),
        "customers": session.customers(),
        "model_version": session.model().map(|model| model.version()),
        "warm_up": session.warm_up().map(|warm_up| warm_up.to_string()),
        "changes": tally.changes,
        "changes_by_cause": tally.by_cause,
        "duplicates": duplicates,
        "dead_letters": tally.dead_letters,
        "features": unused_features::summary(&session.pipeline.task.plan, &tally.inputs),
        "segments": segments,
    })
}
