//! The reference implementation of the scan, with serde's visitors over serde_json. The scan must find the same
//! values and reject the same documents.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::path_tree::{Found, PathTree};
use crate::explain::Name;
use crate::number::Number;
use crate::scan::{JsonScalar, JsonSink, JsonTree};

/// Does the same as [`crate::scan()`].
pub(super) fn scan(
    root: &PathTree,
    document: &str,
    found: &mut Found,
) -> Result<(), serde_json::Error> {
    let mut json = serde_json::Deserializer::from_str(document);
    json.deserialize_map(PlaceVisitor { place: root, found })?;
    // As the scan does, the root object itself is not listed.
    found.0.remove(0);
    json.end()
}

/// Reads a value at a place.
struct PlaceVisitor<'r, 's> {
    place: &'r PathTree,
    found: &'s mut Found,
}

impl PlaceVisitor<'_, '_> {
    fn take<E>(self, value: JsonScalar) -> Result<(), E> {
        self.found.scalar(self.place, value);
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for PlaceVisitor<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for PlaceVisitor<'_, '_> {
    type Value = ();

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a JSON object")
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        self.take(JsonScalar::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        self.take(JsonScalar::Number(Number::Negative(value)))
    }

    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        self.take(JsonScalar::Number(Number::Natural(value)))
    }

    fn visit_f64<E>(self, value: f64) -> Result<(), E> {
        self.take(JsonScalar::Number(Number::Float(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<(), E> {
        self.found.add(self.place, format_args!("{value:?}"));
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.take(JsonScalar::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        let Self { place, found } = self;
        found.scalar(place, JsonScalar::Composite);
        for index in 0.. {
            let next = match place.element(index) {
                Some(place) => elements.next_element_seed(PlaceVisitor { place, found })?,
                None => elements.next_element::<IgnoredAny>()?.map(|_| ()),
            };
            if next.is_none() {
                break;
            }
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let Self { place, found } = self;
        found.scalar(place, JsonScalar::Composite);
        while let Some(child) = members.next_key_seed(Name(place))? {
            match child {
                Some(place) => members.next_value_seed(PlaceVisitor { place, found })?,
                None => {
                    members.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}
