//! A tree of wanted paths, and a sink that lists what is found at them.

use crate::escape::unescape;
use crate::invalid::Invalid;
use crate::names::NameTable;
use crate::number::Number;
use crate::raw_text::RawText;
use crate::scan::{JsonScalar, JsonSink, JsonTree};

/// A place on the way to a wanted path. A name that is a number is also the index of an element; `*` is every element.
#[derive(Debug)]
pub(super) struct PathTree {
    path: String,
    names: NameTable,
    children: Vec<(String, PathTree)>,
}

impl PathTree {
    /// The tree of these paths, such as `/a/*/b`. As in JSON pointers, `~1` is a slash and `~0` a tilde.
    pub(super) fn new(paths: &[&str]) -> Self {
        let split = |path: &&str| path[1..].split('/').map(step).collect();
        let paths: Vec<Vec<String>> = paths.iter().map(split).collect();
        Self::below(
            String::new(),
            &paths.iter().map(Vec::as_slice).collect::<Vec<_>>(),
        )
    }

    fn below(path: String, paths: &[&[String]]) -> Self {
        let mut firsts: Vec<&String> = paths.iter().filter_map(|steps| steps.first()).collect();
        firsts.sort_unstable();
        firsts.dedup();
        let child = |first: &&String| {
            let rests = paths.iter().filter(|steps| steps.first() == Some(*first));
            let rests: Vec<&[String]> = rests.map(|steps| &steps[1..]).collect();
            (
                (*first).clone(),
                Self::below(format!("{path}/{first}"), &rests),
            )
        };
        let children: Vec<(String, Self)> = firsts.iter().map(child).collect();
        Self {
            names: NameTable::new(children.iter().map(|(name, _)| name.as_str())),
            path,
            children,
        }
    }
}

fn step(token: &str) -> String {
    token.replace("~1", "/").replace("~0", "~")
}

impl JsonTree for PathTree {
    fn member(&self, name: &RawText<'_>) -> Option<&Self> {
        self.names.find(name).map(|index| &self.children[index].1)
    }

    fn named(&self, name: &str) -> Option<&Self> {
        let mut children = self.children.iter();
        let found = children.find(|(known, _)| known == name);
        found.map(|(_, child)| child)
    }

    fn element(&self, index: usize) -> Option<&Self> {
        self.named(&index.to_string()).or_else(|| self.named("*"))
    }
}

/// What was found, as text: path and value.
#[derive(Debug, Default)]
pub(super) struct Found(pub(super) Vec<String>);

impl Found {
    pub(super) fn add(&mut self, place: &PathTree, value: impl std::fmt::Display) {
        self.0.push(format!("{} {value}", place.path));
    }
}

impl JsonSink<PathTree> for Found {
    fn scalar(&mut self, place: &PathTree, value: JsonScalar) {
        match value {
            JsonScalar::Number(Number::Float(number)) => {
                self.add(place, format_args!("{number:?} {:x}", number.to_bits()));
            }
            other => self.add(place, format_args!("{other:?}")),
        }
    }

    fn text(&mut self, place: &PathTree, text: &RawText<'_>) -> Result<(), Invalid> {
        let raw = str::from_utf8(text.bytes()).map_err(|_| Invalid)?;
        let mut unescaped = String::new();
        match text.has_escapes() {
            true => unescape(raw, |piece| unescaped.push_str(piece))?,
            false => unescaped.push_str(raw),
        }
        self.add(place, format_args!("{unescaped:?}"));
        Ok(())
    }
}
