//! The model card (Mitchell et al. 2019): what a model file says about itself, as Markdown.
//!
//! In: a model. Out: the text of `docs/model-card.md`. Everything in it that is a figure comes from the file; what the
//! model is for and what it cannot see stands here, and is true of any model of the sequence level.

use std::fmt::Write;

use citronella_sensor::{
    detect::{Card, ModelError, ModelFile},
    feature::schema::Level,
};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::{
    dataset::NORMAL,
    flows::{UNKNOWN, share_upper_95},
    zoo::Preset,
};

/// Cells of a table's list beyond which the rest is counted only.
const MOST_ITEMS: usize = 64;

/// The card of a model; `file` is what it is called.
///
/// # Errors
/// The model cannot be written as a file, whose hash the card gives.
pub fn markdown(file: &str, model: &ModelFile) -> Result<String, ModelError> {
    let (card, bytes) = (&model.card, model.to_bytes()?);
    let sha256: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    let mut text = format!("# Model card: {file}\n\n");
    let weights: usize = model.network.tensors().iter().map(|(_, _, values)| values.len()).sum();
    let lstm: Vec<String> = card.network.lstm.iter().map(ToString::to_string).collect();
    let pairs = [
        ("preset", card.preset.clone()),
        (
            "network",
            format!("LSTM({}), {} outputs, {weights} weights", lstm.join(", "), card.network.outputs),
        ),
        ("reads", format!("{} numbers of the level `{}`", card.inputs.len(), card.level)),
        ("classes", card.classes.join(", ")),
        ("size", format!("{} bytes", bytes.len())),
        ("SHA-256", format!("`{sha256}`")),
        ("written by", format!("citronella {}, file format {}", card.program, card.format)),
        ("seed", card.seed.to_string()),
    ];
    table(&mut text, &["", ""], pairs.iter().map(|(name, value)| vec![(*name).to_owned(), value.clone()]));
    text += "\nThis page is what `citronella card` prints of the model file; a test holds them equal.\n";
    let is_detector = card.level() == Some(Level::Sequence);
    text += if is_detector { DETECTOR } else { LABORATORY };
    training(&mut text, card);
    figures(&mut text, card);
    retrain(&mut text, card, is_detector);
    Ok(text)
}

const DETECTOR: &str = "
## What it is for

Watching the traffic of an MQTT network, from captures or a mirror port, and saying of each conversation, packet by packet, whether it looks benign or like one of the classes above. It reads no addresses, no port numbers and no absolute time. An alert is a reason to look, with the features that moved it (`citronella explain`); it is not a reason to block by itself.

## What it does not see

- **Inside TLS.** It sees sizes, times and the handshake. Scans, floods of connections and guessing by rhythm remain visible; message kinds, CONNACK codes and malformed messages do not.
- **Attacks of kinds that it was not trained on, where they make their host do nothing that stands out.** What is of no class above is called `unknown` where its initiator's counts (flows begun, unanswered or refused, logins, names, open connections, bytes) reach a multiple (below, `times`) of the highest of benign traffic in training. A new kind below that may be called by a neighbour's name, or be taken for benign traffic; so is one that a host commits by a single odd packet.
- **A correct login with stolen credentials**, and what an admitted client publishes: topics and payloads are not read.
- **What a host inside does within its normal behaviour.** A sensor that attacks slowly while it publishes is the hardest case; the figures below say how much of it is found where it was measured.
- **An attacker who knows the model.** Padding, imitated keep-alives and a pace below the counters' memory were not defended against; evasion was not measured.
- **Packets that the capture lost or cut.** It works on what was recorded; mid-stream begins are part of its training.
- **Networks unlike its data.** It was trained in one laboratory's networks of a dozen sensors. A new network deserves a day of watching (`detect` on a benign capture) before its alerts are trusted.
";

const LABORATORY: &str = "
## What it is for

Comparison with the literature. It is a model of rows, trained as the paper was, and no detector for a network: see what the timestamp alone scores (`citronella audit`), and what is left of its score on a recording that it has not seen (`citronella evaluate`).
";

fn training(text: &mut String, card: &Card) {
    *text += "\n## What it was trained on\n\n";
    let rows = card.data.iter().map(|file| vec![file.file.clone(), format!("`{}`", file.sha256)]);
    table(text, &["file", "SHA-256"], rows);
    *text += "\nA conversation's class is its capture's scenario where the attacker is one of its ends, else `normal`.\n\n## How\n\n";
    if let Value::Object(training) = &card.training {
        document(text, training, 3);
    }
}

fn figures(text: &mut String, card: &Card) {
    *text += "\n## What it scored, and on what\n\n";
    match &card.metrics {
        Value::Object(metrics) if !metrics.is_empty() => {
            if metrics.contains_key("leave_one_recording_out") {
                *text += "Each recording with attacks was left out of training in turn and judged by a network of the others; thresholds came from recordings other than the one judged. The model in the file was trained on all of them, so no figure here is of the model's own training data, and none is of the very weights in the file.\n\n";
            }
            let mut metrics = metrics.clone();
            if let Some(Value::Array(held_out)) = metrics.get_mut("leave_one_recording_out") {
                held_out
                    .iter_mut()
                    .filter_map(|item| item.get_mut("figures")?.as_object_mut())
                    .for_each(bound);
                let means = mean_and_lowest(held_out);
                held_out.extend(means);
            }
            document(text, &metrics, 3);
        }
        _ => *text += "The file holds no figures.\n",
    }
}

