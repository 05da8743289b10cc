//! The fingerprint of a schema: CRC-64-AVRO of its parsing canonical form, as Avro's specification defines them.
//!
//! `apache_avro` has both, but its canonical form keeps what logical types leave behind, so it does not give the
//! fingerprints that other libraries write.

use std::fmt::Write;

use apache_avro::Schema;
use apache_avro::schema::{FixedSchema, InnerDecimalSchema, Name, UuidSchema};

/// The fingerprint of no bytes, and the polynomial.
const EMPTY: u64 = 0xc15d_213a_a4d7_a795;

/// The remainders of all bytes.
const TABLE: [u64; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut remainder = byte as u64;
        let mut bit = 0;
        while bit < 8 {
            remainder = (remainder >> 1) ^ (EMPTY & (remainder & 1).wrapping_neg());
            bit += 1;
        }
        table[byte] = remainder;
        byte += 1;
    }
    table
};

/// The fingerprint of a schema.
pub(crate) fn fingerprint(schema: &Schema) -> u64 {
    let mut text = String::new();
    canonical(schema, &mut text);
    crc_64(text.as_bytes())
}

fn crc_64(bytes: &[u8]) -> u64 {
    bytes.iter().fold(EMPTY, |crc, byte| {
        (crc >> 8) ^ TABLE[usize::from(crc as u8 ^ byte)]
    })
}

/// Appends the parsing canonical form. Names need no escapes: the parser accepts letters, digits, `_` and `.` only.
fn canonical(schema: &Schema, out: &mut String) {
    match schema {
        Schema::Record(record) => {
            head(&record.name, "record", out);
            out.push_str(",\"fields\":");
            list(&record.fields, out, |field, out| {
                put(out, format_args!("{{\"name\":\"{}\",\"type\":", field.name));
                canonical(&field.schema, out);
                out.push('}');
            });
            out.push('}');
        }
        Schema::Enum(symbols) => {
            head(&symbols.name, "enum", out);
            out.push_str(",\"symbols\":");
            list(&symbols.symbols, out, |symbol, out| quoted(symbol, out));
            out.push('}');
        }
        Schema::Fixed(fixed) | Schema::Duration(fixed) | Schema::Uuid(UuidSchema::Fixed(fixed)) => {
            canonical_fixed(fixed, out);
        }
        Schema::Decimal(decimal) => match &decimal.inner {
            InnerDecimalSchema::Bytes => quoted("bytes", out),
            InnerDecimalSchema::Fixed(fixed) => canonical_fixed(fixed, out),
        },
        Schema::Array(array) => {
            out.push_str("{\"type\":\"array\",\"items\":");
            canonical(&array.items, out);
            out.push('}');
        }
        Schema::Map(map) => {
            out.push_str("{\"type\":\"map\",\"values\":");
            canonical(&map.types, out);
            out.push('}');
        }
        Schema::Union(union) => list(union.variants(), out, canonical),
        Schema::Ref { name } => quoted(&name.fullname(None), out),
        simple => quoted(primitive(simple), out),
    }
}

fn primitive(schema: &Schema) -> &'static str {
    match schema {
        Schema::Boolean => "boolean",
        Schema::Int | Schema::Date | Schema::TimeMillis => "int",
        Schema::Float => "float",
        Schema::Double => "double",
        Schema::Bytes | Schema::BigDecimal | Schema::Uuid(UuidSchema::Bytes) => "bytes",
        Schema::String | Schema::Uuid(UuidSchema::String) => "string",
        Schema::Long
        | Schema::TimeMicros
        | Schema::TimestampMillis
        | Schema::TimestampMicros
        | Schema::TimestampNanos
        | Schema::LocalTimestampMillis
        | Schema::LocalTimestampMicros
        | Schema::LocalTimestampNanos => "long",
        _ => "null",
    }
}

fn canonical_fixed(fixed: &FixedSchema, out: &mut String) {
    head(&fixed.name, "fixed", out);
    put(out, format_args!(",\"size\":{}}}", fixed.size));
}

/// The beginning of a named type.
fn head(name: &Name, kind: &str, out: &mut String) {
    let name = name.fullname(None);
    put(
        out,
        format_args!("{{\"name\":\"{name}\",\"type\":\"{kind}\""),
    );
}

fn list<T>(elements: &[T], out: &mut String, element: impl Fn(&T, &mut String)) {
    out.push('[');
    for (index, one) in elements.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        element(one, out);
    }
    out.push(']');
}

fn quoted(text: &str, out: &mut String) {
    put(out, format_args!("\"{text}\""));
}

fn put(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a string does not fail.
    let _ = out.write_fmt(text);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemas_have_the_fingerprints_that_fastavro_gives_them() {
        let logical = r#"{"type":"record","name":"a.R","doc":"d","fields":[
            {"name":"u","type":{"type":"string","logicalType":"uuid"}},
            {"name":"d","type":{"type":"bytes","logicalType":"decimal","precision":9,"scale":2}},
            {"name":"f","type":{"type":"fixed","name":"F","size":9,"logicalType":"decimal","precision":18,"scale":2}},
            {"name":"t","type":["null",{"type":"long","logicalType":"timestamp-micros"}]},
            {"name":"e","type":{"type":"enum","name":"b.E","symbols":["X","Y"],"aliases":["Z"]}},
            {"name":"m","type":{"type":"map","values":{"type":"array","items":["null","R","b.E"]}}}]}"#;
        for (schema, expected) in [
            ("\"int\"", 0x7275_d51a_3f39_5c8f),
            ("{\"type\":\"string\"}", 0x8f01_4872_6345_03c7),
            (logical, 0x3037_4fc0_7aa1_e06c),
        ] {
            let parsed = Schema::parse_str(schema).unwrap();
            assert_eq!(fingerprint(&parsed), expected, "{schema}");
        }
    }
}
