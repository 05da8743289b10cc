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
    /// An element of [`Projection::keyed`] begins: its key and its values follow.
    Element {
        array: u16,
    },
    /// The key of such an element.
    ElementKey {
        array: u16,
    },
    /// A value of such an element, by its index in [`KeyedArray::wanted`].
    ElementValue {
        array: u16,
        wanted: u16,
    },
    /// A slot of the feature plan.
    Slot(Values),
}

/// An array of which elements are wanted by their key.
#[derive(Clone, Debug, Default)]
pub(crate) struct KeyedArray {
    /// The key, and where the value of the element with this key goes.
    pub(crate) wanted: Vec<(String, Target)>,
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
    /// For an element that is wanted by a key: the name of the key's member, and the index of the array.
    keys: Vec<(String, u16)>,
}

/// The tree for a format and a plan.
#[derive(Clone, Debug)]
pub(crate) struct Projection {
    pub(crate) root: Node,
    pub(crate) slots: usize,
    /// The ids of several parts.
    pub(crate) joined: Vec<JoinedId>,
    pub(crate) keyed: Vec<KeyedArray>,
}

impl Projection {
    /// Compiles the pointers of a format and of a plan into one tree.
    #[must_use]
    pub(crate) fn compile(format: &Format, plan: &Plan) -> Self {
        let (mut root, mut keyed) = (Node::default(), Vec::new());
        let fields = [
            (Field::CustomerId, &format.customer_id),
            (Field::Event, &format.event),
            (Field::Time, &format.time),
        ];
        for (field, pointers) in fields {
            for (rank, pointer) in pointers.iter().enumerate() {
                let rank = rank as u8;
                root.insert(pointer, Target::Field { field, rank }, &mut keyed);
            }
        }
        let mut joined = Vec::new();
        for (field, ids) in [
            (Field::EventId, &format.event_id),
            (Field::OrderId, &format.order_id),
        ] {
            root.insert_ids(field, ids, &mut joined, &mut keyed);
        }
        if plan.has_reversals() {
            root.insert_reversal(&format.reversal, &mut keyed);
        }
        for (index, pointer) in plan.pointers().iter().enumerate() {
            root.insert(
                pointer,
                Target::Slot(Values {
                    index,
                    many: pointer.is_many(),
                }),
                &mut keyed,
            );
        }
        root.place();
        Self {
            root,
            slots: plan.pointers().len(),
            joined,
            keyed,
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
            keys: Vec::new(),
        }
    }
}

impl Node {
    /// Adds a target at a pointer. `keyed` has the arrays of which elements are wanted by their key.
    fn insert(&mut self, pointer: &Pointer, mut target: Target, keyed: &mut Vec<KeyedArray>) {
        let mut node = self;
        for step in pointer.steps() {
            node = match step {
                PointerStep::Every => node.every.get_or_insert_default(),
                PointerStep::Name(name) => node.child(name),
                PointerStep::Where { name, text } => {
                    let element = node.every.get_or_insert_default();
                    let array = element.array(name, keyed);
                    let wanted = &mut keyed[usize::from(array)].wanted;
                    wanted.push((text.clone(), target));
                    target = Target::ElementValue {
                        array,
                        wanted: wanted.len() as u16 - 1,
                    };
                    element
                }
            };
        }
        node.targets.push(target);
    }

    fn child(&mut self, name: &str) -> &mut Self {
        let place = self.names.iter().position(|(known, _)| known == name);
        let place = place.unwrap_or_else(|| {
            self.names.push((name.to_owned(), Self::default()));
            self.names.len() - 1
        });
        &mut self.names[place].1
    }

    /// The index of the array whose elements are wanted by this member.
    fn array(&mut self, name: &str, keyed: &mut Vec<KeyedArray>) -> u16 {
        if let Some((_, array)) = self.keys.iter().find(|(known, _)| known == name) {
            return *array;
        }
        let array = keyed.len() as u16;
        keyed.push(KeyedArray::default());
        self.keys.push((name.to_owned(), array));
        self.targets.push(Target::Element { array });
        let key = self.child(name);
        key.targets.push(Target::ElementKey { array });
        array
    }

    fn insert_ids(
        &mut self,
        field: Field,
        ids: &[IdPointers],
        joined: &mut Vec<JoinedId>,
        keyed: &mut Vec<KeyedArray>,
    ) {
        for (rank, parts) in ids.iter().enumerate() {
            let rank = rank as u8;
            if let [pointer] = parts.as_slice() {
                self.insert(pointer, Target::Field { field, rank }, keyed);
                continue;
            }
            let id = joined.len() as u8;
            for (part, pointer) in parts.iter().enumerate() {
                let part = part as u8;
                self.insert(pointer, Target::Part { id, part }, keyed);
            }
            joined.push(JoinedId {
                field,
                rank,
                parts: parts.len() as u8,
            });
        }
    }

    fn insert_reversal(&mut self, reversal: &ReversalFormat, keyed: &mut Vec<KeyedArray>) {
        for (rank, pointer) in reversal.amount.iter().enumerate() {
            let rank = rank as u8;
            self.insert(pointer, Target::Amount { rank }, keyed);
        }
        if let Some(price) = &reversal.price {
            if let Some(product) = price.elements() {
                self.insert(&product, Target::Product, keyed);
            }
            self.insert(price, Target::Price, keyed);
        }
        if let Some(quantity) = &reversal.quantity {
            self.insert(quantity, Target::Quantity, keyed);
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
