//! Documents that are rejected, each with its reason and its detail.

use flockwise_codec::decode::{LARGEST_EVENT, LONGEST_CUSTOMER_ID};

use crate::script::{check, check_bytes, native, plan, story};

#[test]
fn an_event_without_a_customer_says_what_stands_in_place_of_the_id() {
    let mut format = native();
    format.no_customer = vec!["guest".to_owned()];
    let expected = "which stands for no customer: expected at /customer_id in format native";
    for (id, shown) in [
        ("\"\"", ""),
        ("\"  \"", "  "),
        ("\"null\"", "null"),
        ("\"NaN\"", "NaN"),
        ("\"[object Object]\"", "[object Object]"),
        ("\"guest\"", "guest"),
        ("0", "0"),
        ("\" 0 \"", " 0 "),
    ] {
        let document = format!("{{\"customer_id\":{id},\"event\":\"e\",\"time\":0}}");
        assert_eq!(
            story(&format, &plan(&[]), Some(document.as_bytes())),
            format!("no_customer: customer_id is {shown:?}, {expected}")
        );
    }
}

#[test]
fn no_value_is_empty() {
    let empty = "empty: the record has no value, expected one JSON object";
    assert_eq!(story(&native(), &plan(&[]), None), empty, "a tombstone");
    check_bytes("", empty);
    check_bytes(" \n\t\r ", empty);
}

