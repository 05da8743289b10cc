//! The reference implementation of the scan, with serde's visitors over serde_json. The scan must find the same
//! values and reject the same documents.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::number::Number;
use crate::json_error::Name;
use crate::projection::Node;
use crate::sink::{JsonValue, Sink};

/// Does the same as [`super::scan`].
pub(crate) fn scan(
    root: &Node,
    document: &str,
    sink: &mut Sink<'_>,
) -> Result<(), serde_json::Error> {
    let mut json = serde_json::Deserializer::from_str(document);
    json.deserialize_map(JsonVisitor { node: root, sink })?;
    json.end()
}

/// Reads a value at a node.
struct JsonVisitor<'r, 's, 'e> {
    node: &'r Node,
    sink: &'s mut Sink<'e>,
}

impl JsonVisitor<'_, '_, '_> {
    fn take<E>(self, found: &JsonValue) -> Result<(), E> {
        self.sink.take(&self.node.targets, found);
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for JsonVisitor<'_, '_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for JsonVisitor<'_, '_, '_> {
    type Value = ();

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a JSON object")
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        self.take(&JsonValue::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        self.take(&JsonValue::Number(Number::Negative(value)))
    }

    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        self.take(&JsonValue::Number(Number::Natural(value)))
    }

    fn visit_f64<E>(self, value: f64) -> Result<(), E> {
        self.take(&JsonValue::Number(Number::Float(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<(), E> {
        let found = JsonValue::Text(self.sink.event.keep(value));
        self.take(&found)
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.take(&JsonValue::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        let Self { node, sink } = self;
        sink.take(&node.targets, &JsonValue::Composite);
        for place in 0.. {
            let next = match node.element(place) {
                Some(node) => elements.next_element_seed(JsonVisitor { node, sink })?,
                None => elements.next_element::<IgnoredAny>()?.map(|_| ()),
            };
            if next.is_none() {
                break;
            }
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let Self { node, sink } = self;
        sink.take(&node.targets, &JsonValue::Composite);
        while let Some(child) = members.next_key_seed(Name(node))? {
            match child {
                Some(node) => members.next_value_seed(JsonVisitor { node, sink })?,
                None => {
                    members.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}
