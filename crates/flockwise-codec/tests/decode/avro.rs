//! Avro records, written by another library, and what becomes of damaged ones.

use flockwise_codec::decode::{AvroSchema, Decoder, SchemaId, Undecoded};
use flockwise_codec::format::{AvroFraming, Encoding, Format, TimeRules, UnknownSchema};
use flockwise_core::event::Event;
use flockwise_core::plan::Plan;
use flockwise_core::pointer::Pointer;
use jiff::tz::TimeZone;

use crate::script::{native, plan, tell};

/// A schema of an order; `order.hex` is an order written by fastavro 1.13.1, and `order_single_object.hex` the same with
/// the header of single-object encoding, whose fingerprint fastavro computed.
const ORDER: &str = include_str!("../golden/avro/order.avsc");

/// The native format, as plain Avro.
pub(crate) fn avro() -> Format {
    Format {
        encoding: Encoding::Avro {
            framing: AvroFraming::Plain,
            schemas: "order.avsc".into(),
            unknown_schema: UnknownSchema::Wait,
        },
        ..native()
    }
}

/// A format for the golden order.
fn shop(framing: AvroFraming) -> Format {
    let pointers = |texts: &[&str]| -> Vec<Pointer> {
        let pointers = texts.iter().map(|text| Pointer::parse(text).unwrap());
        pointers.collect()
    };
    Format {
        encoding: Encoding::Avro {
            framing,
            schemas: "order.avsc".into(),
            unknown_schema: UnknownSchema::Wait,
        },
        customer_id: pointers(&["/customer/card", "/customer/number"]),
        event: pointers(&["/kind"]),
        time: pointers(&["/placed"]),
        event_id: vec![pointers(&["/id"])],
        order_id: vec![pointers(&["/order"])],
        ..Format::empty("shop")
    }
}

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    let byte = |pair: &[u8]| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks_exact(2).map(byte).collect()
}

fn order() -> Vec<u8> {
    unhex(include_str!("../golden/avro/order.hex"))
}

fn story(format: &Format, plan: &Plan, schema: Option<(SchemaId, &str)>, bytes: &[u8]) -> String {
    let mut decoder = Decoder::new(format, plan);
    if let Some((id, schema)) = schema {
        decoder.learn(id, &AvroSchema::parse(schema).unwrap());
    }
    let mut event = Event::default();
    match decoder.decode(plan, Some(bytes), &mut event) {
        Ok(()) => tell(plan, &event),
        Err(Undecoded::Reject(reject)) => format!("{}: {}", reason(&reject), reject.detail),
        Err(Undecoded::UnknownSchema(id)) => format!("unknown: {id}"),
    }
}

fn reason(reject: &flockwise_codec::decode::Reject) -> &'static str {
    reject.reason.name()
}

/// Decodes a record of one `long` field `x` beside the native fields, given in hexadecimal.
fn damaged(hex: &str) -> String {
    const SCHEMA: &str = r#"{"type":"record","name":"E","fields":[
        {"name":"customer_id","type":"string"},{"name":"event","type":"string"},{"name":"time","type":"long"},
        {"name":"x","type":["null","boolean",{"type":"enum","name":"C","symbols":["R"]},{"type":"array","items":"null"},"double"]},
        {"name":"skipped","type":{"type":"map","values":"bytes"}}]}"#;
    let plan = plan(&["/x"]);
    story(&avro(), &plan, Some((SchemaId::Only, SCHEMA)), &unhex(hex))
}

#[test]
fn an_order_that_another_library_wrote_is_read() {
    let plan = plan(&[
        "/total",
        "/lines/*/price",
        "/lines/0/category",
        "/lines/*/replaces/category",
        "/lines/*/gift",
        "/lines",
        "/attributes/channel",
        "/attributes/rank",
        "/attributes/coupon",
        "/nowhere",
    ]);
    let expected = "4711 ? 2026-01-02T03:04:05.678Z id=unknown order=o9 /total=-1234.5 /lines/*/price=19.99,3 \
                    /lines/0/category=\"wine\" /lines/*/replaces/category=\"beer\" /lines/*/gift=false,true /lines=[] \
                    /attributes/channel=\"web\" /attributes/rank=7";
    let told = story(
        &shop(AvroFraming::Plain),
        &plan,
        Some((SchemaId::Only, ORDER)),
        &order(),
    );
    assert_eq!(told, expected);
    let schema = AvroSchema::parse(ORDER).unwrap();
    let id = SchemaId::Fingerprint(schema.fingerprint());
    let framed = unhex(include_str!("../golden/avro/order_single_object.hex"));
    let told = story(
        &shop(AvroFraming::SingleObject),
        &plan,
        Some((id, ORDER)),
        &framed,
    );
    assert_eq!(told, expected);
}

