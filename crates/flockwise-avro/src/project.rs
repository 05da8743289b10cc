//! Compiles a schema and a tree of wanted values to what a pass over the bytes does.

use apache_avro::Schema;
use apache_avro::schema::{InnerDecimalSchema, UuidSchema};

use crate::cursor::AvroCursor;
use crate::invalid_datum::{Fault, InvalidDatum};
use crate::read::AvroSink;
use crate::schema::{AvroSchema, NamedTypes, named_types};
use crate::skip::{SkipCompiler, SkipTypes};
use crate::wanted::{Elements, Kind, RecordField, Wanted};

/// A place in a record at which, or below which, values are wanted.
pub trait AvroTree {
    /// What the sink needs to know about a place.
    type Place: Clone;

    /// The place itself, if the value at it is wanted.
    fn place(&self) -> Option<Self::Place>;

    /// The places of a record's fields and of a map's values, by name.
    fn members(&self) -> impl Iterator<Item = (&str, &Self)>;

    /// The places of an array's elements, by index.
    fn elements(&self) -> impl Iterator<Item = (usize, &Self)>;

    /// The place of every other element.
    fn every(&self) -> Option<&Self>;
}

/// What a pass over the data of one schema does: see [`AvroSchema::project`].
#[derive(Clone, Debug)]
pub struct AvroProjection<P> {
    root: Wanted<P>,
    skips: SkipTypes,
}

impl AvroSchema {
    /// Compiles the schema for a tree of wanted values. What the tree wants and the schema does not have is never found.
    #[must_use]
    pub fn project<T: AvroTree>(&self, tree: &T) -> AvroProjection<T::Place> {
        let named = named_types(&self.schema);
        let mut compiler = Compiler {
            named: &named,
            skips: SkipCompiler::new(&named),
        };
        AvroProjection {
            root: compiler.wanted(&self.schema, tree),
            skips: compiler.skips.types,
        }
    }
}

impl<P> AvroProjection<P> {
    /// Passes the wanted values of one datum to the sink, in the order of the schema.
    ///
    /// # Errors
    /// If the bytes are not exactly one datum. The sink may have taken values before the fault was found. Bytes of another schema may
    /// happen to be a datum of this one.
    pub fn read(&self, value: &[u8], sink: &mut impl AvroSink<P>) -> Result<(), InvalidDatum> {
        let mut cursor = AvroCursor::new(value);
        let read = self.root.read(&self.skips, &mut cursor, sink, 0);
        let ended = match cursor.rest.len() {
            0 => Ok(()),
            rest => Err(Fault::Rest(rest)),
        };
        read.and(ended).map_err(|fault| InvalidDatum {
            offset: value.len() - cursor.rest.len(),
            fault,
        })
    }
}

struct Compiler<'s> {
    named: &'s NamedTypes<'s>,
    skips: SkipCompiler<'s>,
}

impl<'s> Compiler<'s> {
    fn wanted<T: AvroTree>(&mut self, schema: &'s Schema, tree: &T) -> Wanted<T::Place> {
        Wanted {
            place: tree.place(),
            kind: self.kind(schema, tree),
        }
    }

    fn kind<T: AvroTree>(&mut self, schema: &'s Schema, tree: &T) -> Kind<T::Place> {
        match schema {
            Schema::Null => Kind::Null,
            Schema::Boolean => Kind::Boolean,
            Schema::Int | Schema::Long => Kind::Integer,
            Schema::Float => Kind::Float,
            Schema::Double => Kind::Double,
            Schema::String | Schema::Uuid(UuidSchema::String) => Kind::Text,
            Schema::Bytes | Schema::BigDecimal | Schema::Uuid(UuidSchema::Bytes) => Kind::Bytes,
            Schema::Fixed(fixed)
            | Schema::Duration(fixed)
            | Schema::Uuid(UuidSchema::Fixed(fixed)) => Kind::Fixed(fixed.size),
            Schema::Enum(symbols) => Kind::Symbol(symbols.symbols.clone()),
            Schema::Decimal(decimal) => Kind::Decimal {
                size: match &decimal.inner {
                    InnerDecimalSchema::Bytes => None,
                    InnerDecimalSchema::Fixed(fixed) => Some(fixed.size),
                },
                scale: decimal.scale,
            },
            Schema::TimestampMillis => Kind::Instant { per_ms: 1 },
            Schema::TimestampMicros => Kind::Instant { per_ms: 1000 },
            Schema::TimestampNanos => Kind::Instant { per_ms: 1_000_000 },
            Schema::LocalTimestampMillis => Kind::LocalTimestamp { per_ms: 1 },
            Schema::LocalTimestampMicros => Kind::LocalTimestamp { per_ms: 1000 },
            Schema::LocalTimestampNanos => Kind::LocalTimestamp { per_ms: 1_000_000 },
            Schema::Date | Schema::TimeMillis | Schema::TimeMicros => Kind::Civil,
            Schema::Union(union) => {
                let branches = union.variants().iter();
                Kind::Union(branches.map(|branch| self.wanted(branch, tree)).collect())
            }
            Schema::Record(record) => {
                let fields = record.fields.iter();
                Kind::Record(
                    fields
                        .map(|field| self.field(&field.name, &field.schema, tree))
                        .collect(),
                )
            }
            Schema::Array(array) => Kind::Array(Elements {
                skipped: self.skips.compile(&array.items),
                by_index: tree
                    .elements()
                    .map(|(index, place)| (index, self.wanted(&array.items, place)))
                    .collect(),
                every: tree
                    .every()
                    .map(|place| Box::new(self.wanted(&array.items, place))),
            }),
            Schema::Map(map) => Kind::Map {
                values: self.skips.compile(&map.types),
                members: tree
                    .members()
                    .map(|(name, place)| (name.to_owned(), self.wanted(&map.types, place)))
                    .collect(),
            },
            Schema::Ref { name } => match self.named.get(&name.fullname(None)) {
                Some(schema) => self.kind(schema, tree),
                // `AvroSchema::parse` refuses a reference to an unknown type.
                None => Kind::Null,
            },
        }
    }

    fn field<T: AvroTree>(
        &mut self,
        name: &str,
        schema: &'s Schema,
        tree: &T,
    ) -> RecordField<T::Place> {
        let place = tree.members().find(|(known, _)| *known == name);
        match place {
            Some((_, place)) => RecordField::Wanted(self.wanted(schema, place)),
            None => RecordField::Skipped(self.skips.compile(schema)),
        }
    }
}
