//! Documents that decode to events.

use flockwise_codec::format::Format;
use flockwise_core::pointer::Pointer;

use crate::script::{any_year, builtin, check, check_bytes, native};

#[test]
fn the_native_format_has_its_fields_at_the_top() {
    check(
        &native(),
        &["/properties/revenue"],
        r#"
        {"customer_id":"c","event":"Order","time":"2026-01-02T03:04:05Z"} => c Order 2026-01-02T03:04:05.000Z
        {"time":0,"event":"Other","customer_id":"c"} => c ? 1970-01-01T00:00:00.000Z
        {"customer_id":"c","event":"Order","time":0,"event_id":"e1","order_id":"o9","properties":{"revenue":1.5}} => c Order 1970-01-01T00:00:00.000Z id=e1 order=o9 /properties/revenue=1.5
        "#,
    );
}

#[test]
fn segment_falls_back_to_anonymous_id_type_and_other_times() {
    check(
        &builtin("segment"),
        &["/properties/revenue"],
        r#"
        {"userId":"u","anonymousId":"a","type":"track","event":"Order","timestamp":1,"sentAt":2,"messageId":"e1","properties":{"order_id":"o9","revenue":3}} => u Order 1970-01-01T00:00:01.000Z id=e1 order=o9 /properties/revenue=3
        {"anonymousId":"a","userId":null,"type":"page","sentAt":2} => a page 1970-01-01T00:00:02.000Z
        {"anonymousId":"a","type":"identify","sentAt":3,"originalTimestamp":2} => a ? 1970-01-01T00:00:02.000Z
        {"sentAt":3,"timestamp":1,"event":"Order","type":"track","anonymousId":"a","userId":"u"} => u Order 1970-01-01T00:00:01.000Z
        "#,
    );
}

#[test]
fn a_table_of_ones_own_takes_the_first_pointer_that_is_there() {
    let pointers = |texts: &[&str]| -> Vec<Pointer> {
        let pointers = texts.iter().map(|text| Pointer::parse(text).unwrap());
        pointers.collect()
    };
    let till = Format {
        customer_id: pointers(&["/card/id", "/customer", "/customers/0"]),
        event: pointers(&["/kind"]),
        time: pointers(&["/at"]),
        time_rules: any_year(),
        event_id: vec![pointers(&["/id"])],
        ..Format::empty("till")
    };
    check(
        &till,
        &[],
        r#"
        {"card":{"id":"c","customer":"x"},"customer":"d","kind":"Order","at":0,"id":17} => c ? 1970-01-01T00:00:00.000Z id=17
        {"customer":"d","card":{"id":null},"kind":"k","at":0,"id":-3} => d ? 1970-01-01T00:00:00.000Z id=-3
        {"card":[{"id":"c"}],"customer":"d","kind":"k","at":0} => d ? 1970-01-01T00:00:00.000Z
        {"customers":["e","f"],"kind":"k","at":0} => e ? 1970-01-01T00:00:00.000Z
        {"card":{},"kind":"k","at":0} => missing_field: no customer_id: expected at /card/id or /customer or /customers/0 in format till
        "#,
    );
}

#[test]
fn integers_are_ids_and_written_as_text() {
    check(
        &native(),
        &[],
        r#"
        {"customer_id":12345,"event":"e","time":0,"event_id":17,"order_id":-3} => 12345 ? 1970-01-01T00:00:00.000Z id=17 order=-3
        {"customer_id":"12345","event":"e","time":0,"event_id":"17","order_id":"-3"} => 12345 ? 1970-01-01T00:00:00.000Z id=17 order=-3
        {"customer_id":1,"event":"e","time":0,"event_id":18446744073709551615} => 1 ? 1970-01-01T00:00:00.000Z id=18446744073709551615
        "#,
    );
}

#[test]
fn an_empty_value_or_a_placeholder_is_absent_and_the_next_pointer_is_tried() {
    check(
        &builtin("segment"),
        &["/properties/coupon"],
        r#"
        {"userId":"","anonymousId":"an-1","type":"page","timestamp":1} => an-1 page 1970-01-01T00:00:01.000Z
        {"anonymousId":"an-1","userId":" \t","type":"page","timestamp":1} => an-1 page 1970-01-01T00:00:01.000Z
        {"userId":"undefined","anonymousId":"an-1","type":"page","timestamp":1} => an-1 page 1970-01-01T00:00:01.000Z
        {"userId":0,"anonymousId":"an-1","type":"page","timestamp":1} => an-1 page 1970-01-01T00:00:01.000Z
        {"userId":"{{user.id}}","anonymousId":" an-1 ","type":"page","timestamp":1} => an-1 page 1970-01-01T00:00:01.000Z
        {"userId":"u","event":"","type":"page","timestamp":"","sentAt":2} => u page 1970-01-01T00:00:02.000Z
        {"userId":"u","type":"page","timestamp":1,"messageId":"","properties":{"order_id":"0","coupon":"  "}} => u page 1970-01-01T00:00:01.000Z
        {"userId":"u","type":"page","timestamp":1,"messageId":" e1 ","properties":{"order_id":null}} => u page 1970-01-01T00:00:01.000Z id=e1
        "#,
    );
}

