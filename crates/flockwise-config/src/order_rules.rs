//! `repeats` and `reversal` of a `[format.NAME]`, and the rules that follow for all inputs

use flockwise_codec::format::{Format, ReversalFormat};
use flockwise_core::feature::Feature;
use flockwise_core::order_rules::{OrderRules, Repeat};
use flockwise_core::pointer::Pointer;

use crate::Input;
use crate::pointers::optional;
use crate::section::Section;
use crate::value::{ConfigValue, Read};

/// What a second event about an order means, by event name. Names that are not listed are as in `base`.
pub(crate) fn repeats(
    mut section: Section<'_>,
    base: Vec<(String, Repeat)>,
) -> Vec<(String, Repeat)> {
    let mut repeats: Vec<(String, Repeat)> = section
        .entries(|found| found.choice(&Repeat::ALL))
        .collect();
    for (name, repeat) in base {
        if repeats.iter().all(|(known, _)| *known != name) {
            repeats.push((name, repeat));
        }
    }
    repeats
}

/// How reversals state their amounts. What the section does not say is as in `base`.
pub(crate) fn reversal(mut section: Section<'_>, base: ReversalFormat) -> ReversalFormat {
    let price = section.read("price", of_products);
    let quantity = section.read("quantity", of_products);
    let has_price = price.is_some() || base.price.is_some();
    if quantity.is_some() && !has_price {
        section.report("quantity", "is only valid with `price`");
    }
    let reversal = ReversalFormat {
        amount: optional(&mut section, "amount", base.amount),
        of: optional(&mut section, "of", base.of),
        price: price.or(base.price),
        quantity: quantity.or(base.quantity),
        is_cumulative: section
            .read("cumulative", ConfigValue::flag)
            .unwrap_or(base.is_cumulative),
    };
    if let (Some(price), Some(quantity)) = (&reversal.price, &reversal.quantity)
        && price.elements() != quantity.elements()
    {
        section.report(
            "quantity",
            "must find its values in the same elements as `price`, such as \"/products/*/price\" and \"/products/*/quantity\"",
        );
    }
    section.finish();
    reversal
}

fn of_products(found: &ConfigValue<'_>) -> Read<Pointer> {
    let pointer = found.pointer()?;
    match pointer.is_many() {
        true => Ok(pointer),
        false => Err(found
            .unexpected("a pointer to a value of every product, such as \"/products/*/price\"")),
    }
}

/// The rules for the orders of all inputs. Two formats must not disagree about an event name, and a reversal cannot
/// replace another.
///
/// A `last` of a format without an input holds too, those of built-in ones included: it decides what is remembered of
/// orders, which must keep its meaning if an input is removed and added again.
pub(crate) fn of_all(
    inputs: &[Input],
    declared: &[Format],
    features: &[Feature],
    mut report: impl FnMut(String),
) -> OrderRules {
    let mut rules = OrderRules::default();
    for Input { format, .. } in inputs {
        for (name, repeat) in &format.repeats {
            if let Some(known) = add(&mut rules.repeats, name, *repeat) {
                report(format!(
                    "format.{}.repeats: \"{name}\" is \"{}\" here and \"{}\" in the format of another input; let both say the same",
                    format.name,
                    repeat.name(),
                    known.name(),
                ));
            }
        }
        extend(&mut rules.amounts, &format.reversal.amount);
        extend(&mut rules.of, &format.reversal.of);
    }
    let builtin = Format::BUILTIN.into_iter().filter_map(Format::builtin);
    for format in declared.iter().cloned().chain(builtin) {
        let last = |(_, repeat): &&(String, Repeat)| *repeat == Repeat::Last;
        for (name, repeat) in format.repeats.iter().filter(last) {
            add(&mut rules.repeats, name, *repeat);
        }
    }
    check_reversals(&rules, features, report);
    rules
}

/// Adds a rule. If there is another one for the name already, that stays and is returned.
fn add(rules: &mut Vec<(String, Repeat)>, name: &str, repeat: Repeat) -> Option<Repeat> {
    match rules.iter().find(|(known, _)| known == name) {
        Some((_, known)) => (*known != repeat).then_some(*known),
        None => {
            rules.push((name.to_owned(), repeat));
            None
        }
    }
}

fn check_reversals(rules: &OrderRules, features: &[Feature], mut report: impl FnMut(String)) {
    let last = rules
        .repeats
        .iter()
        .filter(|(_, repeat)| *repeat == Repeat::Last);
    for (name, _) in last {
        let mut reversed = features.iter();
        if let Some(feature) = reversed.find(|feature| feature.reversed_by.contains(name)) {
            report(format!(
                "feature \"{}\".reversed_by: repeats = {{ \"{name}\" = \"last\" }} is not possible for a reversal; if its amounts are what was taken back so far, set `cumulative = true` under [format.NAME.reversal]",
                feature.name
            ));
        }
    }
}

fn extend(all: &mut Vec<Pointer>, more: &[Pointer]) {
    for pointer in more {
        if !all.contains(pointer) {
            all.push(pointer.clone());
        }
    }
}
