//! What bytes look like that are not an event: a guess that tells a user what to do.

use std::fmt;

/// Bytes at the front that are looked at.
const LOOKED_AT: usize = 4096;

/// What bytes look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Appearance {
    /// A JSON object.
    Json,
    /// A JSON array.
    JsonArray,
    /// A JSON string that holds a JSON document.
    JsonInString,
    /// A dictionary as Python prints it, with texts in single quotes.
    PythonDictionary,
    /// Avro's single-object encoding.
    SingleObject,
    /// Framed for a schema registry: a zero byte, then the schema's id.
    SchemaRegistry(u32),
    /// UTF-8 behind a byte order mark.
    ByteOrderMark,
    /// Text in UTF-16.
    Utf16,
    /// Values with tabs between them.
    TabSeparated,
    /// Values with commas or semicolons between them.
    CommaSeparated,
    /// XML or HTML.
    Xml,
    /// A file or data of this format, which begins with a signature.
    Signed(&'static str),
}

/// Signatures at the front of bytes, each with the name of its format.
const SIGNATURES: [(&[u8], &str); 11] = [
    (&[0x1f, 0x8b], "gzip"),
    (&[0x28, 0xb5, 0x2f, 0xfd], "zstd"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"BZh", "bzip2"),
    (&[0xfd, b'7', b'z', b'X', b'Z', 0], "xz"),
    (&[0x04, 0x22, 0x4d, 0x18], "LZ4"),
    (
        &[0xff, 0x06, 0, 0, b's', b'N', b'a', b'P', b'p', b'Y'],
        "snappy",
    ),
    (b"\x82SNAPPY\0", "snappy"),
    (b"PAR1", "a Parquet file"),
    (b"Obj\x01", "an Avro file"),
    (b"ORC", "an ORC file"),
];

/// What bytes look like; `None` if like nothing that is known.
#[must_use]
pub fn appearance(bytes: &[u8]) -> Option<Appearance> {
    let bytes = &bytes[..bytes.len().min(LOOKED_AT)];
    let mut signatures = SIGNATURES.iter();
    if let Some((_, name)) = signatures.find(|(signature, _)| bytes.starts_with(signature)) {
        return Some(Appearance::Signed(name));
    }
    match bytes {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => Some(Appearance::Utf16),
        [a, 0, b, 0, ..] | [0, a, 0, b, ..] if is_printed(*a) && is_printed(*b) => {
            Some(Appearance::Utf16)
        }
        [0xef, 0xbb, 0xbf, ..] => Some(Appearance::ByteOrderMark),
        [0xc3, 0x01, ..] => Some(Appearance::SingleObject),
        [0, a, b, c, d, ..] => {
            let id = u32::from_be_bytes([*a, *b, *c, *d]);
            Some(Appearance::SchemaRegistry(id))
        }
        _ => text_appearance(bytes.trim_ascii()),
    }
}

fn is_printed(byte: u8) -> bool {
    byte.is_ascii_graphic() || byte.is_ascii_whitespace()
}

fn text_appearance(text: &[u8]) -> Option<Appearance> {
    let count = |wanted: u8| text.iter().filter(|byte| **byte == wanted).count();
    match text {
        [b'{', b'\'', ..] => Some(Appearance::PythonDictionary),
        [b'{', ..] => Some(Appearance::Json),
        [b'[', ..] => Some(Appearance::JsonArray),
        [b'"', b'{' | b'[', b'"', b':' | b',', ..] => Some(Appearance::CommaSeparated),
        [b'"', b'{' | b'[', ..] => Some(Appearance::JsonInString),
        [b'<', ..] => Some(Appearance::Xml),
        _ if text
            .iter()
            .any(|byte| *byte < b' ' && !byte.is_ascii_whitespace()) =>
        {
            None
        }
        _ if count(b'\t') > 0 => Some(Appearance::TabSeparated),
        _ if count(b',') > 0 || count(b';') > 0 => Some(Appearance::CommaSeparated),
        _ => None,
    }
}

impl fmt::Display for Appearance {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::Json => "it looks like JSON",
            Self::JsonArray => "it looks like a JSON array",
            Self::JsonInString => "it looks like JSON within a string",
            Self::PythonDictionary => {
                "it looks like a Python dictionary: JSON has its names and texts in double quotes"
            }
            Self::SingleObject => "it looks like single-object encoding",
            Self::SchemaRegistry(id) => {
                return write!(
                    formatter,
                    "it may be framed for a schema registry, with schema id {id}"
                );
            }
            Self::ByteOrderMark => "it begins with a byte order mark",
            Self::Utf16 => "it looks like UTF-16",
            Self::TabSeparated => "it looks like tab-separated values",
            Self::CommaSeparated => "it looks like comma-separated values",
            Self::Xml => "it looks like XML or HTML",
            Self::Signed(name) => return write!(formatter, "it looks like {name}"),
        };
        formatter.write_str(text)
    }
}

/// The appearance of bytes as the end of a detail; nothing if they look like `expected`, or like nothing known.
pub(super) fn hint(bytes: &[u8], expected: Option<Appearance>) -> String {
    match appearance(bytes) {
        Some(found) if Some(found) != expected => format!("; {found}"),
        _ => String::new(),
    }
}
