//! One pass over a datum.

use crate::cursor::{AvroCursor, DEEPEST};
use crate::decimal::decimal;
use crate::invalid_datum::Fault;
use crate::skip::{SkipType, SkipTypes};
use crate::wanted::{Elements, Kind, RecordField, Wanted};

/// A wanted value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum AvroValue<'t> {
    /// `null`
    Null,
    /// A boolean.
    Bool(bool),
    /// An int or a long.
    Integer(i64),
    /// A float, a double, or a decimal, rounded to the nearest. It may be infinite or not a number.
    Float(f64),
    /// A string, or the symbol of an enum.
    Text(&'t str),
    /// Bytes, a fixed or a duration.
    Bytes,
    /// An instant, milliseconds since the epoch, rounded down.
    Instant(i64),
    /// A timestamp without a zone, milliseconds from 1970-01-01T00:00:00 in its zone, rounded down.
    LocalTimestamp(i64),
    /// A date or a time of day, as the number that was written.
    Civil(i64),
    /// A record, an array or a map. What is wanted of its content follows.
    Composite,
}

/// Takes the wanted values.
pub trait AvroSink<P> {
    /// Takes the value at a wanted place. What an array, a map or a record holds follows it.
    fn value(&mut self, place: &P, value: AvroValue<'_>);
}

impl<P> Wanted<P> {
    /// Reads a value that has `depth` values around it.
    pub(crate) fn read<S: AvroSink<P>>(
        &self,
        skips: &SkipTypes,
        cursor: &mut AvroCursor<'_>,
        sink: &mut S,
        depth: usize,
    ) -> Result<(), Fault> {
        let value = match &self.kind {
            Kind::Null => AvroValue::Null,
            Kind::Boolean => match cursor.array()? {
                [0] => AvroValue::Bool(false),
                [1] => AvroValue::Bool(true),
                [other] => return Err(Fault::Boolean(other)),
            },
            Kind::Integer => AvroValue::Integer(cursor.long()?),
            Kind::Float => AvroValue::Float(f32::from_le_bytes(cursor.array()?).into()),
            Kind::Double => AvroValue::Float(f64::from_le_bytes(cursor.array()?)),
            Kind::Text => {
                let text = str::from_utf8(cursor.sized()?);
                AvroValue::Text(text.map_err(|_| Fault::NotText)?)
            }
            Kind::Bytes => cursor.sized().map(|_| AvroValue::Bytes)?,
            Kind::Fixed(size) => cursor.bytes(*size).map(|_| AvroValue::Bytes)?,
            Kind::Symbol(symbols) => {
                let index = cursor.long()?;
                AvroValue::Text(nth(symbols, index).ok_or(Fault::Symbol(index))?)
            }
            Kind::Decimal { size, scale } => {
                let bytes = match size {
                    Some(size) => cursor.bytes(*size)?,
                    None => cursor.sized()?,
                };
                AvroValue::Float(decimal(bytes, *scale))
            }
            Kind::Instant { per_ms } => AvroValue::Instant(cursor.long()?.div_euclid(*per_ms)),
            Kind::LocalTimestamp { per_ms } => {
                AvroValue::LocalTimestamp(cursor.long()?.div_euclid(*per_ms))
            }
            Kind::Civil => AvroValue::Civil(cursor.long()?),
            _ if depth == DEEPEST => return Err(Fault::TooDeep),
            Kind::Union(branches) => {
                let index = cursor.long()?;
                let branch = nth(branches, index).ok_or(Fault::Branch(index))?;
                return branch.read(skips, cursor, sink, depth + 1);
            }
            Kind::Record(fields) => {
                self.take(sink, AvroValue::Composite);
                return record(fields, skips, cursor, sink, depth + 1);
            }
            Kind::Array(elements) => {
                self.take(sink, AvroValue::Composite);
                return array(elements, skips, cursor, sink, depth + 1);
            }
            Kind::Map { values, members } => {
                self.take(sink, AvroValue::Composite);
                return map(*values, members, skips, cursor, sink, depth + 1);
            }
        };
        self.take(sink, value);
        Ok(())
    }

    #[inline(always)]
    fn take(&self, sink: &mut impl AvroSink<P>, value: AvroValue<'_>) {
        if let Some(place) = &self.place {
            sink.value(place, value);
        }
    }
}

fn nth<T>(all: &[T], index: i64) -> Option<&T> {
    all.get(usize::try_from(index).ok()?)
}

fn record<P>(
    fields: &[RecordField<P>],
    skips: &SkipTypes,
    cursor: &mut AvroCursor<'_>,
    sink: &mut impl AvroSink<P>,
    depth: usize,
) -> Result<(), Fault> {
    fields.iter().try_for_each(|field| match field {
        RecordField::Skipped(skipped) => skips.skip(*skipped, cursor, depth),
        RecordField::Wanted(wanted) => wanted.read(skips, cursor, sink, depth),
    })
}

fn array<P>(
    elements: &Elements<P>,
    skips: &SkipTypes,
    cursor: &mut AvroCursor<'_>,
    sink: &mut impl AvroSink<P>,
    depth: usize,
) -> Result<(), Fault> {
    let mut index = 0;
    while let Some(block) = cursor.block()? {
        if let Some(length) = block.length
            && !elements.is_wanted()
        {
            cursor.bytes_of_length(length)?;
            continue;
        }
        for _ in 0..block.count {
            match elements.wanted(index) {
                Some(wanted) => wanted.read(skips, cursor, sink, depth)?,
                None => skips.skip(elements.skipped, cursor, depth)?,
            }
            index += 1;
        }
    }
    Ok(())
}

fn map<P>(
    values: SkipType,
    members: &[(String, Wanted<P>)],
    skips: &SkipTypes,
    cursor: &mut AvroCursor<'_>,
    sink: &mut impl AvroSink<P>,
    depth: usize,
) -> Result<(), Fault> {
    while let Some(block) = cursor.block()? {
        if let Some(length) = block.length
            && members.is_empty()
        {
            cursor.bytes_of_length(length)?;
            continue;
        }
        for _ in 0..block.count {
            let key = cursor.sized()?;
            match members.iter().find(|(name, _)| name.as_bytes() == key) {
                Some((_, wanted)) => wanted.read(skips, cursor, sink, depth)?,
                None => skips.skip(values, cursor, depth)?,
            }
        }
    }
    Ok(())
}
