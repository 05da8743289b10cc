//! Elements of arrays that are wanted by their key: values wait until the key of their element is known.

use crate::found_value::FoundValue;
use crate::projection::{KeyedArray, Target};

/// The present element of each array in [`crate::projection::Projection::keyed`].
#[derive(Debug, Default)]
pub(crate) struct KeyedElements(Vec<Element>);

#[derive(Debug, Default)]
struct Element {
    key: Option<String>,
    /// The index of each value among the wanted ones.
    values: Vec<(u16, FoundValue)>,
}

impl KeyedElements {
    fn element(&mut self, array: u16) -> &mut Element {
        let array = usize::from(array);
        if self.0.len() <= array {
            self.0.resize_with(array + 1, Element::default);
        }
        &mut self.0[array]
    }

    pub(crate) fn set_key(&mut self, array: u16, key: String) {
        self.element(array).key = Some(key);
    }

    pub(crate) fn add_value(&mut self, array: u16, wanted: u16, found: FoundValue) {
        self.element(array).values.push((wanted, found));
    }

    /// Ends the present element. Returns its values that are wanted, and where they go.
    pub(crate) fn end(&mut self, array: u16, keyed: &KeyedArray) -> Vec<(Target, FoundValue)> {
        let Element { key, values } = std::mem::take(self.element(array));
        let Some(key) = key else { return Vec::new() };
        let values = values.into_iter().filter_map(|(wanted, found)| {
            let (text, target) = &keyed.wanted[usize::from(wanted)];
            (*text == key).then_some((*target, found))
        });
        values.collect()
    }
}
