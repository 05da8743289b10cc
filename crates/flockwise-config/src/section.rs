//! A table that remembers which keys were read.

use figment::value::{Dict, Value};

use crate::key_path::join;
use crate::sources::Sources;
use crate::suggestion::hint;
use crate::value::{ConfigValue, Read};

/// Keys at the top of the file. In TOML, one that is written below a section becomes part of the section.
const TOP_LEVEL: [&str; 5] = [
    "app",
    "state_partitions",
    "shards",
    "standbys",
    "partitioner",
];

static NOTHING: Dict = Dict::new();

/// One table of the configuration and its path.
pub(crate) struct Section<'a> {
    sources: &'a Sources,
    path: String,
    table: &'a Dict,
    known: Vec<&'static str>,
}

impl<'a> Section<'a> {
    fn new(sources: &'a Sources, path: String, table: &'a Dict) -> Self {
        Self {
            sources,
            path,
            table,
            known: Vec::new(),
        }
    }

    pub(crate) fn root(sources: &'a Sources) -> Self {
        Self::new(sources, String::new(), sources.tree())
    }

    pub(crate) fn of(found: &ConfigValue<'a>) -> Read<Self> {
        Ok(Self::new(found.sources, found.path.clone(), found.table()?))
    }

    /// Whether the key is present, valid or not.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    pub(crate) fn find(&mut self, key: &'static str) -> Option<ConfigValue<'a>> {
        if !self.known.contains(&key) {
            self.known.push(key);
        }
        let value = self.table.get(key)?;
        Some(ConfigValue {
            sources: self.sources,
            path: join(&self.path, key),
            value,
        })
    }

    /// Reads a key's value. `None` if the key is missing, or if there is a problem, which is noted.
    pub(crate) fn read<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&ConfigValue<'a>) -> Read<T>,
    ) -> Option<T> {
        let found = self.find(key)?;
        read_or_report(&found, read)
    }

    /// Like [`Self::read`], but a missing key is a problem too. `what` says what to give.
    pub(crate) fn required<T>(
        &mut self,
        key: &'static str,
        what: &str,
        read: impl FnOnce(&ConfigValue<'a>) -> Read<T>,
    ) -> Option<T> {
        if !self.has(key) {
            self.report(key, &format!("is missing; give {what}"));
        }
        self.read(key, read)
    }

    /// Reads one text or a list of at least one. A missing key gives none.
    pub(crate) fn texts(&mut self, key: &'static str) -> Vec<String> {
        let Some(found) = self.find(key) else {
            return Vec::new();
        };
        let elements = found.one_or_many();
        if elements.is_empty() {
            self.report(
                key,
                "is an empty list; name at least one or leave the key out",
            );
        }
        let mut texts: Vec<String> = Vec::new();
        for element in &elements {
            if let Some(text) = read_or_report(element, ConfigValue::text) {
                if texts.iter().any(|known| **known == *text) {
                    read_or_report::<()>(element, |element| {
                        Err(element.unexpected("each name once"))
                    });
                }
                texts.push(text.into_owned());
            }
        }
        texts
    }

    /// The subsection under a key. A missing key gives an empty one.
    pub(crate) fn table(&mut self, key: &'static str) -> Section<'a> {
        let path = join(&self.path, key);
        let how = |error| format!("{error}, written [{path}]");
        self.read(key, |found| Section::of(found).map_err(how))
            .unwrap_or(Section::new(self.sources, path.clone(), &NOTHING))
    }

    /// The sections under a repeated heading. Each is called by its number and by its value of the key `name`.
    pub(crate) fn tables(&mut self, key: &'static str, name: &str) -> Vec<Section<'a>> {
        let list = self.read(key, |found| match found.value {
            Value::Array(_, elements) => Ok(found.elements(elements)),
            _ => Err(found.unexpected(format_args!(
                "a list of tables, each written [[{key}]] with two brackets"
            ))),
        });
        let sections = list
            .unwrap_or_default()
            .into_iter()
            .filter_map(|found| read_or_report(&found, Section::of));
        sections.map(|section| section.called(name)).collect()
    }

    /// Notes a problem if the list under a key is missing or empty.
    pub(crate) fn need_some(&self, key: &str, text: &str) {
        let list = self.table.get(key).map(Value::as_array);
        if list.is_none_or(|list| list.is_some_and(<[Value]>::is_empty)) {
            self.report(key, text);
        }
    }

    fn called(mut self, name: &str) -> Self {
        if let Some(Value::String(_, name)) = self.table.get(name)
            && !name.trim().is_empty()
        {
            self.path = format!("{} \"{}\"", self.path, name.escape_debug());
        }
        self
    }

    /// The subsections of a table whose keys are names that the user chooses.
    pub(crate) fn named(&mut self, key: &'static str) -> Vec<(&'a str, Section<'a>)> {
        let Some(found) = self.find(key) else {
            return Vec::new();
        };
        let table = read_or_report(&found, ConfigValue::table).unwrap_or(&NOTHING);
        let sections = table
            .iter()
            .map(|(name, value)| (name.as_str(), found.member(name, value)));
        sections
            .filter_map(|(name, found)| Some((name, read_or_report(&found, Section::of)?)))
            .collect()
    }

    /// The values of a table whose keys are texts that the user chooses. Those with a problem, which is noted, are left out.
    pub(crate) fn entries<T>(
        &mut self,
        read: impl Fn(&ConfigValue<'a>) -> Read<T>,
    ) -> impl Iterator<Item = (String, T)> {
        self.table.iter().filter_map(move |(key, value)| {
            let found = ConfigValue {
                sources: self.sources,
                path: join(&self.path, key),
                value,
            };
            Some((key.clone(), read_or_report(&found, &read)?))
        })
    }

    /// Rejects a key that is planned but not supported yet.
    pub(crate) fn not_yet(&mut self, key: &'static str, instead: &str) {
        // An absent key is not read, so that no hint suggests it.
        if self.has(key) {
            self.read::<()>(key, |_| Err(format!("is not supported yet; {instead}")));
        }
    }

    /// Notes a problem with a key.
    pub(crate) fn report(&self, key: &str, text: &str) {
        self.sources.report(
            self.table.get(key),
            format!("{}: {text}", join(&self.path, key)),
        );
    }

    /// Notes a problem with the section as a whole.
    pub(crate) fn blame_whole(&self, text: &str) {
        self.sources
            .report(self.table.values().next(), format!("{}: {text}", self.path));
    }

    /// Notes every unknown key: those that were not read.
    pub(crate) fn finish(self) {
        for (key, value) in self.table {
            if !self.known.contains(&key.as_str()) {
                let hint = self.hint(key);
                self.sources.report(
                    Some(value),
                    format!("unknown key `{}`: {hint}", join(&self.path, key)),
                );
            }
        }
    }

    fn hint(&self, key: &str) -> String {
        if !self.path.is_empty() && TOP_LEVEL.contains(&key) {
            return "it belongs at the top of the file, above the first [section]".to_owned();
        }
        if self.path == "kafka" && key.contains('.') {
            return "properties of librdkafka belong under [kafka.properties]".to_owned();
        }
        hint(key, self.known.iter().copied())
    }
}

/// Applies a reader to a value. `None` if there is a problem, which is noted.
pub(crate) fn read_or_report<'a, T>(
    found: &ConfigValue<'a>,
    read: impl FnOnce(&ConfigValue<'a>) -> Read<T>,
) -> Option<T> {
    match read(found) {
        Ok(value) => Some(value),
        Err(text) => {
            let text = format!("{}: {text}", found.path);
            found.sources.report(Some(found.value), text);
            None
        }
    }
}
