//! Parsed schemas.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::mem::{Discriminant, discriminant};

use apache_avro::Schema;
use serde_json::Value;

use crate::fingerprint::fingerprint;

/// A parsed schema of a record.
#[derive(Clone, Debug)]
pub struct AvroSchema {
    pub(crate) schema: Schema,
    name: String,
    fingerprint: u64,
}

impl AvroSchema {
    /// Parses a schema. All types that it names must be defined in it.
    ///
    /// # Errors
    /// If the text is not the schema of a record.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut json = serde_json::from_str(text).map_err(|error| with_sources(&error))?;
        drop_defaults(&mut json);
        let schema = Schema::parse(&json).map_err(|error| with_sources(&error))?;
        check_names(&schema)?;
        match &schema {
            Schema::Record(record) => Ok(Self {
                name: record.name.fullname(None),
                fingerprint: fingerprint(&schema),
                schema,
            }),
            _ => Err("its type is not record".to_owned()),
        }
    }

    /// The record's full name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether data of both schemas means the same. Schemas with one fingerprint may differ in logical types.
    #[must_use]
    pub fn means_the_same(&self, other: &Self) -> bool {
        meanings(&self.schema) == meanings(&other.schema)
    }

    /// The fingerprint by which single-object encoding names the schema: CRC-64-AVRO of its canonical form.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        self.fingerprint
    }
}

/// Checks that each named type is defined once, and each reference by its name. `apache_avro` also accepts references by
/// an alias.
fn check_names(schema: &Schema) -> Result<(), String> {
    let mut all = Vec::new();
    collect(schema, &mut all);
    let names: Vec<String> = all.iter().map(|(name, _)| name.clone()).collect();
    let mut seen = BTreeSet::new();
    if let Some(twice) = names.iter().find(|name| !seen.insert(*name)) {
        return Err(format!("the type {twice} is defined twice"));
    }
    match references(schema)
        .into_iter()
        .find(|name| !names.contains(name))
    {
        Some(unknown) => Err(format!("the type {unknown} is not defined under this name")),
        None => Ok(()),
    }
}

fn references(schema: &Schema) -> Vec<String> {
    match schema {
        Schema::Ref { name } => vec![name.fullname(None)],
        other => parts(other).into_iter().flat_map(references).collect(),
    }
}

/// Removes the defaults of fields. Reading does not need them, and `apache_avro` refuses some that are valid, such as a
/// text for a UUID.
fn drop_defaults(json: &mut Value) {
    match json {
        Value::Array(elements) => elements.iter_mut().for_each(drop_defaults),
        Value::Object(members) => {
            members.remove("default");
            members.values_mut().for_each(drop_defaults);
        }
        _ => {}
    }
}

/// An error with what caused it.
fn with_sources(error: &(dyn Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |cause| (*cause).source());
    causes
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}

/// The named types of a schema, by full name.
pub(crate) type NamedTypes<'s> = BTreeMap<String, &'s Schema>;

/// All named types of a schema.
pub(crate) fn named_types(schema: &Schema) -> NamedTypes<'_> {
    let mut all = Vec::new();
    collect(schema, &mut all);
    all.into_iter().collect()
}

fn collect<'s>(schema: &'s Schema, types: &mut Vec<(String, &'s Schema)>) {
    if let Some(name) = schema.name()
        && !matches!(schema, Schema::Ref { .. })
    {
        types.push((name.fullname(None), schema));
    }
    for part in parts(schema) {
        collect(part, types);
    }
}

/// The type of each value of a schema, in order, with the scale of a decimal.
fn meanings(schema: &Schema) -> Vec<(Discriminant<Schema>, usize)> {
    let scale = match schema {
        Schema::Decimal(decimal) => decimal.scale,
        _ => 0,
    };
    let mut all = vec![(discriminant(schema), scale)];
    all.extend(parts(schema).into_iter().flat_map(meanings));
    all
}

/// The schemas of which a schema is made.
fn parts(schema: &Schema) -> Vec<&Schema> {
    match schema {
        Schema::Record(record) => record.fields.iter().map(|field| &field.schema).collect(),
        Schema::Array(array) => vec![&array.items],
        Schema::Map(map) => vec![&map.types],
        Schema::Union(union) => union.variants().iter().collect(),
        _ => Vec::new(),
    }
}