#[test]
fn what_is_not_one_json_object_is_not_json() {
    check(
        &native(),
        &["/x", "/a/*"],
        r#"
        {"customer_id":"c" => not_json: not one JSON object: EOF while parsing an object at line 1 column 18
        {"customer_id":"c => not_json: not one JSON object: EOF while parsing a string at line 1 column 17
        {"customer_id" => not_json: not one JSON object: EOF while parsing an object at line 1 column 14
        { => not_json: not one JSON object: EOF while parsing an object at line 1 column 1
        [{"customer_id":"c"}] => not_json: not one JSON object: invalid type: sequence, expected a JSON object at line 1 column 0; it looks like a JSON array
        "text" => not_json: not one JSON object: invalid type: string "text", expected a JSON object at line 1 column 6
        17 => not_json: not one JSON object: invalid type: integer `17`, expected a JSON object at line 1 column 2
        true => not_json: not one JSON object: invalid type: boolean `true`, expected a JSON object at line 1 column 4
        null => not_json: not one JSON object: invalid type: null, expected a JSON object at line 1 column 4
        {"x":NaN} => not_json: not one JSON object: expected value at line 1 column 6
        {"skipped":NaN} => not_json: not one JSON object: expected value at line 1 column 12
        {"x":Infinity} => not_json: not one JSON object: expected value at line 1 column 6
        {'x':1} => not_json: not one JSON object: key must be a string at line 1 column 2; it looks like a Python dictionary: JSON has its names and texts in double quotes
        {"x":1,} => not_json: not one JSON object: trailing comma at line 1 column 8
        {"x":01} => not_json: not one JSON object: invalid number at line 1 column 7
        {} {} => not_json: not one JSON object: trailing characters at line 1 column 4
        {}x => not_json: not one JSON object: trailing characters at line 1 column 3
        {"x":"\ud800"} => not_json: not one JSON object: unexpected end of hex escape at line 1 column 13
        customer,event,time => not_json: not one JSON object: expected value at line 1 column 1; it looks like comma-separated values
        "{\"x\":1}" => not_json: not one JSON object: invalid type: string "{\"x\":1}", expected a JSON object at line 1 column 11; it looks like JSON within a string
        <x>1</x> => not_json: not one JSON object: expected value at line 1 column 1; it looks like XML or HTML
        "#,
    );
}

#[test]
fn bytes_that_are_no_text_are_not_json_wherever_they_are() {
    let places: [&[u8]; 3] = [
        b"{\"customer_id\":\"\xff\"}",
        b"{\"elsewhere--\":\"\xff\"}",
        b"{\"--------------\xff\":1}",
    ];
    for document in places {
        check_bytes(
            document,
            "not_json: not UTF-8: invalid utf-8 sequence of 1 bytes from index 16",
        );
    }
    check_bytes(
        b"{}\0",
        "not_json: not one JSON object: trailing characters at line 1 column 3",
    );
}

#[test]
fn what_the_bytes_look_like_is_said() {
    let no_value = "not_json: not one JSON object: expected value at line 1 column 1";
    let no_text = |index: u32| {
        format!("not_json: not UTF-8: invalid utf-8 sequence of 1 bytes from index {index}")
    };
    let cases: [(&[u8], String); 13] = [
        (b"\x1f\x8b\x08", no_text(1) + "; it looks like gzip"),
        (b"\x28\xb5\x2f\xfd", no_text(1) + "; it looks like zstd"),
        (b"PK\x03\x04", format!("{no_value}; it looks like a ZIP archive")),
        (b"PAR1\x15", format!("{no_value}; it looks like a Parquet file")),
        (b"Obj\x01", format!("{no_value}; it looks like an Avro file")),
        (b"\xff\xfe{\0", no_text(0) + "; it looks like UTF-16"),
        (b"\0{\0\"\0a", format!("{no_value}; it looks like UTF-16")),
        (
            b"{\0\"\0",
            "not_json: not one JSON object: key must be a string at line 1 column 2; it looks like UTF-16"
                .to_owned(),
        ),
        (
            b"\0\0\0\0\x01{}",
            format!("{no_value}; it may be framed for a schema registry, with schema id 1"),
        ),
        (b"a\tb", format!("{no_value}; it looks like tab-separated values")),
        (b"x", no_value.to_owned()),
        (b"\x01\x02,", no_value.to_owned()),
        (
            b"\xef\xbb\xbf{}",
            format!("{no_value}; it begins with a byte order mark"),
        ),
    ];
    for (bytes, expected) in cases {
        check_bytes(bytes, &expected);
    }
}

#[test]
fn truncated_anywhere_it_is_refused_without_a_panic() {
    let document =
        r#"{"customer_id":"c\u0041","event":"e","time":-1.5e3,"a":[1,{"x":null}],"x":"é"}"#;
    let plan = plan(&["/x", "/a/*", "/a/1/x"]);
    assert!(story(&native(), &plan, Some(document.as_bytes())).starts_with("cA ?"));
    for length in 1..document.len() {
        let found = story(&native(), &plan, Some(&document.as_bytes()[..length]));
        assert!(found.starts_with("not_json: "), "{length}: {found}");
    }
}

#[test]
fn a_missing_field_says_where_it_was_expected() {
    check(
        &native(),
        &[],
        r#"
        {} => missing_field: no customer_id: expected at /customer_id in format native
        {"customer_id":null,"event":"e","time":0} => missing_field: no customer_id: expected at /customer_id in format native
        {"customer_id":"c","time":0} => missing_field: no event: expected at /event in format native
        {"customer_id":"c","event":"e"} => missing_field: no time: expected at /time in format native
        "#,
    );
    check(
        &flockwise_codec::format::Format::builtin("segment").unwrap(),
        &[],
        r#"
        {"type":"track","timestamp":0} => missing_field: no customer_id: expected at /userId or /anonymousId in format segment
        {"userId":"u","type":"track"} => missing_field: no time: expected at /timestamp or /originalTimestamp or /sentAt in format segment
        "#,
    );
}

#[test]
fn a_field_of_another_kind_is_a_wrong_type() {
    check(
        &native(),
        &[],
        r#"
        {"customer_id":true,"event":"e","time":0} => wrong_type: customer_id is a boolean: text or an integer was expected
        {"customer_id":{},"event":"e","time":0} => wrong_type: customer_id is an object or an array: text or an integer was expected
        {"customer_id":12.5,"event":"e","time":0} => wrong_type: customer_id is a number that is not a 64-bit integer: text or an integer was expected
        {"customer_id":123456789012345678901234,"event":"e","time":0} => wrong_type: customer_id is a number that is not a 64-bit integer: text or an integer was expected
        {"customer_id":"","event":"e","time":0} => no_customer: customer_id is "", which stands for no customer: expected at /customer_id in format native
        {"customer_id":"c","event":7,"time":0} => wrong_type: event is a number: text was expected
        {"customer_id":"c","event":["e"],"time":0} => wrong_type: event is an object or an array: text was expected
        {"customer_id":"c","event":"e","time":true} => wrong_type: time is a boolean: RFC 3339 text or an epoch time was expected
        {"customer_id":"c","event":"e","time":0,"event_id":[]} => wrong_type: event_id is an object or an array: text or an integer was expected
        {"customer_id":"c","event":"e","time":0,"order_id":1.5} => wrong_type: order_id is a number that is not a 64-bit integer: text or an integer was expected
        "#,
    );
}

#[test]
fn a_customer_id_has_a_longest() {
    let document = |length: usize| {
        let id = "i".repeat(length);
        format!("{{\"customer_id\":\"{id}\",\"event\":\"e\",\"time\":0}}")
    };
    let longest = "i".repeat(LONGEST_CUSTOMER_ID);
    check_bytes(
        document(LONGEST_CUSTOMER_ID),
        &format!("{longest} ? 1970-01-01T00:00:00.000Z"),
    );
    check_bytes(
        document(LONGEST_CUSTOMER_ID + 1),
        "wrong_type: customer_id has 1025 bytes: 1 to 1024 are allowed",
    );
}

#[test]
fn a_number_too_large_to_be_added_is_out_of_range() {
    check(
        &native(),
        &["/x", "/a/*"],
        r#"
        {"x":1e16,"customer_id":"c","event":"e","time":0} => number_out_of_range: the number at /x is not within ±1e15
        {"a":[1,-1000000000000001],"customer_id":"c","event":"e","time":0} => number_out_of_range: the number at /a/* is not within ±1e15
        {"x":1e999,"customer_id":"c","event":"e","time":0} => number_out_of_range: a number out of range at line 1 column 10: it does not fit into a 64-bit float
        "#,
    );
}

#[test]
fn large_messages_are_taken_up_to_a_bound() {
    let sized = |bytes: usize| {
        let event = r#"{"customer_id":"c","event":"e","time":0,"skipped":""}"#;
        event.replace(
            "\"\"}",
            &format!("\"{}\"}}", "y".repeat(bytes - event.len())),
        )
    };
    for bytes in [1 << 20, LARGEST_EVENT] {
        check_bytes(sized(bytes), "c ? 1970-01-01T00:00:00.000Z");
    }
    for bytes in [LARGEST_EVENT + 1, 4 << 20] {
        check_bytes(
            sized(bytes),
            "too_large: more than 3145728 bytes, which is the most that is accepted",
        );
    }
}

#[test]
fn a_detail_stays_short_whatever_it_quotes() {
    let long = "z".repeat(1 << 20);
    let found = story(
        &native(),
        &plan(&[]),
        Some(format!("\"{long}\"").as_bytes()),
    );
    assert!(found.len() < 300, "{} bytes", found.len());
    assert!(
        found.ends_with("expected a JSON object at line 1 column 1048578"),
        "{found}"
    );
    let document = format!("{{\"customer_id\":\"c\",\"event\":\"e\",\"time\":\"{long}\"}}");
    let found = story(&native(), &plan(&[]), Some(document.as_bytes()));
    assert!(found.len() < 300, "{} bytes", found.len());
}

#[test]
fn depth_in_a_wanted_place_overflows_no_stack() {
    let name = "/d".repeat(300);
    let plan = plan(&[&name]);
    for depth in [300, 100_000] {
        let deep = "{\"d\":".repeat(depth) + "1" + &"}".repeat(depth);
        let found = story(&native(), &plan, Some(deep.as_bytes()));
        assert!(
            found.starts_with("not_json: not one JSON object: recursion limit exceeded at line 1"),
            "{found}"
        );
    }
}
