//! One value of the tree, and the readers that convert it.

use std::borrow::Cow;
use std::fmt::Display;
use std::ops::RangeInclusive;

use figment::value::{Dict, Empty, Num, Value};
use flockwise_core::feature::Constant;
use flockwise_core::pointer::Pointer;

use crate::duration;
use crate::key_path::join;
use crate::size;
use crate::sources::Sources;
use crate::suggestion::{hint, one_of};

/// A typed value, or an error text: what was found and what was expected.
pub(crate) type Read<T> = Result<T, String>;

/// A value with the path of its key.
pub(crate) struct ConfigValue<'a> {
    pub(crate) sources: &'a Sources,
    pub(crate) path: String,
    pub(crate) value: &'a Value,
}

impl<'a> ConfigValue<'a> {
    /// The error text for an unexpected value: `found the number 3, expected a text`.
    pub(crate) fn unexpected(&self, expected: impl Display) -> String {
        format!("found {}, expected {expected}", describe(self.value))
    }

    /// A text that is not empty.
    pub(crate) fn text(&self) -> Read<Cow<'a, str>> {
        match self.written() {
            Some(text) if text.trim().is_empty() => {
                Err("is empty; give a text or leave the key out".to_owned())
            }
            Some(text) => Ok(Cow::Borrowed(text)),
            None => Err(self.unexpected("a text in quotes")),
        }
    }

    /// A text, a number or a boolean, as text for librdkafka.
    pub(crate) fn text_or_plain(&self) -> Read<String> {
        match (self.written(), self.value) {
            (Some(text), _) => Ok(text.to_owned()),
            (None, Value::Bool(_, flag)) => Ok(flag.to_string()),
            (None, Value::Num(_, number)) => Ok(plain_number(*number)),
            (None, _) => Err(self.unexpected("a text, a number, true or false")),
        }
    }

    /// The text as written in the environment or in the file.
    fn written(&self) -> Option<&'a str> {
        self.sources
            .verbatim(&self.path)
            .or_else(|| self.value.as_str())
    }

    pub(crate) fn flag(&self) -> Read<bool> {
        match self.value {
            Value::Bool(_, flag) => Ok(*flag),
            _ => Err(self.unexpected("true or false, without quotes")),
        }
    }

    pub(crate) fn whole<T: TryFrom<i128> + Display + PartialOrd>(
        &self,
        range: &RangeInclusive<T>,
    ) -> Read<T> {
        let number = match self.value {
            Value::Num(_, number) => integer(*number),
            _ => None,
        };
        number
            .and_then(|number| T::try_from(number).ok())
            .filter(|number| range.contains(number))
            .ok_or_else(|| {
                self.unexpected(format_args!(
                    "a whole number from {} to {}",
                    range.start(),
                    range.end()
                ))
            })
    }

    pub(crate) fn number(&self) -> Read<f64> {
        let number = match self.value {
            Value::Num(_, number) => number
                .to_f64()
                .or_else(|| integer(*number).map(|whole| whole as f64)),
            // The parser takes `1e-3` in the environment for a text, because it has no dot.
            Value::String(_, text) if self.sources.is_from_environment(self.value) => {
                text.parse().ok()
            }
            _ => None,
        };
        number
            .filter(|number| number.is_finite())
            .ok_or_else(|| self.unexpected("a number"))
    }

    /// A duration in milliseconds, at least 0.
    pub(crate) fn duration(&self) -> Read<i64> {
        match self.value {
            Value::String(_, text) => duration::parse(text).map_err(|error| error.to_string()),
            _ => Err(self.unexpected("a duration in quotes, such as \"30s\", \"1h\" or \"30d\"")),
        }
    }

    /// A duration in milliseconds, above zero.
    pub(crate) fn span(&self) -> Read<i64> {
        match self.duration()? {
            0 => Err(self.unexpected("a duration above zero")),
            span_ms => Ok(span_ms),
        }
    }

    /// A size in bytes, above zero.
    pub(crate) fn size(&self) -> Read<u64> {
        let expected = "a size in quotes, such as \"512MiB\" or \"4GiB\"";
        match self.value {
            Value::String(_, text) => size::parse(text).ok_or_else(|| self.unexpected(expected)),
            _ => Err(self.unexpected(expected)),
        }
    }

    pub(crate) fn choice<T: Copy>(&self, choices: &[(&str, T)]) -> Read<T> {
        let names = || choices.iter().map(|(name, _)| *name);
        let Value::String(_, text) = self.value else {
            return Err(self.unexpected(one_of(names())));
        };
        choices
            .iter()
            .find(|(name, _)| name == text)
            .map(|(_, choice)| *choice)
            .ok_or_else(|| format!("found {}; {}", describe(self.value), hint(text, names())))
    }

    pub(crate) fn table(&self) -> Read<&'a Dict> {
        match self.value {
            Value::Dict(_, table) if !is_date(table) => Ok(table),
            _ => Err(self.unexpected("a table")),
        }
    }

    /// The elements of a list. Any other value is a list of one.
    pub(crate) fn one_or_many(&self) -> Vec<ConfigValue<'a>> {
        match self.value {
            Value::Array(_, elements) => self.elements(elements),
            _ => vec![ConfigValue {
                sources: self.sources,
                path: self.path.clone(),
                value: self.value,
            }],
        }
    }

    /// The elements with their paths. Paths count from one, as users do.
    pub(crate) fn elements(&self, elements: &'a [Value]) -> Vec<ConfigValue<'a>> {
        let path = |index: usize| format!("{}[{}]", self.path, index + 1);
        elements
            .iter()
            .enumerate()
            .map(|(index, value)| ConfigValue {
                sources: self.sources,
                path: path(index),
                value,
            })
            .collect()
    }

    /// The member `key` of this table.
    pub(crate) fn member(&self, key: &str, value: &'a Value) -> ConfigValue<'a> {
        ConfigValue {
            sources: self.sources,
            path: join(&self.path, key),
            value,
        }
    }

    pub(crate) fn constant(&self) -> Read<Constant> {
        match self.value {
            Value::String(_, text) => Ok(Constant::Text(text.clone())),
            Value::Bool(_, flag) => Ok(Constant::Bool(*flag)),
            Value::Num(..) => self.number().map(Constant::Number),
            _ => Err(self.unexpected("a text, a number, true or false")),
        }
    }

    pub(crate) fn pointer(&self) -> Read<Pointer> {
        match self.value {
            Value::String(_, text) => Pointer::parse(text).map_err(|error| error.to_string()),
            _ => Err(self.unexpected("a JSON pointer in quotes, such as \"/properties/revenue\"")),
        }
    }
}

/// Describes a value for an error text: `the number 3`.
fn describe(value: &Value) -> String {
    const LONGEST: usize = 60;
    match value {
        Value::String(_, text) if text.chars().count() > LONGEST => {
            format!(
                "\"{}...\"",
                text.chars()
                    .take(LONGEST)
                    .collect::<String>()
                    .escape_debug()
            )
        }
        Value::String(_, text) => format!("\"{}\"", text.escape_debug()),
        Value::Char(_, letter) => format!("\"{letter}\""),
        Value::Bool(_, flag) => flag.to_string(),
        Value::Num(_, number) => format!("the number {}", plain_number(*number)),
        Value::Empty(_, Empty::None | Empty::Unit) => "nothing".to_owned(),
        Value::Dict(_, table) if is_date(table) => "a date without quotes".to_owned(),
        Value::Dict(..) => "a table".to_owned(),
        Value::Array(..) => "a list".to_owned(),
    }
}

fn plain_number(number: Num) -> String {
    match number.to_f64() {
        Some(number) => number.to_string(),
        None => integer(number).unwrap_or_default().to_string(),
    }
}

/// A number as an integer. Figment makes integers of the file signed, and those of the environment unsigned.
fn integer(number: Num) -> Option<i128> {
    number
        .to_i128()
        .or_else(|| number.to_u128()?.try_into().ok())
}

/// The parser represents a TOML date as a table with this one key.
const DATE_KEY: &str = "$__toml_private_datetime";

fn is_date(table: &Dict) -> bool {
    table.contains_key(DATE_KEY)
}

/// The text of a TOML date.
pub(crate) fn date(value: &Value) -> Option<&str> {
    value.as_dict()?.get(DATE_KEY)?.as_str()
}