/// Says what the number of benign conversations allows the true rate of false alerts to be.
fn bound(figures: &mut Map<String, Value>) {
    let count = |name: &str| figures.get(name).and_then(Value::as_u64);
    if let (Some(called), Some(benign)) = (count("false_alerts"), count("benign")) {
        let most = share_upper_95(called, benign);
        figures.insert("false_alert_rate_at_most_95".to_owned(), most.into());
    }
}

/// Shares over the recordings: their mean, and their lowest.
fn mean_and_lowest(held_out: &[Value]) -> Vec<Value> {
    let rows: Vec<Map<String, Value>> = held_out.iter().map(|item| flat(item, "")).collect();
    let of = |name: &str| -> Vec<f64> { rows.iter().filter_map(|row| row.get(name)?.as_f64()).collect() };
    let row = |name: &str, value: &dyn Fn(&[f64]) -> f64| {
        let mut row = Map::from_iter([("held_out".to_owned(), Value::from(name))]);
        for share in ["macro_f1", "attack_recall", "recall_at_fpr_1e3"] {
            let values = of(share);
            if values.len() > 1 {
                row.insert(share.to_owned(), value(&values).into());
            }
        }
        Value::Object(row)
    };
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let lowest = |values: &[f64]| values.iter().copied().fold(f64::MAX, f64::min);
    vec![row("mean", &mean), row("lowest", &lowest)]
}

fn retrain(text: &mut String, card: &Card, is_detector: bool) {
    *text += "\n## How to train it again\n\n";
    let mut recordings: Vec<&str> =
        card.data.iter().filter_map(|file| file.file.rsplit_once('/').map(|(folder, _)| folder)).collect();
    recordings.dedup();
    let folders: Vec<String> = recordings.iter().map(|name| format!("data/lab/{name}")).collect();
    let data = if is_detector && !folders.is_empty() { folders.join(" ") } else { "DATA".to_owned() };
    let _ = writeln!(
        text,
        "```sh\ncitronella train --preset {} --seed {} -o model.safetensors {data}\n```\n",
        card.preset, card.seed
    );
    let _ = writeln!(
        text,
        "with the recordings {}, in this order. The same data, seed and instruction set give the same bytes; another CPU may round otherwise.",
        if recordings.is_empty() { "above".to_owned() } else { recordings.join(", ") }
    );
    if !is_detector && Preset::by_name(&card.preset).is_none() {
        let _ = writeln!(text, "\nThis program has no preset {:?}.", card.preset);
    }
}

/// A JSON object as Markdown: plain values as a table, lists of objects as tables, objects as sections.
fn document(text: &mut String, object: &Map<String, Value>, level: usize) {
    let is_plain = |value: &Value| plain(value).is_some();
    let values: Vec<_> = object.iter().filter(|(_, value)| is_plain(value)).collect();
    if !values.is_empty() {
        let row = |(name, value): &(&String, &Value)| vec![words(name), plain(value).unwrap_or_default()];
        table(text, &["", ""], values.iter().map(row));
        *text += "\n";
    }
    for (name, value) in object.iter().filter(|(_, value)| !is_plain(value)) {
        let _ = writeln!(text, "{} {}\n", "#".repeat(level.min(6)), words(name));
        match value {
            Value::Object(inner) if is_confusion(inner) => confusion(text, inner),
            Value::Object(inner) => document(text, inner, level + 1),
            Value::Array(items) => list(text, items),
            _ => {}
        }
    }
}

/// Rows of a table where the items are objects; the columns are what any of them has.
fn list(text: &mut String, items: &[Value]) {
    let rows: Vec<Map<String, Value>> = items.iter().map(|item| flat(item, "")).collect();
    let mut columns: Vec<&String> = Vec::new();
    for name in rows.iter().flat_map(Map::keys) {
        if !columns.contains(&name) {
            columns.push(name);
        }
    }
    let names: Vec<String> = columns.iter().map(|name| words(name)).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let cell = |row: &Map<String, Value>, name: &String| row.get(name).and_then(plain).unwrap_or_default();
    table(
        text,
        &names,
        rows.iter().take(MOST_ITEMS).map(|row| columns.iter().map(|name| cell(row, name)).collect()),
    );
    if rows.len() > MOST_ITEMS {
        let _ = writeln!(text, "\nand {} more.", rows.len() - MOST_ITEMS);
    }
    *text += "\n";
    for (item, row) in items.iter().zip(&rows) {
        if let Some((path, matrix)) = find_confusion(item, String::new()) {
            let name = row.values().find_map(|value| value.as_str()).unwrap_or_default();
            let _ = writeln!(text, "{name}, {}, rows are the truth:\n", words(&path));
            confusion(text, matrix);
        }
    }
}