#[test]
fn a_record_of_an_unknown_schema_is_no_reject() {
    let framed = unhex(include_str!("../golden/avro/order_single_object.hex"));
    let format = shop(AvroFraming::SingleObject);
    let told = story(&format, &plan(&[]), None, &framed);
    assert_eq!(told, "unknown: fingerprint 1bfc6bb94089f476");
    let told = story(&shop(AvroFraming::Plain), &plan(&[]), None, &framed);
    assert_eq!(told, "unknown: the input's schema");
}

#[test]
fn what_is_not_single_object_encoding_is_rejected_with_a_hint() {
    let format = shop(AvroFraming::SingleObject);
    let reject = |bytes: &[u8]| story(&format, &plan(&[]), None, bytes);
    let not = "not_avro: the value does not begin with c3 01 and a fingerprint, as single-object encoding does";
    assert_eq!(reject(b"{}"), format!("{not}; it looks like JSON"));
    assert_eq!(
        reject(&[0, 0, 0, 0, 17, 2, 2]),
        format!("{not}; it may be framed for a schema registry, with schema id 17")
    );
    assert_eq!(
        reject(&[0xc3, 1, 2]),
        "not_avro: the value ends within its header: c3 01 and a fingerprint of 8 bytes were expected"
    );
    assert_eq!(reject(b"x"), not);
    assert_eq!(
        reject(b""),
        "empty: the record has no value, expected one Avro datum"
    );
}

#[test]
fn damaged_records_say_where_the_fault_is() {
    let good = "c ? 1970-01-01T00:00:00.000Z";
    let bad = "not_avro: not one datum of the schema E: byte";
    for (hex, expected) in [
        ("02 63 02 65 00 00 00", good.to_owned()),
        ("02 63 02 65 00 02 01 00", format!("{good} /x=true")),
        ("02 63 02 65 00 04 00 00", format!("{good} /x=\"R\"")),
        ("02 63 02 65 00 06 04 00 00", format!("{good} /x=[]")),
        // A block with its length in front, in a map that is skipped.
        ("02 63 02 65 00 00 01 06 02 61 00 00", good.to_owned()),
        (
            "02 63 02 65 00 00",
            format!("{bad} 6: the value ends in the middle of a datum"),
        ),
        (
            "02 63 0e 65 00",
            format!("{bad} 3: length 7 is negative or exceeds the rest of the value"),
        ),
        (
            "01 63",
            format!("{bad} 1: length -1 is negative or exceeds the rest of the value"),
        ),
        (
            "02 ff 02 65 00 00 00",
            format!("{bad} 2: a text is not UTF-8"),
        ),
        (
            "02 63 02 65 00 0a 00",
            format!("{bad} 6: a union selects branch 5, which the schema does not have"),
        ),
        (
            "02 63 02 65 00 02 02 00",
            format!("{bad} 7: a boolean is 2, expected 0 or 1"),
        ),
        (
            "02 63 02 65 00 04 02 00",
            format!("{bad} 7: an enum selects symbol 1, which the schema does not have"),
        ),
        (
            "02 63 02 65 ff ff ff ff ff ff ff ff ff ff 01",
            format!("{bad} 4: an integer has more than 64 bits"),
        ),
        (
            "02 63 02 65 ff",
            format!("{bad} 4: the value ends in the middle of a datum"),
        ),
        // An array of more nulls than any record has: they take no bytes.
        (
            "02 63 02 65 00 06 80 80 80 08 00 00",
            format!(
                "{bad} 10: arrays and maps have more elements than the value has bytes, and 65536 more"
            ),
        ),
        (
            "02 63 02 65 00 00 00 61",
            format!(
                "{bad} 7: 1 bytes follow the datum: it was probably written with another schema"
            ),
        ),
        (
            "02 63 02 65 00 08 00 00 00 00 00 00 f8 7f 00",
            "number_out_of_range: the number at /x is not within ±1e15".to_owned(),
        ),
        (
            "02 63 02 65 00 08 00 00 00 00 00 00 f0 7f 00",
            "number_out_of_range: the number at /x is not within ±1e15".to_owned(),
        ),
        (
            "00 02 65 00 00 00",
            "no_customer: customer_id is \"\", which stands for no customer: expected at /customer_id in format native".to_owned(),
        ),
    ] {
        assert_eq!(damaged(hex), expected, "of {hex}");
    }
    assert_eq!(
        damaged("7b 22 61 22 3a 31 7d"),
        format!(
            "{bad} 1: length -62 is negative or exceeds the rest of the value; it looks like JSON"
        )
    );
}

