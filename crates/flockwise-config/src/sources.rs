//! Merges file and environment into one tree, in which each value knows its source.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;

use figment::providers::{Format, Toml};
use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile, Provider};

use crate::key_path::join;
use crate::problem::{ConfigErrors, Problem};

const PREFIX: &str = "FLOCKWISE__";

/// The merged values, and the problems noted so far.
pub(crate) struct Sources {
    /// The file's name; `None` for a text.
    file: Option<String>,
    /// Knows the source of each value.
    merged: Figment,
    /// The merged tree.
    tree: Dict,
    /// The unparsed texts of environment variables, by the path of their key.
    verbatim: BTreeMap<String, String>,
    problems: RefCell<Vec<Problem>>,
}

/// The environment of the process, without variables that are not Unicode.
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
            "the file does not exist; give the path of a configuration, for example config/flockwise.toml".to_owned(),
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

/// Shortens the parser's message to one line: drops the lines that draw the source and point at the column.
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

    /// The unparsed text of the environment variable for exactly this path. The parser takes `0012` for a number, but
    /// it may be a password.
    pub(crate) fn verbatim(&self, path: &str) -> Option<&str> {
        self.verbatim.get(path).map(String::as_str)
    }

    /// Whether the value comes from the environment.
    pub(crate) fn is_from_environment(&self, value: &Value) -> bool {
        self.variable(value).is_some()
    }

    fn variable(&self, value: &Value) -> Option<String> {
        let name = &self.merged.get_metadata(value.tag())?.name;
        name.starts_with(PREFIX)
            .then(|| format!("environment variable {name}"))
    }

    /// Notes a problem with a value, or with a missing value.
    pub(crate) fn report(&self, value: Option<&Value>, text: String) {
        let source = value
            .and_then(|value| self.variable(value))
            .or_else(|| self.file.clone());
        self.problems.borrow_mut().push(Problem { source, text });
    }

    /// Returns `value`, or all problems if any was noted.
    pub(crate) fn verdict<T>(&self, value: T) -> Result<T, ConfigErrors> {
        let problems = self.problems.take();
        if problems.is_empty() {
            Ok(value)
        } else {
            Err(ConfigErrors::new(problems))
        }
    }
}

/// One environment variable. Each is its own source, so that a problem can name it.
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
            // Shells allow no dots in names, and no property that can be set has an underscore.
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
