//! The times that real systems write: each is read as what it means, or refused with the true reason.

use flockwise_codec::format::{Format, TimeRules};
use flockwise_codec::time::write_time;
use jiff::tz::TimeZone;

use crate::script::{native, plan, story};

/// Decodes one event for each time, which is given as JSON, and compares its time or its reject with the expected text.
fn check(format: &Format, times: &[(&str, &str)]) {
    for (time, expected) in times {
        let document = format!(r#"{{"customer_id":"c","event":"e","time":{time}}}"#);
        let found = story(format, &plan(&[]), Some(document.as_bytes()));
        let found = found.strip_prefix("c ? ").unwrap_or(&found);
        let found = found.strip_prefix("bad_time: ").unwrap_or(found);
        assert_eq!(found, *expected, "of {time}");
    }
}

/// The native format with its own limit.
fn limited() -> Format {
    Format::builtin("native").unwrap()
}

/// A format of a user's own, in which times without a zone are those of a place.
fn till(zone: Option<&str>) -> Format {
    Format {
        name: "till".to_owned(),
        time_rules: TimeRules {
            zone: zone.map(|name| TimeZone::get(name).unwrap()),
            ..TimeRules::default()
        },
        ..limited()
    }
}

#[test]
fn rfc_3339_is_read_whole() {
    check(
        &limited(),
        &[
            (r#""2026-01-02T03:04:05.678Z""#, "2026-01-02T03:04:05.678Z"),
            (r#""2026-01-02T03:04:05Z""#, "2026-01-02T03:04:05.000Z"),
            (r#""2026-01-02t03:04:05z""#, "2026-01-02T03:04:05.000Z"),
            (r#""2026-01-02 03:04:05.5Z""#, "2026-01-02T03:04:05.500Z"),
            (r#""2026-01-02T03:04:05+02:30""#, "2026-01-02T00:34:05.000Z"),
            (r#""2026-01-02T03:04:05-00:00""#, "2026-01-02T03:04:05.000Z"),
            (
                r#""2026-03-01T10:00:00.1234567891Z""#,
                "2026-03-01T10:00:00.123Z",
            ),
            (
                r#""2026-03-01T10:00:00.999999999999999999999999Z""#,
                "2026-03-01T10:00:00.999Z",
            ),
            (r#""2024-02-29T23:59:59.9999Z""#, "2024-02-29T23:59:59.999Z"),
            (r#""2016-12-31T23:59:60Z""#, "2016-12-31T23:59:59.000Z"),
            (
                r#""2016-12-31T15:59:60.25-08:00""#,
                "2016-12-31T23:59:59.250Z",
            ),
            (
                r#""1937-01-01T12:00:27.87+00:20""#,
                "time `1937-01-01T12:00:27.87+00:20` is before `time.earliest` (2000-01-01T00:00:00.000Z)",
            ),
        ],
    );
}

/// As their manuals and exports show them.
#[test]
fn what_real_systems_write_is_read() {
    check(
        &limited(),
        &[
            // Segment and RudderStack: JavaScript's toISOString, and Go's RFC3339Nano.
            (r#""2026-03-01T10:00:00.000Z""#, "2026-03-01T10:00:00.000Z"),
            (
                r#""2026-03-01T11:00:00.123456789+01:00""#,
                "2026-03-01T10:00:00.123Z",
            ),
            // Snowplow's enriched event, once its zone is written.
            (
                r#""2026-03-01 10:00:00.123 UTC""#,
                "2026-03-01T10:00:00.123Z",
            ),
            // GA4's event_timestamp, as a number and as BigQuery's JSON export writes an INT64.
            ("1772359200123456", "2026-03-01T10:00:00.123Z"),
            (r#""1772359200123456""#, "2026-03-01T10:00:00.123Z"),
            // BigQuery's TIMESTAMP, with and without a fraction.
            (r#""2026-03-01 10:00:00 UTC""#, "2026-03-01T10:00:00.000Z"),
            (
                r#""2026-03-01 10:00:00.123456 UTC""#,
                "2026-03-01T10:00:00.123Z",
            ),
            // Stripe's created.
            ("1772359200", "2026-03-01T10:00:00.000Z"),
            // Shopify's created_at and processed_at.
            (r#""2026-03-01T05:00:00-05:00""#, "2026-03-01T10:00:00.000Z"),
            // PostgreSQL's timestamptz, and one of a place with half hours.
            (r#""2026-03-01 10:00:00+00""#, "2026-03-01T10:00:00.000Z"),
            (
                r#""2026-03-01 11:00:00.123456+01""#,
                "2026-03-01T10:00:00.123Z",
            ),
            (r#""2026-03-01 15:30:00+05:30""#, "2026-03-01T10:00:00.000Z"),
            // Snowflake, Rails and Ruby.
            (r#""2026-03-01 10:00:00.000 Z""#, "2026-03-01T10:00:00.000Z"),
            (
                r#""2026-03-01 02:00:00.000 -0800""#,
                "2026-03-01T10:00:00.000Z",
            ),
            (r#""2026-03-01 10:00:00 +0000""#, "2026-03-01T10:00:00.000Z"),
            // Java's Instant, OffsetDateTime without seconds, and ZonedDateTime.
            (r#""2026-03-01T10:00Z""#, "2026-03-01T10:00:00.000Z"),
            (r#""2026-03-01T10:00:00Z[UTC]""#, "2026-03-01T10:00:00.000Z"),
            (
                r#""2026-03-01T11:00:00+01:00[Europe/Berlin]""#,
                "2026-03-01T10:00:00.000Z",
            ),
            // Jackson's and Salesforce's offset without a colon; Python's isoformat; .NET's seven decimals.
            (
                r#""2026-03-01T10:00:00.000+0000""#,
                "2026-03-01T10:00:00.000Z",
            ),
            (
                r#""2026-03-01T10:00:00.123456+00:00""#,
                "2026-03-01T10:00:00.123Z",
            ),
            (
                r#""2026-03-01T11:00:00.1234567+01:00""#,
                "2026-03-01T10:00:00.123Z",
            ),
            // ISO 8601's basic format, with a comma too; HTTP-like GMT.
            (r#""20260301T100000Z""#, "2026-03-01T10:00:00.000Z"),
            (r#""20260301T110000,5+0100""#, "2026-03-01T10:00:00.500Z"),
            (r#""2026-03-01 10:00:00 GMT""#, "2026-03-01T10:00:00.000Z"),
            // Spaces around, from a CSV file.
            (r#"" 2026-03-01T10:00:00Z ""#, "2026-03-01T10:00:00.000Z"),
        ],
    );
}

#[test]
fn epochs_are_told_apart_by_size_and_may_be_quoted() {
    for (number, expected) in [
        ("1772359200", "2026-03-01T10:00:00.000Z"),
        ("1772359200.123", "2026-03-01T10:00:00.123Z"),
        ("1772359200123", "2026-03-01T10:00:00.123Z"),
        ("1772359200123.999", "2026-03-01T10:00:00.123Z"),
        ("1772359200123456", "2026-03-01T10:00:00.123Z"),
        ("1.7723592e9", "2026-03-01T10:00:00.000Z"),
        ("1.772359200123E12", "2026-03-01T10:00:00.123Z"),
        ("99999999999", "5138-11-16T09:46:39.000Z"),
        ("99999999999999", "5138-11-16T09:46:39.999Z"),
        ("946684800", "2000-01-01T00:00:00.000Z"),
    ] {
        check(
            &limited(),
            &[
                (number, expected),
                (&format!("\"{number}\""), expected),
                (&format!("\" {number} \""), expected),
            ],
        );
    }
}

#[test]
fn seconds_with_a_fraction_keep_their_milliseconds() {
    for ms in (1_700_000_000_000_i64..1_700_100_000_000).step_by(49_999) {
        let number = format!("{}.{:03}", ms / 1000, ms % 1000);
        check(&limited(), &[(&number, &write_time(ms))]);
    }
}

#[test]
fn an_earlier_limit_accepts_times_around_1970_and_before() {
    check(
        &native(),
        &[
            ("0", "1970-01-01T00:00:00.000Z"),
            ("-1", "1969-12-31T23:59:59.000Z"),
            ("-0.0005", "1969-12-31T23:59:59.999Z"),
            ("20513", "1970-01-01T05:41:53.000Z"),
            ("20260301", "1970-08-23T11:51:41.000Z"),
            ("100000000000", "1973-03-03T09:46:40.000Z"),
            ("100000000000000", "1973-03-03T09:46:40.000Z"),
            (
                r#""1937-01-01T12:00:27.87+00:20""#,
                "1937-01-01T11:40:27.870Z",
            ),
            (r#""1969-12-31T23:59:59.9999Z""#, "1969-12-31T23:59:59.999Z"),
            (
                r#""1890-01-01 00:00:00+00:53:28""#,
                "1889-12-31T23:06:32.000Z",
            ),
        ],
    );
}

#[test]
fn a_number_that_is_no_epoch_is_refused_with_what_it_looks_like() {
    const EXPECTED: &str =
        "RFC 3339 text or an epoch time in seconds, milliseconds or microseconds was expected";
    const EARLIEST: &str = "before `time.earliest` (2000-01-01T00:00:00.000Z)";
    for (number, alike, as_epoch) in [
        // Debezium's Date, and days with a fraction.
        (
            "20513",
            "days since 1970 (2026-03-01)",
            "1970-01-01T05:41:53.000Z",
        ),
        (
            "20513.5",
            "days since 1970 (2026-03-01)",
            "1970-01-01T05:41:53.500Z",
        ),
        // GA4's event_date.
        ("20260301", "a date YYYYMMDD", "1970-08-23T11:51:41.000Z"),
        (
            "202603011000",
            "a date and time YYYYMMDDhhmm",
            "1976-06-02T22:36:51.000Z",
        ),
        (
            "46082",
            "a spreadsheet's number of a day (2026-03-01)",
            "1970-01-01T12:48:02.000Z",
        ),
        ("2026", "a year", "1970-01-01T00:33:46.000Z"),
        ("0", "a time that was never set", "1970-01-01T00:00:00.000Z"),
    ] {
        let expected = format!(
            "looks like {alike}: {EXPECTED}; as an epoch time it is {as_epoch}, {EARLIEST}"
        );
        check(
            &limited(),
            &[(number, &format!("time {number} {expected}"))],
        );
        check(
            &limited(),
            &[(
                &format!("\"{number}\""),
                &format!("time `{number}` {expected}"),
            )],
        );
    }
    for (number, alike) in [
        ("20260301100000", "a date and time YYYYMMDDhhmmss"),
        ("20260301100000123", "a date and time YYYYMMDDhhmmssSSS"),
        ("1767323045678901234", "an epoch time in nanoseconds"),
        (
            "639079200000000000",
            "ticks of .NET (100 ns since the year 1)",
        ),
        (
            "134168328000000000",
            "a Windows file time (100 ns since 1601)",
        ),
    ] {
        check(
            &limited(),
            &[(
                number,
                &format!("time {number} looks like {alike}: {EXPECTED}"),
            )],
        );
    }
    check(
        &limited(),
        &[
            (
                "12345.5",
                "time 12345.5 looks like days since 1970 (2003-10-20): RFC 3339 text or an epoch time in seconds, milliseconds or microseconds was expected; as an epoch time it is 1970-01-01T03:25:45.500Z, before `time.earliest` (2000-01-01T00:00:00.000Z)",
            ),
            (
                "7",
                "time 7 is 1970-01-01T00:00:07.000Z, before `time.earliest` (2000-01-01T00:00:00.000Z)",
            ),
            (
                "-1",
                "time -1 is 1969-12-31T23:59:59.000Z, before `time.earliest` (2000-01-01T00:00:00.000Z)",
            ),
            (
                "946684799.999",
                "time 946684799.999 is 1999-12-31T23:59:59.999Z, before `time.earliest` (2000-01-01T00:00:00.000Z)",
            ),
            (
                "20260230",
                "time 20260230 is 1970-08-23T11:50:30.000Z, before `time.earliest` (2000-01-01T00:00:00.000Z)",
            ),
            (
                "1e17",
                "time 1e17 is no epoch time in seconds, milliseconds or microseconds",
            ),
            (
                "-1e300",
                "time -1e300 is no epoch time in seconds, milliseconds or microseconds",
            ),
        ],
    );
}

#[test]
fn a_text_is_refused_with_the_true_reason() {
    const FORM: &str =
        "is not a time: RFC 3339 text, as in 2026-01-02T03:04:05Z, or an epoch time was expected";
    const ZONE: &str = "does not end in a known zone: Z, UTC, GMT or an offset such as +01:00 was expected after the time of day";
    const EARLY: &str = "is before `time.earliest` (2000-01-01T00:00:00.000Z)";
    const END: &str = "is beyond the calendar, which ends at 9999-12-30T22:00:00Z";
    const DATE: &str =
        "is a date without a time of day: a time as in 2026-01-02T03:04:05Z was expected";
    const WEEK: &str =
        "is an ISO week date: year, month and day were expected, as in 2026-01-02T03:04:05Z";
    for (text, reason) in [
        (
            "2026-02-30T00:00:00Z",
            "names a day that does not exist: month 2 of 2026 has no day 30",
        ),
        (
            "2026-04-31T00:00:00Z",
            "names a day that does not exist: month 4 of 2026 has no day 31",
        ),
        (
            "2026-02-29 10:00:00",
            "names a day that does not exist: month 2 of 2026 has no day 29",
        ),
        (
            "2026-02-30",
            "names a day that does not exist: month 2 of 2026 has no day 30",
        ),
        ("2026-03-01T25:00:00Z", "has hour 25: 0 to 23 was expected"),
        ("2026-03-01T24:00:00Z", "has hour 24: 0 to 23 was expected"),
        (
            "2026-03-01T10:60:00Z",
            "has minute 60: 0 to 59 was expected",
        ),
        (
            "2026-03-01T10:00:61Z",
            "has second 61: 0 to 60 was expected",
        ),
        ("2026-13-01T10:00:00Z", "has month 13: 1 to 12 was expected"),
        ("2026-03-32T10:00:00Z", "has day 32: 1 to 31 was expected"),
        ("9999-12-31T23:59:59Z", END),
        ("+275760-09-13T00:00:00.000Z", END),
        // The zero time of Go and .NET, and of MySQL.
        ("0001-01-01T00:00:00Z", EARLY),
        ("0000-00-00 00:00:00", "has month 0: 1 to 12 was expected"),
        ("1970-01-01T00:00:00Z", EARLY),
        ("2026-03-01", DATE),
        ("2026-W09-7T10:00:00Z", WEEK),
        ("2026W097", WEEK),
        ("2026-060T10:00:00Z", FORM),
        ("2026-03-01T10:00:00 CET", ZONE),
        ("2026-03-01T10:00:00[Europe/Berlin]", ZONE),
        ("2026-03-01T10:00:00+24:00", ZONE),
        ("2026-03-01T10:00:00+1", ZONE),
        ("2026-03-01T10:00:00.Z", FORM),
        ("2026-3-1T10:00:00Z", FORM),
        ("03/01/2026 10:00:00", FORM),
        ("Sun, 01 Mar 2026 10:00:00 GMT", FORM),
        ("/Date(1772359200000)/", FORM),
        ("yesterday", FORM),
        ("infinity", FORM),
        ("NaN", FORM),
    ] {
        check(
            &limited(),
            &[(&format!("\"{text}\""), &format!("time `{text}` {reason}"))],
        );
    }
}

#[test]
fn a_detail_quotes_at_most_forty_characters() {
    let quoted = "é".repeat(40);
    let reason =
        "is not a time: RFC 3339 text, as in 2026-01-02T03:04:05Z, or an epoch time was expected";
    check(
        &limited(),
        &[(
            &format!("\"{quoted}é\""),
            &format!("time `{quoted}`… {reason}"),
        )],
    );
    check(
        &limited(),
        &[(
            &format!("\"{quoted}\""),
            &format!("time `{quoted}` {reason}"),
        )],
    );
}

#[test]
fn a_time_without_a_zone_says_what_to_set() {
    check(
        &till(None),
        &[
            // WooCommerce's date_created_gmt, and MySQL and Snowplow.
            (
                r#""2026-03-01T10:00:00""#,
                "time `2026-03-01T10:00:00` has no zone: set `time_zone` in [format.till], such as \"Europe/Berlin\" or \"UTC\"",
            ),
            (
                r#""2026-03-01 10:00:00.123""#,
                "time `2026-03-01 10:00:00.123` has no zone: set `time_zone` in [format.till], such as \"Europe/Berlin\" or \"UTC\"",
            ),
        ],
    );
    check(
        &limited(),
        &[(
            r#""2026-03-01T10:00:00""#,
            "time `2026-03-01T10:00:00` has no zone: the format native has none either; declare a [format.NAME] of your own with `time_zone`, such as \"Europe/Berlin\" or \"UTC\"",
        )],
    );
}

#[test]
fn a_time_without_a_zone_is_read_in_that_of_the_format() {
    check(
        &till(Some("UTC")),
        &[
            // WooCommerce's date_created_gmt; Snowplow's collector_tstamp; MySQL's DATETIME; Matomo's server time.
            (r#""2026-03-01T10:00:00""#, "2026-03-01T10:00:00.000Z"),
            (r#""2026-03-01 10:00:00.123""#, "2026-03-01T10:00:00.123Z"),
            (r#""2026-03-01 10:00:00""#, "2026-03-01T10:00:00.000Z"),
            (r#""2026-03-01 10:00""#, "2026-03-01T10:00:00.000Z"),
        ],
    );
    check(
        &till(Some("Europe/Berlin")),
        &[
            (r#""2026-03-01T10:00:00""#, "2026-03-01T09:00:00.000Z"),
            (r#""2026-07-01 10:00:00.5""#, "2026-07-01T08:00:00.500Z"),
            // The zone of the text wins.
            (r#""2026-03-01T10:00:00Z""#, "2026-03-01T10:00:00.000Z"),
            (r#""2026-03-01 10:00:00-05""#, "2026-03-01T15:00:00.000Z"),
            ("1772359200", "2026-03-01T10:00:00.000Z"),
            // Clocks skip 02:00 to 03:00: read with the offset from before, as 03:30.
            (r#""2026-03-29T02:30:00""#, "2026-03-29T01:30:00.000Z"),
            (r#""2026-03-29T03:30:00""#, "2026-03-29T01:30:00.000Z"),
            // Clocks show 02:00 to 03:00 twice: the first time.
            (r#""2026-10-25T02:30:00""#, "2026-10-25T00:30:00.000Z"),
            (r#""2026-10-25T03:30:00""#, "2026-10-25T02:30:00.000Z"),
            (
                r#""2026-03-01""#,
                "time `2026-03-01` is a date without a time of day: a time as in 2026-01-02T03:04:05Z was expected",
            ),
        ],
    );
    check(
        &till(Some("America/New_York")),
        &[
            (r#""2026-03-08T02:30:00""#, "2026-03-08T07:30:00.000Z"),
            (r#""2026-11-01T01:30:00""#, "2026-11-01T05:30:00.000Z"),
            (
                r#""1999-12-31T18:59:59.999""#,
                "time `1999-12-31T18:59:59.999` is before `time.earliest` (2000-01-01T00:00:00.000Z)",
            ),
            (r#""1999-12-31T19:00:00""#, "2000-01-01T00:00:00.000Z"),
        ],
    );
}
