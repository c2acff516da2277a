//! Parsing of cells: which are missing, and what the others hold, with and without a schema.

use std::borrow::Cow;

use citronella_sensor::{detect::Value, feature::schema::Kind};

use super::time::{parse_any_timestamp, parse_timestamp};

/// Whether a cell holds no value: empty or `nan` in any case, spaces aside.
pub(crate) fn is_missing(cell: &[u8]) -> bool {
    let cell = cell.trim_ascii();
    cell.is_empty() || cell.eq_ignore_ascii_case(b"nan")
}

/// Parses a cell of a column whose kind the schema gives.
///
/// # Errors
/// What was expected, where the cell holds something else.
pub(super) fn parse(cell: &[u8], kind: Kind) -> Result<Value<'_>, &'static str> {
    let cell = cell.trim_ascii();
    if is_missing(cell) {
        return Ok(Value::Empty);
    }
    match kind {
        Kind::Timestamp => match parse_timestamp(cell) {
            Some(micros) => Ok(Value::Number(micros as f64)),
            None => Err("a time such as 2020-02-14 16:45:36.818127 or 02/14/2020, 16:45:36:818127"),
        },
        Kind::Text => std::str::from_utf8(cell).map(Value::Text).map_err(|_| "UTF-8 text"),
        Kind::Flag => match number(cell) {
            Some(number) if number == 0.0 || number == 1.0 => Ok(Value::Number(number)),
            _ => Err("0 or 1"),
        },
        Kind::UInt => match number(cell) {
            Some(number) if (0.0..4_294_967_296.0).contains(&number) && number.fract() == 0.0 => {
                Ok(Value::Number(number))
            }
            _ => Err("an integer below 2^32"),
        },
        Kind::Float => number(cell).map(Value::Number).ok_or("a finite number"),
    }
}

/// Parses a cell of a column without a schema: a number, a time in microseconds since 1970 where `is_time`, else text.
pub(crate) fn infer(cell: &[u8], is_time: bool) -> Value<'_> {
    let text = text(cell);
    if is_missing(text.as_bytes()) {
        return Value::Empty;
    }
    if let Ok(number) = text.parse::<f64>() {
        return Value::Number(number);
    }
    match parse_any_timestamp(text).filter(|_| is_time) {
        Some(micros) => Value::Number(micros),
        None => Value::Text(text),
    }
}

/// A cell as text without surrounding spaces; `?` where it is not UTF-8.
pub(crate) fn text(cell: &[u8]) -> &str {
    std::str::from_utf8(cell).unwrap_or("?").trim()
}

/// A column name without a byte-order mark and surrounding spaces.
pub(crate) fn column_name(name: &[u8]) -> &[u8] {
    name.strip_prefix(b"\xef\xbb\xbf").unwrap_or(name).trim_ascii()
}

/// The first 40 characters of a cell, for error messages.
pub(super) fn excerpt(cell: &[u8]) -> String {
    String::from_utf8_lossy(cell).chars().take(40).collect()
}

/// A value as a label: numbers in their shortest decimal form, `None` where it is missing.
pub(crate) fn label(value: Value<'_>) -> Option<Cow<'_, str>> {
    match value {
        Value::Empty => None,
        Value::Number(number) => Some(number.to_string().into()),
        Value::Text(text) => Some(text.into()),
        Value::Address(address) => Some(address.to_string().into()),
    }
}

fn number(cell: &[u8]) -> Option<f64> {
    if cell.len() <= 9 && cell.iter().all(u8::is_ascii_digit) {
        return Some(f64::from(cell.iter().fold(0u32, |sum, b| sum * 10 + u32::from(b - b'0'))));
    }
    std::str::from_utf8(cell).ok()?.parse().ok().filter(|n: &f64| n.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_without_a_schema() {
        assert_eq!(infer(b" nan ", false), Value::Empty);
        assert_eq!(infer(b" 1e3", false), Value::Number(1000.0));
        assert_eq!(infer(b"1970-01-01 00:00:01", true), Value::Number(1e6));
        assert_eq!(infer(b"1970-01-01 00:00:01", false), Value::Text("1970-01-01 00:00:01"));
        assert_eq!(infer(b"\xff", false), Value::Text("?"));
    }
}
