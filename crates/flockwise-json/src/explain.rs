//! Explains why the scan rejected a document, with serde_json's message, line and column.
//!
//! serde_json reads the document again, guided by the same tree, because wanted values are checked more
//! strictly than skipped ones.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::scan::JsonTree;

/// Reads a document again with serde_json, and keeps nothing.
///
/// # Errors
/// serde_json's error, if it finds one.
pub fn explain<T: JsonTree>(root: &T, document: &str) -> Result<(), serde_json::Error> {
    let mut json = serde_json::Deserializer::from_str(document);
    json.deserialize_map(Checker(root))?;
    json.end()
}

/// Checks a value at a node.
struct Checker<'r, T>(&'r T);

impl<'de, T: JsonTree> DeserializeSeed<'de> for Checker<'_, T> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, T: JsonTree> Visitor<'de> for Checker<'_, T> {
    type Value = ();

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a JSON object")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        for place in 0.. {
            let next = match self.0.element(place) {
                Some(node) => elements.next_element_seed(Checker(node))?,
                None => elements.next_element::<IgnoredAny>()?.map(|_| ()),
            };
            if next.is_none() {
                break;
            }
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        while let Some(child) = members.next_key_seed(Name(self.0))? {
            match child {
                Some(node) => members.next_value_seed(Checker(node))?,
                None => {
                    members.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

/// Looks up the child node for a member's name.
pub(crate) struct Name<'r, T>(pub(crate) &'r T);

impl<'de, 'r, T: JsonTree> DeserializeSeed<'de> for Name<'r, T> {
    type Value = Option<&'r T>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_identifier(self)
    }
}

impl<'r, T: JsonTree> Visitor<'_> for Name<'r, T> {
    type Value = Option<&'r T>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a member's name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self.0.named(name))
    }
}
