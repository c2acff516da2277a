//! JSON values as Markdown: plain values and lists of objects as tables, objects as sections.

use std::fmt::Write;

use serde_json::{Map, Value};

use crate::{dataset::NORMAL, flows::UNKNOWN};

/// Rows of a table beyond which the rest is only counted.
const MAX_ROWS: usize = 64;

/// Labels of keys whose name in the file is not self-explanatory.
const LABELS: [(&str, &str); 13] = [
    ("attack_recall", "recall"),
    ("beside_attack", "share of benign windows from attacking hosts"),
    ("ceilings", "ceilings (log-odds)"),
    ("false_alerts", "false positives"),
    ("false_positive_rate_upper_95", "FPR, upper bound 95 %"),
    ("held_out", "held out"),
    ("highest", "highest benign scores"),
    ("leave_one_recording_out", "leave-one-recording-out"),
    ("macro_f1", "macro-F1"),
    ("masked", "masking probability"),
    ("median_packets", "median packets to detection"),
    ("recall_at_fpr_1e3", "recall at FPR 1e-3"),
    ("without", "excluded columns"),
];

/// Renders an object; `level` is the heading level of its sections.
pub(super) fn document(text: &mut String, object: &Map<String, Value>, level: usize) {
    let is_plain = |value: &Value| plain(value).is_some();
    let values: Vec<_> = object.iter().filter(|(_, value)| is_plain(value)).collect();
    if !values.is_empty() {
        let row = |(name, value): &(&String, &Value)| vec![label(name), plain(value).unwrap_or_default()];
        table(text, &["", ""], values.iter().map(row));
        *text += "\n";
    }
    for (name, value) in object.iter().filter(|(_, value)| !is_plain(value)) {
        let _ = writeln!(text, "{} {}\n", "#".repeat(level.min(6)), label(name));
        match value {
            Value::Object(inner) if is_confusion(inner) => confusion(text, inner),
            Value::Object(inner) => document(text, inner, level + 1),
            Value::Array(items) => list(text, items),
            _ => {}
        }
    }
}

/// A table of a list of objects, with the union of their keys as columns.
fn list(text: &mut String, items: &[Value]) {
    let rows: Vec<Map<String, Value>> = items.iter().map(|item| flat(item, "")).collect();
    let mut columns: Vec<&String> = Vec::new();
    for name in rows.iter().flat_map(Map::keys) {
        if !columns.contains(&name) {
            columns.push(name);
        }
    }
    let names: Vec<String> = columns.iter().map(|name| label(name)).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let cell = |row: &Map<String, Value>, name: &String| row.get(name).and_then(plain).unwrap_or_default();
    table(
        text,
        &names,
        rows.iter().take(MAX_ROWS).map(|row| columns.iter().map(|name| cell(row, name)).collect()),
    );
    if rows.len() > MAX_ROWS {
        let _ = writeln!(text, "\nand {} more.", rows.len() - MAX_ROWS);
    }
    *text += "\n";
    for (item, row) in items.iter().zip(&rows) {
        if let Some(matrix) = find_confusion(item) {
            let name = row.values().find_map(|value| value.as_str()).unwrap_or_default();
            let _ = writeln!(text, "{name}, confusion matrix (rows: truth, columns: verdict):\n");
            confusion(text, matrix);
        }
    }
}

/// An item's plain values and those of its inner objects, without lists of objects.
pub(super) fn flat(item: &Value, prefix: &str) -> Map<String, Value> {
    let mut all = Map::new();
    let Value::Object(object) = item else {
        all.insert("value".to_owned(), item.clone());
        return all;
    };
    if is_confusion(object) {
        return all;
    }
    for (name, value) in object {
        match value {
            Value::Object(_) => all.extend(flat(value, name)),
            value if plain(value).is_some() => {
                let is_taken = all.contains_key(name);
                all.insert(if is_taken { format!("{prefix} {name}") } else { name.clone() }, value.clone());
            }
            _ => {}
        }
    }
    all
}

fn find_confusion(item: &Value) -> Option<&Map<String, Value>> {
    let object = item.as_object()?;
    if is_confusion(object) {
        return Some(object);
    }
    object.values().find_map(find_confusion)
}

fn is_confusion(object: &Map<String, Value>) -> bool {
    object.get("classes").is_some_and(Value::is_array) && object.get("counts").is_some_and(Value::is_array)
}

