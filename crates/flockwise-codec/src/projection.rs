//! The compiled projection: a tree of the pointers that the feature plan and the format need. One pass over
//! the bytes fills their slots and skips the rest.

use flockwise_core::event::Values;
use flockwise_core::plan::Plan;
use flockwise_core::pointer::{Pointer, PointerStep};
use flockwise_json::{JsonTree, NameTable, RawText};

use crate::format::{Format, IdPointers, ReversalFormat};

/// The fields that identify an event, besides its values.
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

    /// Whether its values are ids.
    pub(crate) fn is_id(self) -> bool {
        matches!(self, Self::CustomerId | Self::EventId | Self::OrderId)
    }

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
    /// A field of the event. If several pointers find one, the lowest rank wins.
    Field {
        field: Field,
        rank: u8,
    },
    /// A part of an id of several parts: the index in [`Projection::joined`], and that of the part.
    Part {
        id: u8,
        part: u8,
    },
    /// The amount of a reversal. If several pointers find one, the lowest rank wins.
    Amount {
        rank: u8,
    },
    /// A product of a reversal: its price and its quantity follow.
    Product,
    Price,
    Quantity,
    /// A slot of the feature plan.
    Slot(Values),
}

/// An id of several parts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct JoinedId {
    pub(crate) field: Field,
    pub(crate) rank: u8,
    pub(crate) parts: u8,
}

/// A place in the document at which, or below which, a value is wanted.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    names: Vec<(String, Node)>,
    /// Looks up an index of `names`.
    table: NameTable,
    every: Option<Box<Node>>,
    /// Elements wanted by their index. Each also has what is wanted of every element.
    elements: Vec<(usize, Node)>,
    pub(crate) targets: Vec<Target>,
}

/// The tree for a format and a plan.
#[derive(Clone, Debug)]
pub(crate) struct Projection {
    pub(crate) root: Node,
    pub(crate) slots: usize,
    /// The ids of several parts.
    pub(crate) joined: Vec<JoinedId>,
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
        let mut joined = Vec::new();
        for (field, ids) in [
            (Field::EventId, &format.event_id),
            (Field::OrderId, &format.order_id),
        ] {
            root.insert_ids(field, ids, &mut joined);
        }
        if plan.has_reversals() {
            root.insert_reversal(&format.reversal);
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
            joined,
        }
    }
}

impl Default for Node {
    fn default() -> Self {
        Self {
            names: Vec::new(),
            table: NameTable::new([]),
            every: None,
            elements: Vec::new(),
            targets: Vec::new(),
        }
    }
}

impl Node {
    fn insert(&mut self, pointer: &Pointer, target: Target) {
        let mut node = self;
        for step in pointer.steps() {
            node = match step {
                PointerStep::Every => node.every.get_or_insert_default(),
                PointerStep::Name(name) => {
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

    fn insert_ids(&mut self, field: Field, ids: &[IdPointers], joined: &mut Vec<JoinedId>) {
        for (rank, parts) in ids.iter().enumerate() {
            let rank = rank as u8;
            if let [pointer] = parts.as_slice() {
                self.insert(pointer, Target::Field { field, rank });
                continue;
            }
            let id = joined.len() as u8;
            for (part, pointer) in parts.iter().enumerate() {
                let part = part as u8;
                self.insert(pointer, Target::Part { id, part });
            }
            joined.push(JoinedId {
                field,
                rank,
                parts: parts.len() as u8,
            });
        }
    }

    fn insert_reversal(&mut self, reversal: &ReversalFormat) {
        for (rank, pointer) in reversal.amount.iter().enumerate() {
            self.insert(pointer, Target::Amount { rank: rank as u8 });
        }
        if let Some(price) = &reversal.price {
            if let Some(product) = price.elements() {
                self.insert(&product, Target::Product);
            }
            self.insert(price, Target::Price);
        }
        if let Some(quantity) = &reversal.quantity {
            self.insert(quantity, Target::Quantity);
        }
    }

    /// Fills the lookup tables, once all pointers are inserted. A name that is a decimal number without leading
    /// zeros is also the index of an element (RFC 6901).
    fn place(&mut self) {
        self.table = NameTable::new(self.names.iter().map(|(name, _)| name.as_str()));
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

    /// The children by name.
    pub(crate) fn names(&self) -> impl Iterator<Item = (&str, &Self)> {
        self.names.iter().map(|(name, node)| (name.as_str(), node))
    }

    /// The children for elements by index.
    pub(crate) fn indexed(&self) -> impl Iterator<Item = (usize, &Self)> {
        self.elements.iter().map(|(index, node)| (*index, node))
    }

    /// The child for every other element.
    pub(crate) fn every_element(&self) -> Option<&Self> {
        self.every.as_deref()
    }

    /// Adds all that another node wants.
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

impl JsonTree for Node {
    #[inline(always)]
    fn member(&self, name: &RawText<'_>) -> Option<&Self> {
        self.table.find(name).map(|index| &self.names[index].1)
    }

    fn named(&self, name: &str) -> Option<&Self> {
        self.names
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, node)| node)
    }

    /// The child node for the element with this index: the one for the index, as in `/0`, or else the one for
    /// every element.
    fn element(&self, place: usize) -> Option<&Self> {
        self.elements
            .iter()
            .find(|(known, _)| *known == place)
            .map(|(_, node)| node)
            .or(self.every.as_deref())
    }
}