#[test]
fn values_are_found_at_nested_pointers_stars_and_places() {
    check(
        &native(),
        &[
            "/p/a",
            "/p/list/*/price",
            "/p/list/1/price",
            "/p/grid/*/*",
            "/0",
            "/p/list/01",
        ],
        r#"
        {"p":{"a":true,"list":[{"price":1},{"price":2},{"x":3},4]},"customer_id":"c","event":"e","time":0} => c ? 1970-01-01T00:00:00.000Z /p/a=true /p/list/*/price=1,2 /p/list/1/price=2
        {"p":{"grid":[[1,"b"],[],[null,{}],5]},"0":"zero","customer_id":"c","event":"e","time":0} => c ? 1970-01-01T00:00:00.000Z /p/grid/*/*=1,"b",[] /0="zero"
        {"p":{"list":{"1":{"price":7},"*":{"price":8}}},"customer_id":"c","event":"e","time":0} => c ? 1970-01-01T00:00:00.000Z /p/list/1/price=7
        {"p":[{"a":1}],"customer_id":"c","event":"e","time":0} => c ? 1970-01-01T00:00:00.000Z
        {"p":null,"customer_id":"c","event":"e","time":0} => c ? 1970-01-01T00:00:00.000Z
        "#,
    );
}

#[test]
fn an_element_wanted_by_its_place_is_still_one_of_all() {
    check(
        &native(),
        &["/l/0", "/l/*", "/m/0/a/*", "/m/*/a/1", "/m/*/b"],
        r#"
        {"l":[1,2],"m":[{"a":[3,4],"b":5},{"a":[6,7],"b":8}],"customer_id":"c","event":"e","time":0} => c ? 1970-01-01T00:00:00.000Z /l/0=1 /l/*=1,2 /m/0/a/*=3,4 /m/*/a/1=4,7 /m/*/b=5,8
        "#,
    );
}

#[test]
fn escapes_in_names_and_texts_mean_what_they_stand_for() {
    check(
        &native(),
        &["/a~1b/~0c", "/"],
        r#"
        {"a/b":{"~c":1},"":2,"customer_id":"c","event":"e","time":0} => c ? 1970-01-01T00:00:00.000Z /a~1b/~0c=1 /=2
        {"\u0061\/b":{"\u007ec":"\u0041\n\ud83d\ude00"},"cust\u006fmer_id":"\u0041\u00e9","event":"\u004frder","time":0} => Aé Order 1970-01-01T00:00:00.000Z /a~1b/~0c="A\n😀"
        "#,
    );
}

#[test]
fn of_repeated_names_the_last_that_is_not_null_counts() {
    check(
        &native(),
        &["/x", "/a/*"],
        r#"
        {"customer_id":"a","customer_id":"b","event":"e","time":0,"x":1,"x":2} => b ? 1970-01-01T00:00:00.000Z /x=2
        {"customer_id":"a","customer_id":null,"event":"e","time":0,"x":1,"x":null} => a ? 1970-01-01T00:00:00.000Z /x=1
        {"a":[1],"a":[2],"customer_id":"a","event":"e","time":0} => a ? 1970-01-01T00:00:00.000Z /a/*=1,2
        "#,
    );
}

#[test]
fn what_nobody_wants_may_be_deep_long_or_out_of_range() {
    let deep = "[".repeat(100_000) + &"]".repeat(100_000);
    let long = "x".repeat(1 << 20);
    let wanted = r#""customer_id":"c","event":"e","time":0"#;
    let event = "c ? 1970-01-01T00:00:00.000Z";
    check_bytes(format!("{{\"skipped\":{deep},{wanted}}}"), event);
    check_bytes(format!("{{\"skipped\":\"{long}\",{wanted}}}"), event);
    check_bytes(
        format!("{{\"skipped\":[1e999,1e16,\"\\ud800\"],{wanted}}}"),
        event,
    );
    check_bytes(format!(" \r\n\t{{{wanted}}} \n\n"), event);
    check_bytes(
        format!("{{\"x\":{deep},{wanted}}}"),
        "c ? 1970-01-01T00:00:00.000Z /x=[]",
    );
    check_bytes(
        format!("{{\"a\":{deep},{wanted}}}"),
        "c ? 1970-01-01T00:00:00.000Z /a/*=[]",
    );
    check_bytes(
        format!("{{\"x\":1e15,{wanted}}}"),
        "c ? 1970-01-01T00:00:00.000Z /x=1000000000000000",
    );
}
