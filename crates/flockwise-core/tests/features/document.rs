//! Events in the form of the naive version, and in that of the core.

use flockwise_core::event::{Event, Slot, hash};
use flockwise_core::plan::Plan;

/// A JSON value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Absent,
    Bool(bool),
    Number(f64),
    Text(&'static str),
    Composite,
}

/// One complete event.
#[derive(Clone, Debug)]
pub(crate) struct Document {
    pub(crate) name: &'static str,
    pub(crate) time_ms: i64,
    /// At `/x`.
    pub(crate) x: Value,
    /// At `/s`.
    pub(crate) s: Value,
    /// At `/n/*`.
    pub(crate) n: Vec<Value>,
}

impl Document {
    pub(crate) fn at(time_ms: i64) -> Self {
        Self {
            name: "A",
            time_ms,
            x: Value::Number(2.5),
            s: Value::Text("web"),
            n: vec![Value::Number(1.0), Value::Number(4.0)],
        }
    }

    /// Values at a pointer. A pointer without `*` has exactly one.
    pub(crate) fn values(&self, pointer: &str) -> Vec<Value> {
        match pointer {
            "/x" => vec![self.x.clone()],
            "/s" => vec![self.s.clone()],
            "/n/*" => self.n.clone(),
            other => panic!("no document has {other}"),
        }
    }

    /// Numbers at a pointer.
    pub(crate) fn numbers(&self, pointer: &str) -> Vec<f64> {
        self.values(pointer)
            .iter()
            .filter_map(Value::number)
            .collect()
    }
}

impl Value {
    /// The number that the value is. The texts of random documents are listed here.
    pub(crate) fn number(&self) -> Option<f64> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Text("1") => Some(1.0),
            Self::Text("-1.50") => Some(-1.5),
            Self::Text(" 0.25\t") => Some(0.25),
            Self::Text("1e3") => Some(1000.0),
            _ => None,
        }
    }
}

/// The event that a decoder would make of a document.
pub(crate) fn event(plan: &Plan, document: &Document) -> Event {
    let mut event = Event::default();
    event.clear(plan.pointers().len());
    event.name = plan.name(document.name);
    event.name_hash = hash(document.name.as_bytes());
    event.time_ms = document.time_ms;
    for (index, pointer) in plan.pointers().iter().enumerate() {
        for value in document.values(&pointer.to_string()) {
            let slot = match value {
                Value::Absent if pointer.is_many() => continue,
                Value::Absent => Slot::Absent,
                Value::Bool(value) => Slot::Bool(value),
                Value::Number(number) => Slot::Number(number),
                Value::Text(text) => Slot::Text(event.keep(text)),
                Value::Composite => Slot::Composite,
            };
            if pointer.is_many() {
                event.add(index, slot);
            } else {
                event.put(index, slot);
            }
        }
    }
    event
}
