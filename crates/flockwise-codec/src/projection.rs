//! The compiled projection: the pointers that the feature plan and the format need become a tree, and
//! one pass over the bytes fills their slots and skips the rest.

use flockwise_core::event::{Event, Slot, Values};
use flockwise_core::plan::Plan;
use flockwise_core::pointer::{Pointer, Step};

use crate::format::Format;

/// What every event has or may have besides its values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Field {
    CustomerId,
    Event,
    Time,
    EventId,
    OrderId,
}

impl Field {
    pub(crate) const COUNT: usize = 5;

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::CustomerId => "customer_id",
            Self::Event => "event",
            Self::Time => "time",
            Self::EventId => "event_id",
            Self::OrderId => "order_id",
        }
    }
}

/// Where a value goes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Target {
    /// One of the event's own fields; of several pointers the lowest rank wins.
    Field { field: Field, rank: u8 },
    /// A slot of the feature plan.
    Slot(Values),
}

/// A place in the document that something is wanted from, at or below.
#[derive(Clone, Debug, Default)]
pub(crate) struct Node {
    names: Vec<(String, Node)>,
    every: Option<Box<Node>>,
    /// Elements wanted by their place, along with what is wanted of every element.
    elements: Vec<(usize, Node)>,
    pub(crate) targets: Vec<Target>,
}

/// A value met at a target.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Found<'a> {
    Null,
    Bool(bool),
    Integer(i128),
    Number(f64),
    Text(&'a str),
    Composite,
}

/// The tree for a format and a plan.
#[derive(Clone, Debug)]
pub(crate) struct Projection {
    pub(crate) root: Node,
    pub(crate) slots: usize,
}

impl Projection {
    /// Compiles the pointers of a format and of a plan into one tree.
    #[must_use]
    pub(crate) fn compile(format: &Format, plan: &Plan) -> Self {
        let mut root = Node::default();
        let fields = [
            (Field::CustomerId, &format.customer_id),
            (Field::Event, &format.event),
            (Field::Time, &format.time),
            (Field::EventId, &format.event_id),
            (Field::OrderId, &format.order_id),
        ];
        for (field, pointers) in fields {
            for (rank, pointer) in pointers.iter().enumerate() {
                root.insert(
                    pointer,
                    Target::Field {
                        field,
                        rank: rank as u8,
                    },
                );
            }
        }
        for (index, pointer) in plan.pointers().iter().enumerate() {
            root.insert(
                pointer,
                Target::Slot(Values {
                    index,
                    many: pointer.is_many(),
                }),
            );
        }
        root.place();
        Self {
            root,
            slots: plan.pointers().len(),
        }
    }
}

impl Node {
    fn insert(&mut self, pointer: &Pointer, target: Target) {
        let mut node = self;
        for step in pointer.steps() {
            node = match step {
                Step::Every => node.every.get_or_insert_default(),
                Step::Name(name) => {
                    let place = node.names.iter().position(|(known, _)| known == name);
                    let place = place.unwrap_or_else(|| {
                        node.names.push((name.clone(), Self::default()));
                        node.names.len() - 1
                    });
                    &mut node.names[place].1
                }
            };
        }
        node.targets.push(target);
    }

    /// The child for a member's name.
    pub(crate) fn member(&self, name: &str) -> Option<&Self> {
        self.names
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, node)| node)
    }

    /// The child for an element: by its place, `/0`, else that for every element.
    pub(crate) fn element(&self, place: usize) -> Option<&Self> {
        self.elements
            .iter()
            .find(|(known, _)| *known == place)
            .map(|(_, node)| node)
            .or(self.every.as_deref())
    }

    /// Finds the names that are places of elements too: decimal, without leading zeros (RFC 6901).
    fn place(&mut self) {
        for (name, node) in &self.names {
            let place = name.parse().ok();
            if let Some(place) = place.filter(|place: &usize| place.to_string() == *name) {
                let mut node = node.clone();
                if let Some(every) = &self.every {
                    node.merge(every);
                }
                self.elements.push((place, node));
            }
        }
        let children = self.names.iter_mut().map(|(_, node)| node);
        let elements = self.elements.iter_mut().map(|(_, node)| node);
        let every = self.every.iter_mut().map(|node| &mut **node);
        children.chain(elements).chain(every).for_each(Self::place);
    }

    /// Wants here what another node wants, too.
    fn merge(&mut self, other: &Self) {
        self.targets.extend_from_slice(&other.targets);
        if let Some(every) = &other.every {
            self.every.get_or_insert_default().merge(every);
        }
        for (name, node) in &other.names {
            match self.names.iter_mut().find(|(known, _)| known == name) {
                Some((_, known)) => known.merge(node),
                None => self.names.push((name.clone(), node.clone())),
            }
        }
    }
}

/// A number beyond this is no amount, count or rating: sums of such would lose what others add.
pub(crate) const LARGEST_NUMBER: f64 = 1e15;

/// Puts a value of the plan into its slot; `false` where it is a number out of range.
pub(crate) fn put(event: &mut Event, values: Values, found: Found<'_>) -> bool {
    let slot = match found {
        Found::Null => return true,
        Found::Bool(value) => Slot::Bool(value),
        Found::Integer(number) => Slot::Number(number as f64),
        Found::Number(number) => Slot::Number(number),
        Found::Text(text) => Slot::Text(event.keep(text)),
        Found::Composite => Slot::Composite,
    };
    let in_range = !matches!(slot, Slot::Number(number) if number.abs() > LARGEST_NUMBER);
    if values.many {
        event.add(values.index, slot);
    } else {
        event.put(values.index, slot);
    }
    in_range
}
