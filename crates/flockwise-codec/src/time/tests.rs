use jiff::civil::DateTime;
use proptest::prelude::*;

use super::*;

/// The naive twin: jiff's own parser, rounded down.
fn twin(text: &str) -> Option<i64> {
    let instant = text.parse::<Timestamp>().ok()?;
    Some(instant.as_nanosecond().div_euclid(1_000_000) as i64)
}

fn berlin() -> TimeZone {
    TimeZone::get("Europe/Berlin").unwrap()
}

/// Dates and times of day, most of them valid, separated or not.
fn moment() -> impl Strategy<Value = String> {
    let date = (0..=9999_i64, 0..=13_i64, 0..=32_i64);
    let clock = (0..=24_i64, 0..=60_i64, 0..=61_i64);
    let form = (
        any::<bool>(),
        any::<bool>(),
        prop::sample::select(&["T", "t", " "][..]),
    );
    (date, clock, form, 1..=3_usize).prop_map(|(date, clock, form, parts)| {
        let ((year, month, day), (hour, minute, second)) = (date, clock);
        let (dash, colon) = (if form.0 { "-" } else { "" }, if form.1 { ":" } else { "" });
        let clock = [hour, minute, second].map(|part| format!("{part:02}"));
        let clock = clock[..parts].join(colon);
        format!("{year:04}{dash}{month:02}{dash}{day:02}{}{clock}", form.2)
    })
}

fn fraction() -> impl Strategy<Value = String> {
    prop_oneof![Just(String::new()), "[.,][0-9]{1,9}"]
}

fn offset() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("Z".to_owned()),
        "z|\\+00|-00:00|\\+0000",
        "[+-](0[0-9]|1[0-9]|2[0-3]|3[0-9])(:?[0-6][0-9])?",
        "[+-]0[0-9]:[0-5][0-9]:[0-6][0-9]",
        "Z\\[UTC\\]|\\+01:00\\[Europe/Berlin\\]",
        "|X|ZZ|Z0|\\+1|\\+01:|\\+01:0",
    ]
}

proptest! {
    #[test]
    fn the_plain_form_is_read_as_the_general_parser_and_the_twin_read_it(
        (year, month, day) in (0..=9999_i64, 0..=13_i64, 0..=32_i64),
        (hour, minute, second) in (0..=24_i64, 0..=60_i64, 0..=60_i64),
        fraction in prop_oneof![Just(String::new()), "[.][0-9]{0,4}"],
        end in prop_oneof![8 => Just("Z"), 1 => Just("z"), 1 => Just("+01:00"), 1 => Just("")],
    ) {
        let text = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}{end}");
        if let Some(time_ms) = plain_time(text.as_bytes()) {
            prop_assert_eq!(Some(time_ms), twin(&text), "{}", text);
            prop_assert_eq!(Ok(time_ms), general_time(&text, None), "{}", text);
        }
        prop_assert_eq!(parse_time(&text), twin(&text), "{}", text);
    }

    #[test]
    fn every_form_that_the_twin_knows_is_read_as_it_reads_it(
        moment in moment(), fraction in fraction(), offset in offset(),
    ) {
        let text = format!("{moment}{fraction}{offset}");
        prop_assert_eq!(parse_time(&text), twin(&text), "{}", text);
    }

    #[test]
    fn the_forms_that_the_twin_does_not_know_mean_what_they_stand_for(
        moment in moment(), decimals in "[0-9]{9}", more in "[0-9]{0,20}",
        (written, meant) in prop::sample::select(&[
            ("UTC", "Z"), (" UTC", "Z"), (" utc", "Z"), (" GMT", "Z"), (" Z", "Z"), (" +00", "Z"), (" +0000", "Z"),
            (" -0330", "-03:30"), (" +05:30", "+05:30"), ("Z ", "Z"),
        ][..]),
    ) {
        let meant = format!("{moment}.{decimals}{meant}");
        for written in [format!("{moment}.{decimals}{more}{written}"), format!(" {moment}.{decimals}{written}")] {
            prop_assert_eq!(parse_time(&written), twin(&meant), "{} for {}", written, meant);
        }
    }

    #[test]
    fn a_time_without_a_zone_is_read_as_the_twin_reads_it_in_the_zone(
        moment in moment(), fraction in fraction(),
    ) {
        let (text, zone) = (format!("{moment}{fraction}"), berlin());
        prop_assert_eq!(parse_time(&text), None);
        let expected = text.parse::<DateTime>().ok().and_then(|moment| moment.to_zoned(zone.clone()).ok());
        let expected = expected.map(|zoned| zoned.timestamp().as_nanosecond().div_euclid(1_000_000) as i64);
        prop_assert_eq!(read_time(&text, Some(&zone)).ok(), expected, "{}", text);
    }

    #[test]
    fn a_local_time_in_milliseconds_is_that_which_is_written(local_ms in -62_135_596_800_000..253_402_200_000_000_i64) {
        let written = write_time(local_ms);
        let expected = read_time(written.trim_end_matches('Z'), Some(&berlin()));
        prop_assert_eq!(local_time(local_ms, Some(&berlin())), expected);
    }

    #[test]
    fn any_text_is_read_or_refused_as_the_twin_does_and_never_panics(text in "[-+0-9TZ:. ]{0,30}|\\PC{0,30}") {
        let expected = twin(&text);
        prop_assert!(expected.is_none() || parse_time(&text) == expected, "{}", text);
        let _ = read_time(&text, Some(&berlin()));
    }

    #[test]
    fn the_plain_text_is_what_the_general_printer_prints(
        time_ms in prop_oneof![any::<i64>(), -62_135_596_800_000..253_402_300_800_000_i64],
    ) {
        prop_assert_eq!(write_time(time_ms), general_text(time_ms));
    }

    #[test]
    fn what_is_written_is_read(time_ms in -62_135_596_800_000..253_402_207_200_000_i64) {
        let written = write_time(time_ms);
        prop_assert_eq!(parse_time(&written), Some(time_ms));
        let is_plain = plain_time(written.as_bytes()).is_some();
        prop_assert!(is_plain || ["31", "29"].contains(&&written[8..10]) || written.starts_with("9999"));
    }
}

#[test]
fn every_day_is_printed_as_the_general_printer_does() {
    for day in 0..2_932_000_i64 {
        let time_ms = day * 86_400_000 + day % 86_400_000;
        if let Some(text) = plain_text(time_ms) {
            assert_eq!(text, general_text(time_ms).as_bytes());
        }
    }
}

#[test]
fn the_calendar_ends_where_the_twin_says() {
    for text in [
        "9999-12-30T21:59:59.999Z",
        "9999-12-30T22:00:00.999Z",
        "9999-12-30T22:00:01Z",
        "9999-12-30T23:00:00Z",
        "9999-12-31T23:59:59Z",
        "9999-12-31T00:00:00+03:00",
        "0000-01-01T00:00:00Z",
        "-000001-12-31T23:59:59Z",
        "+010000-01-01T00:00:00Z",
    ] {
        assert_eq!(parse_time(text), twin(text), "{text}");
    }
}