/// A schema with only the native fields, `time` being of this type.
fn with_time(time: &str) -> String {
    format!(
        r#"{{"type":"record","name":"E","fields":[{{"name":"customer_id","type":"string"}},{{"name":"event","type":"string"}},{{"name":"time","type":{time}}}]}}"#
    )
}

#[test]
fn a_time_is_read_as_its_type_says() {
    let logical = |base, name| format!(r#"{{"type":"{base}","logicalType":"{name}"}}"#);
    for (kind, time, expected) in [
        (
            logical("long", "timestamp-millis"),
            "f4 03",
            "c ? 1970-01-01T00:00:00.250Z",
        ),
        (
            logical("long", "timestamp-micros"),
            "f4 03",
            "c ? 1970-01-01T00:00:00.000Z",
        ),
        (
            logical("long", "timestamp-millis"),
            "fe ff ff ff ff ff ff ff ff 01",
            "bad_time: time 9999-12-30T22:00:00.999Z is beyond the calendar, which ends at 9999-12-30T22:00:00Z",
        ),
        (
            logical("long", "timestamp-micros"),
            "01",
            "c ? 1969-12-31T23:59:59.999Z",
        ),
        (
            "\"long\"".to_owned(),
            "f4 03",
            "c ? 1970-01-01T00:04:10.000Z",
        ),
        (
            "\"string\"".to_owned(),
            "28 32303236 2d 3031 2d 3032 54 3033 3a 3034 3a 3035 5a",
            "c ? 2026-01-02T03:04:05.000Z",
        ),
        (
            logical("long", "local-timestamp-millis"),
            "f4 03",
            "bad_time: time 1970-01-01T00:00:00.250 has no zone: the format native has none either; declare a [format.NAME] of \
             your own with `time_zone`, such as \"Europe/Berlin\" or \"UTC\"",
        ),
        (
            logical("int", "date"),
            "f4 03",
            "wrong_type: time is a date or a time of day alone: RFC 3339 text or an epoch time was expected",
        ),
        (
            "\"bytes\"".to_owned(),
            "00",
            "wrong_type: time is bytes: RFC 3339 text or an epoch time was expected",
        ),
    ] {
        let schema = with_time(&kind);
        let bytes = unhex(&format!("02 63 02 65 {time}"));
        let told = story(&avro(), &plan(&[]), Some((SchemaId::Only, &schema)), &bytes);
        assert_eq!(told, expected, "of {kind}");
    }
}

#[test]
fn a_timestamp_without_a_zone_is_read_in_that_of_the_format() {
    let in_berlin = TimeRules {
        zone: Some(TimeZone::get("Europe/Berlin").unwrap()),
        ..TimeRules::default()
    };
    let format = Format {
        time_rules: in_berlin,
        ..avro()
    };
    // 2026-03-01T10:00:00.678, in the three units, as zigzag varints.
    for (unit, number) in [
        ("millis", 1_772_359_200_678_i64),
        ("micros", 1_772_359_200_678_999),
        ("nanos", 1_772_359_200_678_999_999),
    ] {
        let schema = with_time(&format!(
            r#"{{"type":"long","logicalType":"local-timestamp-{unit}"}}"#
        ));
        let mut bytes = unhex("02 63 02 65");
        bytes.extend(long(number));
        let told = story(
            &format,
            &plan(&["/time"]),
            Some((SchemaId::Only, &schema)),
            &bytes,
        );
        let expected = "c ? 2026-03-01T09:00:00.678Z /time=1772359200678";
        assert_eq!(told, expected, "in {unit}");
    }
}

/// A long as Avro writes it: zigzag, seven bits a byte.
fn long(number: i64) -> Vec<u8> {
    let mut rest = ((number << 1) ^ (number >> 63)).cast_unsigned();
    let mut bytes = Vec::new();
    while rest > 0x7f {
        bytes.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    bytes.push(rest as u8);
    bytes
}

#[test]
fn a_typed_timestamp_may_be_too_early_or_beyond_the_calendar() {
    let schema = with_time(r#"{"type":"long","logicalType":"timestamp-millis"}"#);
    let format = Format {
        time_rules: TimeRules::default(),
        ..avro()
    };
    for (number, expected) in [
        (
            0,
            "bad_time: time 1970-01-01T00:00:00.000Z is before `time.earliest` (2000-01-01T00:00:00.000Z)",
        ),
        (946_684_800_000, "c ? 2000-01-01T00:00:00.000Z"),
        (
            i64::MAX,
            "bad_time: time 9999-12-30T22:00:00.999Z is beyond the calendar, which ends at 9999-12-30T22:00:00Z",
        ),
    ] {
        let mut bytes = unhex("02 63 02 65");
        bytes.extend(long(number));
        let told = story(&format, &plan(&[]), Some((SchemaId::Only, &schema)), &bytes);
        assert_eq!(told, expected);
    }
}

#[test]
fn the_earliest_timestamp_of_all_is_a_bad_time() {
    let format = Format {
        time_rules: TimeRules::default(),
        ..avro()
    };
    for unit in ["millis", "micros", "nanos"] {
        let schema = with_time(&format!(
            r#"{{"type":"long","logicalType":"timestamp-{unit}"}}"#
        ));
        let bytes = unhex("02 63 02 65 ff ff ff ff ff ff ff ff ff 01");
        let told = story(&format, &plan(&[]), Some((SchemaId::Only, &schema)), &bytes);
        assert!(told.starts_with("bad_time: "), "{unit}: {told}");
    }
}

#[test]
fn values_nested_too_deeply_are_rejected() {
    let schema = r#"{"type":"record","name":"Node","fields":[
        {"name":"customer_id","type":"string"},{"name":"event","type":"string"},{"name":"time","type":"long"},
        {"name":"next","type":["null","Node"]}]}"#;
    let node = unhex("02 63 02 65 00 02");
    let mut deep = node.repeat(100_000);
    deep.extend(unhex("02 63 02 65 00 00"));
    for pointers in [&[][..], &["/next/next/time"]] {
        let told = story(
            &avro(),
            &plan(pointers),
            Some((SchemaId::Only, schema)),
            &deep,
        );
        assert!(
            told.ends_with("values are nested more than 127 levels deep"),
            "{told}"
        );
    }
}

#[test]
fn a_damaged_datum_behind_a_header_has_no_hint_and_the_offset_in_the_value() {
    let schema = AvroSchema::parse(ORDER).unwrap();
    let id = SchemaId::Fingerprint(schema.fingerprint());
    let mut framed = unhex(include_str!("../golden/avro/order_single_object.hex"));
    framed.truncate(13);
    let format = shop(AvroFraming::SingleObject);
    assert_eq!(
        story(&format, &plan(&[]), Some((id, ORDER)), &framed),
        "not_avro: not one datum of the schema com.example.shop.OrderPlaced: byte 11: length 36 is negative or exceeds the rest \
         of the value"
    );
}

#[test]
fn many_symbols_in_few_bytes_are_too_large() {
    let symbol = "S".repeat(10_000);
    let schema = format!(
        r#"{{"type":"record","name":"E","fields":[{{"name":"s","type":{{"type":"array","items":{{"type":"enum","name":"C","symbols":["{symbol}"]}}}}}}]}}"#
    );
    // 1000 symbols of one byte each.
    let mut bytes = unhex("d0 0f");
    bytes.extend([0; 1001]);
    let told = story(
        &avro(),
        &plan(&["/s/*"]),
        Some((SchemaId::Only, &schema)),
        &bytes,
    );
    assert_eq!(told, "too_large: its texts have more than 3145728 bytes");
}

#[test]
fn a_text_that_is_no_schema_of_a_record_is_refused() {
    let refusal = |text: &str| AvroSchema::parse(text).unwrap_err();
    assert_eq!(refusal("\"string\""), "its type is not record");
    assert!(refusal("{").contains("EOF"), "{}", refusal("{"));
    let unknown = r#"{"type":"record","name":"E","fields":[{"name":"a","type":"Elsewhere"}]}"#;
    assert!(
        refusal(unknown).contains("Elsewhere"),
        "{}",
        refusal(unknown)
    );
    let field = |name: &str, kind: &str| format!(r#"{{"name":"{name}","type":{kind}}}"#);
    let record = |fields: &[String]| {
        format!(
            r#"{{"type":"record","name":"E","fields":[{}]}}"#,
            fields.join(",")
        )
    };
    let color = r#"{"type":"enum","name":"Color","aliases":["Hue"],"symbols":["R"]}"#;
    let by_alias = record(&[field("a", color), field("b", "\"Hue\"")]);
    assert_eq!(
        refusal(&by_alias),
        "the type Hue is not defined under this name"
    );
}
