//! The one pass over a document: serde's visitors, led by the projection's tree.

use std::fmt;

use flockwise_core::event::Event;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::projection::{Field, Found, Node, Target, put};

/// What the pass fills.
pub(crate) struct Sink<'e> {
    pub(crate) event: &'e mut Event,
    pub(crate) fields: [Option<Identity>; Field::COUNT],
    /// The pointer at which a value of the plan was a number out of range.
    pub(crate) out_of_range: Option<usize>,
}

/// A field's value and the rank of the pointer that found it.
pub(crate) struct Identity {
    rank: u8,
    pub(crate) value: IdentityValue,
}

/// The kinds of value that fields take.
pub(crate) enum IdentityValue {
    Text(std::ops::Range<u32>),
    Integer(i128),
    Number(f64),
    /// Something that no field can be, by its name.
    Other(&'static str),
}

impl Sink<'_> {
    fn take(&mut self, targets: &[Target], found: Found<'_>) {
        for target in targets {
            match *target {
                Target::Slot(values) => {
                    if !put(self.event, values, found) {
                        self.out_of_range = Some(values.index);
                    }
                }
                Target::Field { field, rank } => self.identify(field, rank, found),
            }
        }
    }

    fn identify(&mut self, field: Field, rank: u8, found: Found<'_>) {
        let known = &self.fields[field as usize];
        if known.as_ref().is_some_and(|known| known.rank < rank) {
            return;
        }
        let value = match found {
            Found::Null => return,
            Found::Text(text) => IdentityValue::Text(self.event.keep(text)),
            Found::Integer(number) => IdentityValue::Integer(number),
            Found::Number(number) => IdentityValue::Number(number),
            Found::Bool(_) => IdentityValue::Other("a boolean"),
            Found::Composite => IdentityValue::Other("an object or an array"),
        };
        self.fields[field as usize] = Some(Identity { rank, value });
    }
}

/// Reads a value at a node.
pub(crate) struct Reader<'r, 'e> {
    pub(crate) node: &'r Node,
    pub(crate) sink: &'r mut Sink<'e>,
    pub(crate) is_root: bool,
}

impl<'de> DeserializeSeed<'de> for Reader<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        if self.is_root {
            deserializer.deserialize_map(self)
        } else {
            deserializer.deserialize_any(self)
        }
    }
}

impl<'de> Visitor<'de> for Reader<'_, '_> {
    type Value = ();

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a JSON object")
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        self.sink.take(&self.node.targets, Found::Bool(value));
        Ok(())
    }

    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        self.sink
            .take(&self.node.targets, Found::Integer(i128::from(value)));
        Ok(())
    }

    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        self.sink
            .take(&self.node.targets, Found::Integer(i128::from(value)));
        Ok(())
    }

    fn visit_f64<E>(self, value: f64) -> Result<(), E> {
        self.sink.take(&self.node.targets, Found::Number(value));
        Ok(())
    }

    fn visit_str<E>(self, value: &str) -> Result<(), E> {
        self.sink.take(&self.node.targets, Found::Text(value));
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.sink.take(&self.node.targets, Found::Null);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        self.sink.take(&self.node.targets, Found::Composite);
        let mut place = 0;
        while let Some(()) = elements.next_element_seed(Element {
            node: self.node.element(place),
            sink: self.sink,
        })? {
            place += 1;
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        self.sink.take(&self.node.targets, Found::Composite);
        while let Some(child) = members.next_key_seed(Key(self.node))? {
            match child {
                Some(node) => members.next_value_seed(Reader {
                    node,
                    sink: self.sink,
                    is_root: false,
                })?,
                None => {
                    members.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

/// Finds the child for a member's name without keeping the name.
struct Key<'r>(&'r Node);

impl<'de, 'r> DeserializeSeed<'de> for Key<'r> {
    type Value = Option<&'r Node>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_identifier(self)
    }
}

impl<'r> Visitor<'_> for Key<'r> {
    type Value = Option<&'r Node>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a member's name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self.0.member(name))
    }
}

/// Reads an element of an array, if it is wanted.
struct Element<'r, 'e> {
    node: Option<&'r Node>,
    sink: &'r mut Sink<'e>,
}

impl<'de> DeserializeSeed<'de> for Element<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        match self.node {
            Some(node) => Reader {
                node,
                sink: self.sink,
                is_root: false,
            }
            .deserialize(deserializer),
            None => deserializer.deserialize_ignored_any(IgnoredAny).map(|_| ()),
        }
    }
}
