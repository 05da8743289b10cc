//! File and environment, merged into one tree of values that know where they came from.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;

use figment::providers::{Format, Toml};
use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile, Provider};

use crate::problem::{ConfigErrors, Problem};
use crate::section::join;

const PREFIX: &str = "FLOCKWISE__";

/// What was given, and what was found wrong with it so far.
pub(crate) struct Sources {
    /// The file's name, if it was one.
    file: Option<String>,
    /// Knows for each value which source it came from.
    merged: Figment,
    /// The merged tree.
    tree: Dict,
    /// What environment variables say, word for word, by the key they stand for.
    verbatim: BTreeMap<String, String>,
    problems: RefCell<Vec<Problem>>,
}

/// The process's environment, without what is not Unicode.
pub fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

pub(crate) fn load(
    path: &Path,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<Sources, ConfigErrors> {
    let file = path.display().to_string();
    match std::fs::read_to_string(path) {
        Ok(toml) => merge(Some(file), &toml, environment),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(ConfigErrors::one(
            Some(file),
            "there is no such file; give the path of a configuration, for example config/flockwise.toml".to_owned(),
        )),
        Err(error) => Err(ConfigErrors::one(Some(file), format!("cannot be read: {error}"))),
    }
}

pub(crate) fn parse(toml: &str) -> Result<Sources, ConfigErrors> {
    merge(None, toml, [])
}

fn merge(
    file: Option<String>,
    toml: &str,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<Sources, ConfigErrors> {
    let mut merged = Figment::from(Toml::string(toml));
    let mut verbatim = BTreeMap::new();
    let variables: BTreeMap<String, String> = environment.into_iter().collect();
    for (name, text) in variables {
        let Some(variable) = Variable::of(name, text) else {
            continue;
        };
        verbatim.insert(
            variable
                .keys
                .iter()
                .fold(String::new(), |path, key| join(&path, key)),
            variable.text.clone(),
        );
        merged = merged.merge(variable);
    }
    match merged.data() {
        Ok(mut profiles) => {
            let tree = profiles.remove(&Profile::Default).unwrap_or_default();
            Ok(Sources {
                file,
                merged,
                tree,
                verbatim,
                problems: RefCell::default(),
            })
        }
        Err(error) => Err(ConfigErrors::one(
            file,
            format!("is not TOML: {}", on_one_line(&error.kind.to_string())),
        )),
    }
}

/// The parser draws the line and points at the column, in several lines.
fn on_one_line(text: &str) -> String {
    let is_drawing = |line: &&str| {
        let line = line.trim_start_matches(|letter: char| letter.is_ascii_digit() || letter == ' ');
        !line.is_empty() && !line.starts_with('|')
    };
    text.trim_start_matches("TOML parse error at ")
        .lines()
        .filter(is_drawing)
        .map(str::trim)
        .collect::<Vec<_>>()
        .join("; ")
}

impl Sources {
    pub(crate) fn tree(&self) -> &Dict {
        &self.tree
    }

    /// What the environment variable that is exactly this key says: `0012` is a number to the
    /// parser, but a password where a text is expected.
    pub(crate) fn verbatim(&self, path: &str) -> Option<&str> {
        self.verbatim.get(path).map(String::as_str)
    }

    /// Did the environment have a say in this value?
    pub(crate) fn is_from_environment(&self, value: &Value) -> bool {
        self.variable(value).is_some()
    }

    fn variable(&self, value: &Value) -> Option<String> {
        let name = &self.merged.get_metadata(value.tag())?.name;
        name.starts_with(PREFIX)
            .then(|| format!("environment variable {name}"))
    }

    /// Notes a problem with a value, or with the lack of one.
    pub(crate) fn blame(&self, value: Option<&Value>, text: String) {
        let source = value
            .and_then(|value| self.variable(value))
            .or_else(|| self.file.clone());
        self.problems.borrow_mut().push(Problem { source, text });
    }

    /// `value`, or every problem that was noted.
    pub(crate) fn verdict<T>(&self, value: T) -> Result<T, ConfigErrors> {
        let problems = self.problems.take();
        if problems.is_empty() {
            Ok(value)
        } else {
            Err(ConfigErrors::new(problems))
        }
    }
}

/// One environment variable is one source, so that a problem can name it.
struct Variable {
    name: String,
    keys: Vec<String>,
    text: String,
}

impl Variable {
    fn of(name: String, text: String) -> Option<Self> {
        let lowercase = name.strip_prefix(PREFIX)?.to_ascii_lowercase();
        let mut keys: Vec<String> = lowercase.split("__").map(str::to_owned).collect();
        if let [kafka, properties, property] = keys.as_mut_slice()
            && kafka == "kafka"
            && properties == "properties"
        {
            // Shells know no dots in names, librdkafka knows no underscores.
            *property = property.replace('_', ".");
        }
        Some(Self { name, keys, text })
    }
}

impl Provider for Variable {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.name.clone())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        let Ok(leaf) = self.text.parse::<Value>();
        let tree = self.keys.iter().rev().fold(leaf, |inner, key| {
            Value::from(Dict::from([(key.clone(), inner)]))
        });
        Ok(Profile::Default.collect(tree.into_dict().unwrap_or_default()))
    }
}
