//! The values that a decoder finds.

use std::ops::Range;

use flockwise_core::event::Slot;
use flockwise_json::Number;

/// A value found at a node of the tree.
#[derive(Clone, Debug)]
pub(crate) enum FoundValue {
    Null,
    Bool(bool),
    Number(Number),
    /// The range of the event's text buffer.
    Text(Range<u32>),
    Bytes,
    /// An instant, milliseconds since the epoch.
    Instant(i64),
    /// A timestamp without a zone, milliseconds from 1970-01-01T00:00:00 in its zone.
    LocalTimestamp(i64),
    /// A date or a time of day, as a number.
    Civil(i64),
    Composite,
}

impl FoundValue {
    /// The value in a feature; absent for `null`.
    #[inline(always)]
    pub(crate) fn slot(&self) -> Slot {
        match self {
            Self::Null => Slot::Absent,
            Self::Bool(value) => Slot::Bool(*value),
            Self::Number(number) => Slot::Number(number.nearest()),
            Self::Instant(number) | Self::Civil(number) | Self::LocalTimestamp(number) => {
                Slot::Number(*number as f64)
            }
            Self::Text(range) => Slot::Text(range.clone()),
            Self::Bytes | Self::Composite => Slot::Composite,
        }
    }

    /// The value in a field of the event; `None` for `null`.
    #[inline(always)]
    pub(crate) fn identity(&self) -> Option<IdentityValue> {
        Some(match self {
            Self::Null => return None,
            Self::Text(range) => IdentityValue::Text(range.clone()),
            Self::Number(number) => IdentityValue::Number(*number),
            Self::Instant(ms) => IdentityValue::Instant(*ms),
            Self::Bool(_) => IdentityValue::Other("a boolean"),
            Self::Bytes => IdentityValue::Other("bytes"),
            Self::LocalTimestamp(ms) => IdentityValue::Local(*ms),
            Self::Civil(_) => IdentityValue::Other("a date or a time of day alone"),
            Self::Composite => IdentityValue::Other("an object or an array"),
        })
    }
}

/// A value found for a field.
#[derive(Clone, Debug)]
pub(crate) enum IdentityValue {
    Text(Range<u32>),
    Number(Number),
    /// An instant, milliseconds since the epoch.
    Instant(i64),
    /// A timestamp without a zone, milliseconds from 1970-01-01T00:00:00 in its zone.
    Local(i64),
    /// A type that no field can have, in words.
    Other(&'static str),
}
