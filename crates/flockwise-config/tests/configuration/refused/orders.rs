//! `repeats`, `reversal` and `like` of a format.

use super::{APP, check};

const TILL: &str = "[format.till]\nlike = \"segment\"\n";

fn with(format: &str) -> String {
    format!(
        "{APP}[[feature]]\nname = \"spend\"\nevent = \"sale\"\nreversed_by = \"back\"\naggregate = \"count\"\nlifetime = true\n\
         [[input]]\ntopic = \"till\"\nformat = \"till\"\n{TILL}{format}"
    )
}

#[test]
fn a_format_can_only_be_like_a_built_in_one() {
    check(
        &with("").replace("\"segment\"", "\"segmnt\""),
        "format.till.like: there is no built-in format \"segmnt\"; did you mean `segment`?",
    );
}

#[test]
fn repeats_have_three_meanings() {
    check(
        &with("repeats = { sale = \"once\" }"),
        "format.till.repeats.sale: found \"once\"; expected one of first, last, each",
    );
    check(
        &with("repeats = { back = \"last\" }"),
        "feature \"spend\".reversed_by: repeats = { \"back\" = \"last\" } is not possible for a reversal; if its amounts are what was taken back so far, set `cumulative = true` under [format.NAME.reversal]",
    );
}

#[test]
fn two_formats_must_agree() {
    check(
        &format!(
            "{}[[input]]\ntopic = \"web\"\nformat = \"segment\"\n",
            with("repeats = { \"Order Updated\" = \"each\" }\n")
        ),
        "format.segment.repeats: \"Order Updated\" is \"last\" here and \"each\" in the format of another input; let both say the same",
    );
}

#[test]
fn the_amount_of_a_reversal() {
    check(
        &with("[format.till.reversal]\nprice = \"/price\""),
        "format.till.reversal.price: found \"/price\", expected a pointer to a value of every product, such as \"/products/*/price\"",
    );
    check(
        &with("[format.till.reversal]\nquantity = \"/lines/*/n\""),
        "format.till.reversal.quantity: must find its values in the same elements as `price`, such as \"/products/*/price\" and \"/products/*/quantity\"",
    );
    check(
        &with("[format.till.reversal]\namount = \"/lines/*/amount\""),
        "format.till.reversal.amount: found \"/lines/*/amount\", expected a pointer to one value, without `*`",
    );
    check(
        &with("order_id = [[]]"),
        "format.till.order_id[1]: found an empty list, expected at least one pointer",
    );
}
