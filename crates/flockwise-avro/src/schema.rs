//! Parsed schemas.

use std::collections::BTreeMap;
use std::error::Error;

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
        match &schema {
            Schema::Record(record) => Ok(Self {
                name: record.name.fullname(None),
                fingerprint: fingerprint(&schema),
                schema,
            }),
            _ => Err("it is not the schema of a record".to_owned()),
        }
    }

    /// The record's full name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The fingerprint by which single-object encoding names the schema: CRC-64-AVRO of its canonical form.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        self.fingerprint
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
    let mut types = NamedTypes::new();
    collect(schema, &mut types);
    types
}

fn collect<'s>(schema: &'s Schema, types: &mut NamedTypes<'s>) {
    if let Some(name) = schema.name()
        && !matches!(schema, Schema::Ref { .. })
    {
        types.insert(name.fullname(None), schema);
    }
    match schema {
        Schema::Record(record) => record
            .fields
            .iter()
            .for_each(|field| collect(&field.schema, types)),
        Schema::Array(array) => collect(&array.items, types),
        Schema::Map(map) => collect(&map.types, types),
        Schema::Union(union) => union
            .variants()
            .iter()
            .for_each(|branch| collect(branch, types)),
        _ => {}
    }
}
