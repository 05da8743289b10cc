//! Pointers to the fields of an event.

use flockwise_codec::format::IdPointers;
use flockwise_core::pointer::Pointer;

use crate::section::{Section, read_or_report};
use crate::value::{ConfigValue, Read};

/// The most pointers for a field. More are hardly needed, and each costs time with every event.
const MOST_POINTERS: usize = 16;

/// One pointer or a list of at least one. A missing key is a problem.
pub(crate) fn required_pointers(
    section: &mut Section<'_>,
    key: &'static str,
    what: &str,
) -> Vec<Pointer> {
    section.required(key, what, |_| Ok(()));
    pointers(section, key)
}

/// One pointer or a list of at least one; `base` if the key is missing.
pub(crate) fn optional(
    section: &mut Section<'_>,
    key: &'static str,
    base: Vec<Pointer>,
) -> Vec<Pointer> {
    match section.has(key) {
        true => pointers(section, key),
        false => base,
    }
}

pub(crate) fn pointers(section: &mut Section<'_>, key: &'static str) -> Vec<Pointer> {
    let elements = elements(section, key);
    let pointers = elements.iter();
    pointers
        .filter_map(|element| read_or_report(element, single))
        .collect()
}

/// Pointers to ids. A list within the list has the pointers to the parts of an id.
pub(crate) fn ids(
    section: &mut Section<'_>,
    key: &'static str,
    base: Vec<IdPointers>,
) -> Vec<IdPointers> {
    if !section.has(key) {
        return base;
    }
    let elements = elements(section, key);
    let ids = elements.iter().filter_map(|element| {
        let parts = element.one_or_many();
        if parts.is_empty() {
            read_or_report::<()>(element, |_| {
                Err("found an empty list, expected at least one pointer".to_owned())
            });
        }
        let parts: Vec<Pointer> = parts
            .iter()
            .filter_map(|part| read_or_report(part, single))
            .collect();
        (!parts.is_empty()).then_some(parts)
    });
    ids.collect()
}

fn elements<'a>(section: &mut Section<'a>, key: &'static str) -> Vec<ConfigValue<'a>> {
    let Some(found) = section.find(key) else {
        return Vec::new();
    };
    let elements = found.one_or_many();
    if elements.is_empty() {
        section.report(key, "is an empty list; give at least one JSON pointer");
    } else if elements.len() > MOST_POINTERS {
        let found = elements.len();
        section.report(
            key,
            &format!("found {found} pointers, expected at most {MOST_POINTERS}"),
        );
    }
    elements
}

/// Reads a pointer to one value. An event's identity must not depend on the order of several values.
fn single(found: &ConfigValue<'_>) -> Read<Pointer> {
    let pointer = found.pointer()?;
    if pointer.is_many() {
        Err(found.unexpected("a pointer to one value, without `*`"))
    } else {
        Ok(pointer)
    }
}