/// Truth by verdict, without classes that occur in neither; rows without a verdict count as unknown.
fn confusion(text: &mut String, object: &Map<String, Value>) {
    let array = |name: &str| object.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
    let classes: Vec<String> =
        array("classes").iter().map(|c| c.as_str().unwrap_or_default().to_owned()).collect();
    let counts: Vec<Vec<u64>> = array("counts")
        .iter()
        .map(|row| row.as_array().into_iter().flatten().map(|n| n.as_u64().unwrap_or_default()).collect())
        .collect();
    let count = |row: usize, column: usize| {
        counts.get(row).and_then(|row| row.get(column)).copied().unwrap_or_default()
    };
    let all = 0..classes.len();
    let occurs = |class: &usize| all.clone().any(|other| count(*class, other) + count(other, *class) > 0);
    let shown: Vec<usize> = all.clone().filter(occurs).collect();
    let unknown: Vec<u64> = array("no_verdict").iter().map(|n| n.as_u64().unwrap_or_default()).collect();
    let has_unknown = unknown.iter().any(|n| *n > 0);
    let name = |class: &usize| classes.get(*class).cloned().unwrap_or_else(|| NORMAL.to_owned());
    let header = std::iter::once(String::new()).chain(shown.iter().map(name));
    let header: Vec<String> = header.chain(has_unknown.then(|| UNKNOWN.to_owned())).collect();
    let header: Vec<&str> = header.iter().map(String::as_str).collect();
    let row = |class: &usize| {
        let counts = shown.iter().map(|other| count(*class, *other));
        let unknown = has_unknown.then(|| unknown.get(*class).copied().unwrap_or_default());
        std::iter::once(name(class)).chain(counts.chain(unknown).map(|n| n.to_string())).collect()
    };
    table(text, &header, shown.iter().map(row));
    *text += "\n";
}

/// A scalar or a list of scalars as text; `None` for anything else.
fn plain(value: &Value) -> Option<String> {
    match value {
        Value::Null => Some("–".to_owned()),
        Value::Bool(is) => Some(if *is { "yes" } else { "no" }.to_owned()),
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(match number.as_f64() {
            Some(float) if number.is_f64() => short(float),
            _ => number.to_string(),
        }),
        Value::Array(items) if items.len() <= 32 => {
            let items: Option<Vec<String>> =
                items.iter().map(|item| if item.is_array() { None } else { plain(item) }).collect();
            match items {
                Some(items) => Some(items.join(", ")),
                None => sizes(value),
            }
        }
        Value::Array(_) => sizes(value),
        _ => None,
    }
}

/// The size of a long list of numbers, or of a list of such lists.
fn sizes(value: &Value) -> Option<String> {
    let items = value.as_array()?;
    if items.iter().all(Value::is_number) {
        return Some(format!("{} numbers", items.len()));
    }
    let inner: Option<Vec<usize>> = items
        .iter()
        .map(|item| item.as_array().filter(|inner| inner.iter().all(Value::is_number)).map(Vec::len))
        .collect();
    inner.map(|sizes| format!("{} lists of {} numbers", items.len(), sizes.into_iter().max().unwrap_or(0)))
}

/// At most six significant digits; a value below 1 is never rounded to 1.
fn short(number: f64) -> String {
    if number == 0.0 || !number.is_finite() {
        return number.to_string();
    }
    let digits = (5 - number.abs().log10().floor() as i32).clamp(0, 12) as usize;
    let text = format!("{number:.digits$}");
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    if text == "1" && number != 1.0 { "> 0.99999".to_owned() } else { text.to_owned() }
}

/// A key as a label.
fn label(name: &str) -> String {
    let known = LABELS.iter().find(|(key, _)| *key == name);
    known.map_or_else(|| name.replace('_', " "), |(_, label)| (*label).to_owned())
}

/// Writes a Markdown table.
pub(super) fn table(text: &mut String, columns: &[&str], rows: impl Iterator<Item = Vec<String>>) {
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let escaped = |cell: &str| cell.replace('|', "\\|").replace(['\n', '\r'], " ");
    *text += &line(&columns.iter().map(|name| escaped(name)).collect::<Vec<_>>());
    *text += &format!("|{}\n", "---|".repeat(columns.len()));
    for row in rows {
        *text += &line(&row.iter().map(|cell| escaped(cell)).collect::<Vec<_>>());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn documents_become_tables_and_matrices() {
        let confusion =
            json!({ "classes": ["normal", "flood", "scan"], "counts": [[9, 1, 0], [0, 5, 0], [0, 0, 0]] });
        let metrics = json!({
            "seeds": [1, 2],
            "scores": [[0.1, 0.2], [0.3, 0.4]],
            "leave_one_recording_out": [
                { "held_out": "run-1", "figures": { "macro_f1": 0.999_999_9, "flows": 15, "confusion": confusion } },
                { "held_out": "run|2", "figures": { "macro_f1": null, "flows": 3 } },
            ],
        });
        let mut text = String::new();
        document(&mut text, metrics.as_object().unwrap(), 3);
        for part in [
            "| seeds | 1, 2 |",
            "| scores | 2 lists of 2 numbers |",
            "### leave-one-recording-out",
            "| held out | macro-F1 | flows |",
            "| run-1 | > 0.99999 | 15 |",
            "| run\\|2 | – | 3 |",
            "|  | normal | flood |",
            "| normal | 9 | 1 |",
        ] {
            assert!(text.contains(part), "{part} is not in:\n{text}");
        }
        assert!(!text.contains("scan"));
    }

    #[test]
    fn numbers_are_short_and_never_rounded_up_to_1() {
        assert_eq!(
            [0.5, 1.0, 1234.5678, 0.000_123_456_78, 0.0].map(short),
            ["0.5", "1", "1234.57", "0.000123457", "0"]
        );
        assert_eq!(short(0.999_999_99), "> 0.99999");
    }
}
