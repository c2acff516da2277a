//! Timestamps: the two formats of MQTT-IoT-IDS2020, and those of other public data sets.

const MICROS: i64 = 1_000_000;

/// Microseconds since 1970-01-01 UTC of `2020-02-14 16:45:36.818127` (also with `T`, or without a fraction) or of
/// `02/14/2020, 16:45:36:818127`; `None` for anything else. Digits past the sixth of a fraction are cut off.
pub fn parse_timestamp(text: &[u8]) -> Option<i64> {
    let text = text.trim_ascii();
    let (year, month, day, clock) = if text.get(2) == Some(&b'/') {
        let (date, clock) = (text.get(..10)?, text.get(10..)?);
        (date.get(6..10)?, date.get(..2)?, date.get(3..5)?, clock.strip_prefix(b",").unwrap_or(clock))
    } else {
        let date = text.get(..10)?;
        if date.get(4) != Some(&b'-') || date.get(7) != Some(&b'-') {
            return None;
        }
        (date.get(..4)?, date.get(5..7)?, date.get(8..10)?, text.get(10..)?)
    };
    let clock = clock.strip_prefix(b" ").or_else(|| clock.strip_prefix(b"T"))?;
    if text.get(2) == Some(&b'/') && text.get(5) != Some(&b'/') {
        return None;
    }
    if clock.get(2) != Some(&b':') || clock.get(5) != Some(&b':') {
        return None;
    }
    let (hour, minute, second) =
        (digits(clock.get(..2)?)?, digits(clock.get(3..5)?)?, digits(clock.get(6..8)?)?);
    let micros = match clock.get(8..)? {
        [] => 0,
        [b'.' | b':', fraction @ ..] => micros(fraction)?,
        _ => return None,
    };
    let (year, month, day) = (digits(year)?, digits(month)?, digits(day)?);
    if hour > 23
        || minute > 59
        || second > 59
        || !(1..=12).contains(&month)
        || day < 1
        || day > days_in(year, month)
    {
        return None;
    }
    let seconds = days_since_1970(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second;
    Some(seconds * MICROS + micros)
}

/// Microseconds since 1970-01-01 of a time in a format of [`parse_timestamp`], of RFC 3339, or of CIC-IDS2017 and its
/// like (day first).
pub(super) fn parse_any_timestamp(text: &str) -> Option<f64> {
    if let Some(micros) = parse_timestamp(text.as_bytes()) {
        return Some(micros as f64);
    }
    if let Ok(time) = text.parse::<jiff::Timestamp>() {
        return Some(time.as_microsecond() as f64);
    }
    let formats = ["%d/%m/%Y %H:%M:%S", "%d/%m/%Y %H:%M", "%d/%m/%Y %I:%M:%S %p", "%Y-%m-%dT%H:%M:%S%.f"];
    let parsed = formats.iter().find_map(|format| jiff::civil::DateTime::strptime(format, text).ok())?;
    Some(jiff::tz::Offset::UTC.to_timestamp(parsed).ok()?.as_microsecond() as f64)
}

fn digits(text: &[u8]) -> Option<i64> {
    text.iter().try_fold(0, |sum, &b| b.is_ascii_digit().then(|| sum * 10 + i64::from(b - b'0')))
}

fn micros(fraction: &[u8]) -> Option<i64> {
    if fraction.is_empty() || fraction.len() > 9 {
        return None;
    }
    let value = digits(fraction)?;
    let scale = |power: usize| (0..power).fold(1i64, |p, _| p * 10);
    Some(if fraction.len() <= 6 {
        value * scale(6 - fraction.len())
    } else {
        value / scale(fraction.len() - 6)
    })
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 in the proleptic Gregorian calendar; years are counted from March.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::{parse_any_timestamp, parse_timestamp};
    use proptest::prelude::*;

    #[test]
    fn both_published_formats() {
        let expected = Some(1_581_698_736_818_127);
        assert_eq!(parse_timestamp(b"2020-02-14 16:45:36.818127"), expected);
        assert_eq!(parse_timestamp(b"02/14/2020, 16:45:36:818127"), expected);
        assert_eq!(parse_timestamp(b"2020-02-14 16:45:36"), Some(1_581_698_736_000_000));
        assert_eq!(parse_timestamp(b"2020-02-14 16:45:36.5"), Some(1_581_698_736_500_000));
    }

    #[test]
    fn anything_else_is_none() {
        for text in
            ["", "timestamp", "2020-02-30 00:00:00", "2020-02-14", "14/02/2020, 16:45:36:818127", "nan"]
        {
            assert_eq!(parse_timestamp(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn formats_of_other_data_sets() {
        for text in
            ["2020-02-14 16:45:36", "14/02/2020 16:45:36", "2020-02-14T16:45:36Z", "14/02/2020 04:45:36 PM"]
        {
            assert_eq!(parse_any_timestamp(text), Some(1_581_698_736e6), "{text}");
        }
        assert_eq!(parse_any_timestamp("tcp"), None);
    }

    proptest! {
        #[test]
        fn agrees_with_jiff(micros in 0i64..4_102_444_800_000_000) {
            let time = jiff::Timestamp::from_microsecond(micros).unwrap();
            let text = time.strftime("%Y-%m-%d %H:%M:%S%.6f").to_string();
            prop_assert_eq!(parse_timestamp(text.as_bytes()), Some(micros));
            let text = time.strftime("%m/%d/%Y, %H:%M:%S:%6f").to_string();
            prop_assert_eq!(parse_timestamp(text.as_bytes()), Some(micros));
        }

        #[test]
        fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = parse_timestamp(&bytes);
        }
    }
}