/// An item's plain values, those of inner objects too; lists of objects are left out.
fn flat(item: &Value, prefix: &str) -> Map<String, Value> {
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
                let taken = all.contains_key(name);
                all.insert(if taken { format!("{prefix} {name}") } else { name.clone() }, value.clone());
            }
            _ => {}
        }
    }
    all
}

fn find_confusion(item: &Value, path: String) -> Option<(String, &Map<String, Value>)> {
    let object = item.as_object()?;
    if is_confusion(object) {
        return Some((path, object));
    }
    object.iter().find_map(|(name, value)| find_confusion(value, name.clone()))
}

fn is_confusion(object: &Map<String, Value>) -> bool {
    object.get("classes").is_some_and(Value::is_array) && object.get("counts").is_some_and(Value::is_array)
}

/// Truth by verdict; classes that occur in neither are left out. What no class was called of is unknown.
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
    let none: Vec<u64> = array("no_verdict").iter().map(|n| n.as_u64().unwrap_or_default()).collect();
    let some_unknown = none.iter().any(|n| *n > 0);
    let name = |class: &usize| classes.get(*class).cloned().unwrap_or_else(|| NORMAL.to_owned());
    let header = std::iter::once(String::new()).chain(shown.iter().map(name));
    let header: Vec<String> = header.chain(some_unknown.then(|| UNKNOWN.to_owned())).collect();
    let header: Vec<&str> = header.iter().map(String::as_str).collect();
    let row = |class: &usize| {
        let counts = shown.iter().map(|other| count(*class, *other));
        let unknown = some_unknown.then(|| none.get(*class).copied().unwrap_or_default());
        std::iter::once(name(class)).chain(counts.chain(unknown).map(|n| n.to_string())).collect()
    };
    table(text, &header, shown.iter().map(row));
    *text += "\n";
}

/// A plain value as text: a list of plain values too.
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
                None => numbers(value),
            }
        }
        Value::Array(_) => numbers(value),
        _ => None,
    }
}

/// Many numbers, or lists of them, by their size alone: the file has them.
fn numbers(value: &Value) -> Option<String> {
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

/// Six significant digits at most; what is not quite 1 never rounds to it.
fn short(number: f64) -> String {
    if number == 0.0 || !number.is_finite() {
        return number.to_string();
    }
    let digits = (5 - number.abs().log10().floor() as i32).clamp(0, 12) as usize;
    let text = format!("{number:.digits$}");
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    if text == "1" && number != 1.0 { "> 0.99999".to_owned() } else { text.to_owned() }
}

/// `macro_f1` as `macro f1`.
fn words(name: &str) -> String {
    name.replace('_', " ")
}

fn table(text: &mut String, columns: &[&str], rows: impl Iterator<Item = Vec<String>>) {
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let safe = |cell: &str| cell.replace('|', "\\|").replace(['\n', '\r'], " ");
    *text += &line(&columns.iter().map(|name| safe(name)).collect::<Vec<_>>());
    *text += &format!("|{}\n", "---|".repeat(columns.len()));
    for row in rows {
        *text += &line(&row.iter().map(|cell| safe(cell)).collect::<Vec<_>>());
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
            "benign": [[0.1, 0.2], [0.3, 0.4]],
            "leave_one_recording_out": [
                { "held_out": "run-1", "figures": { "macro_f1": 0.999_999_9, "flows": 15, "confusion": confusion } },
                { "held_out": "run|2", "figures": { "macro_f1": null, "flows": 3 } },
            ],
        });
        let mut text = String::new();
        document(&mut text, metrics.as_object().unwrap(), 3);
        for part in [
            "| seeds | 1, 2 |",
            "| benign | 2 lists of 2 numbers |",
            "### leave one recording out",
            "| held out | macro f1 | flows |",
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
    fn false_alerts_get_the_bound_that_their_number_allows() {
        let item = |name: &str, f1: f64| json!({ "held_out": name, "figures": { "macro_f1": f1, "benign": 3_000, "false_alerts": 0 } });
        let mut held_out = vec![item("a", 0.9), item("b", 0.8)];
        held_out.iter_mut().for_each(|item| bound(item["figures"].as_object_mut().unwrap()));
        // The rule of three: 3 / 3,000.
        let most = held_out[0]["figures"]["false_alert_rate_at_most_95"].as_f64().unwrap();
        assert!((most - 0.001).abs() < 1e-5, "{most}");
        let means = mean_and_lowest(&held_out);
        assert_eq!(means[0]["macro_f1"].as_f64().map(short).as_deref(), Some("0.85"));
        assert_eq!(means[1]["macro_f1"], 0.8);
    }

    #[test]
    fn numbers_are_short_and_do_not_flatter() {
        assert_eq!(
            [0.5, 1.0, 1234.5678, 0.000_123_456_78, 0.0].map(short),
            ["0.5", "1", "1234.57", "0.000123457", "0"]
        );
        assert_eq!(short(0.999_999_99), "> 0.99999");
    }
}
