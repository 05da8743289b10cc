//! `where` and `base`: pointer = a value, a list of values, or a table of operators.

use figment::value::Value;
use flockwise_core::feature::{Condition, Constant, Test};
use flockwise_core::pointer::Pointer;

use crate::section::{Section, read_or_report};
use crate::value::{ConfigValue, date};

pub(crate) fn read(section: &mut Section<'_>, key: &'static str) -> Vec<Condition> {
    let Some(found) = section.find(key) else {
        return Vec::new();
    };
    let Some(table) = read_or_report(&found, ConfigValue::table) else {
        return Vec::new();
    };
    let mut conditions = Vec::new();
    for (pointer, value) in table {
        let operand = found.member(pointer, value);
        let tests = tests(&operand);
        if let Some(pointer) = read_or_report(&operand, |_| {
            Pointer::parse(pointer).map_err(|error| error.to_string())
        }) {
            conditions.extend(tests.into_iter().map(|test| Condition {
                pointer: pointer.clone(),
                test,
            }));
        }
    }
    conditions
}

fn tests(operand: &ConfigValue<'_>) -> Vec<Test> {
    match operand.value {
        Value::Dict(..) if date(operand.value).is_none() => operators(operand),
        _ => one_of(operand).into_iter().collect(),
    }
}

/// All operators of one table must hold.
fn operators(operand: &ConfigValue<'_>) -> Vec<Test> {
    let Some(mut section) = read_or_report(operand, Section::of) else {
        return Vec::new();
    };
    let tests = [
        section.find("eq").and_then(|found| one_of(&found)),
        section.find("in").and_then(|found| one_of(&found)),
        section
            .read("ne", ConfigValue::constant)
            .map(Test::NotEqual),
        section.read("gt", ConfigValue::number).map(Test::Greater),
        section.read("ge", ConfigValue::number).map(Test::AtLeast),
        section.read("lt", ConfigValue::number).map(Test::Less),
        section.read("le", ConfigValue::number).map(Test::AtMost),
        section.read("exists", ConfigValue::flag).map(Test::Exists),
        section
            .read("prefix", ConfigValue::text)
            .map(|prefix| Test::Prefix(prefix.into_owned())),
    ];
    if section.is_empty() {
        section.blame_whole("is an empty table; give a value, a list of values, or one of eq, ne, in, gt, ge, lt, le, exists, prefix");
    }
    section.finish();
    tests.into_iter().flatten().collect()
}

/// One of a list of values. A plain value is a list of one.
fn one_of(operand: &ConfigValue<'_>) -> Option<Test> {
    let elements = operand.one_or_many();
    if elements.is_empty() {
        return read_or_report(operand, |_| {
            Err("is an empty list, which matches nothing; give at least one value".to_owned())
        });
    }
    let constants: Vec<Option<Constant>> = elements
        .iter()
        .map(|element| read_or_report(element, ConfigValue::constant))
        .collect();
    constants
        .into_iter()
        .collect::<Option<Vec<Constant>>>()
        .map(Test::In)
}
