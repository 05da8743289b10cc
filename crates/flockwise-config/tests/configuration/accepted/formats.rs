//! Inputs and their formats.

use std::path::PathBuf;

use flockwise_codec::format::{AvroFraming, Encoding, Format, UnknownSchema};
use flockwise_codec::normalization::IdNormalization;
use flockwise_config::InitialStart;
use flockwise_core::order_rules::Repeat;

use super::{pointer, smallest_with};

#[test]
fn inputs_start_and_format() {
    let config = smallest_with(
        "[[input]]\ntopic = \"orders\"\nstart = \"latest\"\nformat = \"segment\"\n\
         [[input]]\ntopic = \"till\"\nstart = \"2026-01-31T01:00:00+01:00\"\nformat = \"till\"\n\
         [[input]]\ntopic = \"old\"\nstart = 1970-01-01T00:00:01Z\n\
         [format.till]\ncustomer_id = [\"/card/id\", \"/customer\"]\nevent = \"/kind\"\ntime = \"/at\"\nevent_id = \"/id\"",
    );
    let starts: Vec<InitialStart> = config.inputs.iter().map(|input| input.start).collect();
    let midnight_ms = 1_769_817_600_000;
    assert_eq!(
        starts,
        [
            InitialStart::Earliest,
            InitialStart::Latest,
            InitialStart::Time(midnight_ms),
            InitialStart::Time(1000)
        ]
    );
    assert_eq!(config.inputs[1].format, Format::builtin("segment").unwrap());
    let till = Format {
        customer_id: vec![pointer("/card/id"), pointer("/customer")],
        event: vec![pointer("/kind")],
        time: vec![pointer("/at")],
        event_id: vec![vec![pointer("/id")]],
        ..Format::empty("till")
    };
    assert_eq!(config.inputs[2].format, till);
}

#[test]
fn a_format_of_ones_own_may_name_the_zone_of_its_times() {
    let zone = |lines: &str| {
        let config = smallest_with(&format!(
            "[[input]]\ntopic = \"till\"\nformat = \"till\"\n\
             [format.till]\ncustomer_id = \"/c\"\nevent = \"/e\"\ntime = \"/t\"\n{lines}"
        ));
        config.inputs[1].format.time_rules.zone.clone()
    };
    assert_eq!(zone(""), None);
    for (name, known) in [
        ("Europe/Berlin", "Europe/Berlin"),
        ("UTC", "UTC"),
        ("america/new_york", "America/New_York"),
    ] {
        let zone = zone(&format!("time_zone = \"{name}\"")).unwrap();
        assert_eq!(zone.iana_name(), Some(known));
    }
}

#[test]
fn a_format_of_ones_own_may_be_avro() {
    const POINTERS: &str = "customer_id = \"/c\"\nevent = \"/e\"\ntime = \"/t\"\n";
    for (lines, framing, schemas, unknown_schema) in [
        (
            "schema = \"order.avsc\"",
            AvroFraming::Plain,
            "order.avsc",
            UnknownSchema::Wait,
        ),
        (
            "schemas = \"schemas\"",
            AvroFraming::SingleObject,
            "schemas",
            UnknownSchema::Wait,
        ),
        (
            "schemas = \"schemas\"\nunknown_schema = \"dead_letter\"",
            AvroFraming::SingleObject,
            "schemas",
            UnknownSchema::Reject,
        ),
    ] {
        let config = smallest_with(&format!(
            "[[input]]\ntopic = \"orders\"\nformat = \"shop\"\n[format.shop]\nencoding = \"avro\"\n{lines}\n{POINTERS}"
        ));
        let schemas = PathBuf::from(schemas);
        let expected = Encoding::Avro {
            framing,
            schemas,
            unknown_schema,
        };
        assert_eq!(config.inputs[1].format.encoding, expected, "{lines}");
    }
    let json = format!("[format.shop]\nencoding = \"json\"\n{POINTERS}");
    assert_eq!(
        smallest_with(&json).inputs[0].format.encoding,
        Encoding::Json
    );
}

#[test]
fn a_format_takes_from_a_built_in_one_what_it_does_not_say() {
    let config = smallest_with(
        "[[input]]\ntopic = \"web\"\nformat = \"web\"\n\
         [format.web]\nlike = \"segment\"\nnormalize_customer_id = [\"lowercase\", \"nfc\"]\ncustomer_id = \"/crm\"\nevent_id = [[\"/source\", \"/id\"], \"/messageId\"]\n\
         repeats = { \"Order Updated\" = \"each\" }\n[format.web.reversal]\nof = \"/properties/net\"",
    );
    let segment = Format::builtin("segment").unwrap();
    let web = &config.inputs[1].format;
    assert_eq!(web.time, segment.time);
    let both = IdNormalization {
        lowercase: true,
        nfc: true,
    };
    assert_eq!(web.normalization, both);
    assert_eq!(web.order_id, segment.order_id);
    assert_eq!(web.customer_id, [pointer("/crm")]);
    let joined = vec![pointer("/source"), pointer("/id")];
    assert_eq!(web.event_id, [joined, vec![pointer("/messageId")]]);
    assert_eq!(web.reversal.amount, segment.reversal.amount);
    assert_eq!(config.orders.of, [pointer("/properties/net")]);
    let repeat = |name: &str| {
        let found = config
            .orders
            .repeats
            .iter()
            .find(|(known, _)| known == name);
        found.map(|(_, repeat)| *repeat)
    };
    assert_eq!(repeat("Order Updated"), Some(Repeat::Each));
    assert_eq!(repeat("Order Completed"), Some(Repeat::First));
}
