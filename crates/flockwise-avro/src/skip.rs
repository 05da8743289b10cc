//! Skips values that nobody wants.

use std::collections::BTreeMap;

use apache_avro::Schema;
use apache_avro::schema::{InnerDecimalSchema, UuidSchema};

use crate::cursor::{AvroCursor, DEEPEST};
use crate::invalid_datum::Fault;
use crate::schema::NamedTypes;

/// The index of a type in [`SkipTypes`].
pub(crate) type SkipType = usize;

/// How the values of each type are skipped. Types refer to each other by index, since they may be recursive.
#[derive(Clone, Debug, Default)]
pub(crate) struct SkipTypes {
    types: Vec<SkipLayout>,
}

/// How a value lies in the bytes.
#[derive(Clone, Debug)]
enum SkipLayout {
    /// Always this number of bytes.
    Fixed(usize),
    /// A number in zigzag LEB128.
    Integer,
    /// A length, and bytes of that number.
    Sized,
    /// Blocks, each with the number of its elements in front; an empty one ends them.
    Array(SkipType),
    /// Blocks of a text and a value.
    Map(SkipType),
    /// The number of a branch, and its value.
    Union(Vec<SkipType>),
    /// One value of each type.
    Record(Vec<SkipType>),
}

/// Compiles schemas to [`SkipTypes`].
pub(crate) struct SkipCompiler<'s> {
    named: &'s NamedTypes<'s>,
    /// The named types that are compiled, or being compiled.
    compiled: BTreeMap<String, SkipType>,
    pub(crate) types: SkipTypes,
}

impl<'s> SkipCompiler<'s> {
    pub(crate) fn new(named: &'s NamedTypes<'s>) -> Self {
        Self {
            named,
            compiled: BTreeMap::new(),
            types: SkipTypes::default(),
        }
    }

    /// How a value of a schema is skipped.
    pub(crate) fn compile(&mut self, schema: &'s Schema) -> SkipType {
        let name = schema.name().map(|name| name.fullname(None));
        if let Some(known) = name.as_ref().and_then(|name| self.compiled.get(name)) {
            return *known;
        }
        if let (Schema::Ref { .. }, Some(name)) = (schema, &name)
            && let Some(schema) = self.named.get(name)
        {
            return self.compile(schema);
        }
        let index = self.types.types.len();
        self.types.types.push(SkipLayout::Fixed(0));
        if let Some(name) = name {
            self.compiled.insert(name, index);
        }
        self.types.types[index] = self.layout(schema);
        index
    }

    fn layout(&mut self, schema: &'s Schema) -> SkipLayout {
        match schema {
            // `AvroSchema::parse` refuses a reference to an unknown type.
            Schema::Null | Schema::Ref { .. } => SkipLayout::Fixed(0),
            Schema::Boolean => SkipLayout::Fixed(1),
            Schema::Float => SkipLayout::Fixed(4),
            Schema::Double => SkipLayout::Fixed(8),
            Schema::Int
            | Schema::Long
            | Schema::Enum(_)
            | Schema::Date
            | Schema::TimeMillis
            | Schema::TimeMicros
            | Schema::TimestampMillis
            | Schema::TimestampMicros
            | Schema::TimestampNanos
            | Schema::LocalTimestampMillis
            | Schema::LocalTimestampMicros
            | Schema::LocalTimestampNanos => SkipLayout::Integer,
            Schema::Bytes | Schema::String | Schema::BigDecimal => SkipLayout::Sized,
            Schema::Uuid(UuidSchema::Bytes | UuidSchema::String) => SkipLayout::Sized,
            Schema::Uuid(UuidSchema::Fixed(fixed))
            | Schema::Fixed(fixed)
            | Schema::Duration(fixed) => SkipLayout::Fixed(fixed.size),
            Schema::Decimal(decimal) => match &decimal.inner {
                InnerDecimalSchema::Bytes => SkipLayout::Sized,
                InnerDecimalSchema::Fixed(fixed) => SkipLayout::Fixed(fixed.size),
            },
            Schema::Array(array) => SkipLayout::Array(self.compile(&array.items)),
            Schema::Map(map) => SkipLayout::Map(self.compile(&map.types)),
            Schema::Union(union) => {
                let branches = union.variants().iter();
                SkipLayout::Union(branches.map(|branch| self.compile(branch)).collect())
            }
            Schema::Record(record) => {
                let fields = record.fields.iter();
                SkipLayout::Record(fields.map(|field| self.compile(&field.schema)).collect())
            }
        }
    }
}

impl SkipTypes {
    /// Skips a value that has `depth` values around it.
    pub(crate) fn skip(
        &self,
        skipped: SkipType,
        cursor: &mut AvroCursor<'_>,
        depth: usize,
    ) -> Result<(), Fault> {
        match &self.types[skipped] {
            SkipLayout::Fixed(size) => cursor.bytes(*size).map(|_| ()),
            SkipLayout::Integer => cursor.long().map(|_| ()),
            SkipLayout::Sized => cursor.sized().map(|_| ()),
            _ if depth == DEEPEST => Err(Fault::TooDeep),
            SkipLayout::Array(items) => self.skip_blocks(false, *items, cursor, depth),
            SkipLayout::Map(values) => self.skip_blocks(true, *values, cursor, depth),
            SkipLayout::Union(branches) => {
                let index = cursor.long()?;
                let branch = usize::try_from(index).ok();
                let branch = branch.and_then(|branch| branches.get(branch));
                self.skip(*branch.ok_or(Fault::Branch(index))?, cursor, depth + 1)
            }
            SkipLayout::Record(fields) => fields
                .iter()
                .try_for_each(|field| self.skip(*field, cursor, depth + 1)),
        }
    }

    fn skip_blocks(
        &self,
        has_keys: bool,
        elements: SkipType,
        cursor: &mut AvroCursor<'_>,
        depth: usize,
    ) -> Result<(), Fault> {
        while let Some(block) = cursor.block()? {
            if let Some(length) = block.length {
                cursor.bytes_of_length(length)?;
                continue;
            }
            for _ in 0..block.count {
                if has_keys {
                    cursor.sized()?;
                }
                self.skip(elements, cursor, depth + 1)?;
            }
        }
        Ok(())
    }
}
