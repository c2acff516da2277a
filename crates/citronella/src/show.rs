//! Results on stdout: tables, formatted numbers, JSON documents.

use std::io::{self, Write};

use anyhow::Result;
use comfy_table::{CellAlignment, LineStyle, Table, TableStyle, presets};
use serde::Serialize;

/// Horizontal rules above the header, below it and after the last row.
const RULED: TableStyle = TableStyle::new()
    .top_border(LineStyle::none().fill('─').junction('─'))
    .header_separator(LineStyle::none().fill('─').junction('─'))
    .bottom_border(LineStyle::none().fill('─').junction('─'));

/// A table with text in the first column and numbers, aligned right, in the others.
pub(crate) fn table(columns: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(RULED).set_header(columns);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// A table of names and values, without a header.
pub(crate) fn pairs() -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table
}

/// Prints a table and an empty line.
pub(crate) fn print(table: &Table) -> Result<()> {
    line(&format!("{table}\n"))
}

/// Prints a line. A closed stdout is an error, not a panic.
pub(crate) fn line(text: &str) -> Result<()> {
    Ok(writeln!(io::stdout().lock(), "{text}")?)
}

/// Prints one JSON document.
pub(crate) fn json<T: Serialize>(document: &T) -> Result<()> {
    line(&serde_json::to_string_pretty(document)?)
}

/// Formats `1234567` as `1,234,567`.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Formats nanoseconds since 1970 as `2020-02-14 16:45:36.818127 UTC`.
pub(crate) fn time(nanos: i64) -> String {
    match jiff::Timestamp::from_nanosecond(nanos.into()) {
        Ok(time) => time.strftime("%Y-%m-%d %H:%M:%S%.6f UTC").to_string(),
        Err(_) => format!("{nanos} ns"),
    }
}

/// Formats a share as a percentage with two decimals. Only exactly 0 and 1 become 0.00 % and 100.00 %.
pub(crate) fn percent(share: f64) -> String {
    match share {
        share if share < 1.0 && share > 0.999_95 => "> 99.99 %".to_owned(),
        share if share > 0.0 && share < 0.000_05 => "< 0.01 %".to_owned(),
        share => format!("{:.2} %", share * 100.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn count_separates_thousands() {
        assert_eq!([0, 999, 1000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn percent_never_rounds_to_zero_or_one() {
        assert_eq!(
            [1.0, 0.999_99, 0.5, 0.000_01, 0.0].map(percent),
            ["100.00 %", "> 99.99 %", "50.00 %", "< 0.01 %", "0.00 %"]
        );
    }
}
