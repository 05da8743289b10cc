//! `[[input]]` and `[format.NAME]`

use flockwise_vocabulary::topics::Topics;

use super::{check, input, sections};

#[test]
fn inputs() {
    for (lines, expected) in [
        (
            "",
            "input[1].topic: is missing; give the name of a Kafka topic",
        ),
        (
            "topic = \"a b\"",
            "input[1] \"a b\".topic: found \"a b\", expected a name that Kafka allows: 1 to 249 of the letters a-z A-Z 0-9 . _ -",
        ),
        (
            "topic = \"shop-samples\"",
            "input[1] \"shop-samples\".topic: found \"shop-samples\", expected another topic: Flockwise itself writes to this one",
        ),
        (
            "topic = \"a\"\n[[input]]\ntopic = \"a\"",
            "input[2] \"a\".topic: found \"a\", expected each topic once",
        ),
        (
            "topic = \"a\"\nstart = \"2026-01-31\"",
            "input[1] \"a\".start: found \"2026-01-31\", expected \"earliest\", \"latest\" or a time with its zone, such as \
             \"2026-01-31T00:00:00Z\"",
        ),
        (
            "topic = \"a\"\nstart = 2026-01-31",
            "input[1] \"a\".start: found a date without quotes, expected \"earliest\", \"latest\" or a time with its zone, such \
             as \"2026-01-31T00:00:00Z\"",
        ),
        (
            "topic = \"a\"\nstart = 0",
            "input[1] \"a\".start: found the number 0, expected a text in quotes",
        ),
        (
            "topic = \"a\"\nfrom = \"latest\"",
            "unknown key `input[1] \"a\".from`: expected one of topic, start, format",
        ),
        (
            "topic = \"a\"\nformat = \"segmnt\"",
            "input[1] \"a\".format: there is no format \"segmnt\"; did you mean `segment`?; or declare it under [format.segmnt]",
        ),
    ] {
        check(&input(lines), expected);
    }
}

#[test]
fn every_topic_that_the_app_writes_is_refused_as_its_input() {
    let topics = Topics {
        app: "shop".to_owned(),
        inputs: Vec::new(),
        state_partitions: 1,
    };
    for topic in Topics::internal() {
        let name = topics.name(topic);
        let toml = input(&format!("topic = \"{name}\""));
        let expected = format!(
            "input[1] \"{name}\".topic: found \"{name}\", expected another topic: Flockwise itself writes to this one"
        );
        check(&toml, &expected);
    }
}

#[test]
fn formats() {
    for (lines, expected) in [
        (
            "[format.till]",
            "format.till.customer_id: is missing; give the pointer to the customer id, such as \"/customer\"\n\
             format.till.event: is missing; give the pointer to the event name, such as \"/kind\"\n\
             format.till.time: is missing; give the pointer to the event time, such as \"/at\"",
        ),
        (
            "[format.till]\ncustomer_id = \"customer\"\nevent = []\ntime = [\"/at\", 3]\nevent_id = \"/ids/*\"",
            "format.till.customer_id: `customer` is not a JSON pointer: it must start with `/`, as in `/properties/revenue`\n\
             format.till.event: is an empty list; give at least one JSON pointer\n\
             format.till.time[2]: found the number 3, expected a JSON pointer in quotes, such as \"/properties/revenue\"\n\
             format.till.event_id: found \"/ids/*\", expected a pointer to one value, without `*`",
        ),
        (
            "[format.segment]\ncustomer_id = \"/c\"\nevent = \"/e\"\ntime = \"/t\"",
            "format.segment: this is the name of a built-in format; choose another, such as [format.my-segment], with like = \"segment\"",
        ),
        (
            "[format.till]\ncustomer_id = \"/c\"\nevent = \"/e\"\ntime = \"/t\"\ncustomer = \"/d\"",
            "unknown key `format.till.customer`: did you mean `customer_id`?",
        ),
        (
            "[format.till]\nencoding = \"xml\"\ncustomer_id = \"/c\"\nevent = \"/e\"\ntime = \"/t\"",
            "format.till.encoding: found \"xml\", expected \"json\" or \"avro\"",
        ),
        (
            "[format.till]\nencoding = \"avro\"\ncustomer_id = \"/c\"\nevent = \"/e\"\ntime = \"/t\"",
            "format.till: encoding = \"avro\" needs `schema`, a file, or `schemas`, a directory for single-object encoding",
        ),
        (
            "[format.till]\nencoding = \"avro\"\nschema = \"a.avsc\"\nschemas = \"b\"\ncustomer_id = \"/c\"\nevent = \"/e\"\ntime = \"/t\"",
            "format.till.schemas: cannot be combined with `schema`; give one of the two",
        ),
        (
            "[format.till]\nschema = \"a.avsc\"\ncustomer_id = \"/c\"\nevent = \"/e\"\ntime = \"/t\"",
            "format.till.schema: is only valid with encoding = \"avro\"",
        ),
        (
            "[format.till]\nencoding = \"avro\"\nschema = \"a.avsc\"\nunknown_schema = \"wait\"\ncustomer_id = \"/c\"\nevent = \"/e\"\ntime = \"/t\"",
            "format.till.unknown_schema: is only valid with `schemas`",
        ),
        (
            "[format.till]\ncustomer_id = \"/c\"\nevent = \"/e\"\ntime = \"/t\"\ntime_zone = \"Europe/Berlni\"",
            "format.till.time_zone: found \"Europe/Berlni\", expected the name of a time zone, such as \"Europe/Berlin\" or \
             \"UTC\"; did you mean `Europe/Berlin`?",
        ),
        (
            "[format.till]\ncustomer_id = \"/c\"\nevent = \"/e\"\ntime = \"/t\"\ntime_zone = \"+01:00\"",
            "format.till.time_zone: found \"+01:00\", expected the name of a time zone, such as \"Europe/Berlin\" or \"UTC\"",
        ),
        (
            "[format]\ntill = 3",
            "format.till: found the number 3, expected a table",
        ),
    ] {
        check(&sections(lines), expected);
    }
}
