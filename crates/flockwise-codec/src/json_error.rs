//! Explains why the scan rejected a document, with serde_json's message, line and column.
//!
//! serde_json reads the document again, guided by the same tree, because wanted values are checked more
//! strictly than skipped ones. No value is kept.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::projection::Node;

/// serde_json's error for a document, if it finds one.
pub(crate) fn explain(root: &Node, document: &str) -> Result<(), serde_json::Error> {
    let mut json = serde_json::Deserializer::from_str(document);
    json.deserialize_map(Checker(root))?;
    json.end()
}

/// Checks a value at a node.
struct Checker<'r>(&'r Node);

impl<'de> DeserializeSeed<'de> for Checker<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Checker<'_> {
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
pub(crate) struct Name<'r>(pub(crate) &'r Node);

impl<'de, 'r> DeserializeSeed<'de> for Name<'r> {
    type Value = Option<&'r Node>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_identifier(self)
    }
}

impl<'r> Visitor<'_> for Name<'r> {
    type Value = Option<&'r Node>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a member's name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self.0.named(name))
    }
}
