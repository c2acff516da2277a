//! The model card (Mitchell et al. 2019) of a model file, as Markdown.
//!
//! In: a model. Out: the text of `docs/model-card.md`. All figures come from the file; intended use and limitations are
//! written here and hold for any model of the sequence level.

mod markdown;

use std::fmt::Write;

use citronella_sensor::{
    detect::{Card, ModelError, ModelFile},
    feature::schema::Level,
};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use self::markdown::{document, flat, table};
use crate::{flows::share_upper_95, zoo::Preset};

/// Renders a model's card; `name` is its title.
///
/// # Errors
/// The model cannot be serialised, which its SHA-256 needs.
pub fn markdown(name: &str, model: &ModelFile) -> Result<String, ModelError> {
    let card = &model.card;
    let is_detector = card.level() == Some(Level::Sequence);
    let mut text = format!("# Model card: {name}\n\n");
    details(&mut text, model)?;
    text += "\n`citronella card` prints this page from the model file; a test compares them.\n";
    text += if is_detector { DETECTOR } else { LABORATORY };
    training(&mut text, card);
    figures(&mut text, card);
    reproduction(&mut text, card, is_detector);
    files(&mut text, card);
    Ok(text)
}

const DETECTOR: &str = "
## Intended use

The model watches the traffic of an MQTT network, from captures or a mirror port. After each packet it rates the conversation as benign or as one of the classes above. It reads no addresses, no port numbers and no absolute time. An alert is a reason to investigate, with the features that contributed to it (`citronella explain`); do not block traffic on it alone.

## Limitations

- **TLS.** In encrypted traffic the model sees sizes, times and the handshake. Scans, connection floods and password guessing remain visible by their rhythm; message types, CONNACK codes and malformed messages do not.
- **New kinds of attacks by inconspicuous hosts.** Traffic of no class above is flagged as `unknown` if its initiator's counts (flows, unanswered and refused ones, logins, user names, open connections, bytes) reach a multiple (`times`, below) of the highest benign value in training. Below that, a new kind of attack may be classified as a similar class or as normal, for example one that consists of a single malformed packet.
- **Valid credentials.** A login with stolen credentials looks like any other; topics and payloads of admitted clients are not read.
- **Inside attackers within their normal behaviour.** A sensor that attacks slowly while it publishes is the hardest case; the figures below show how much of it was detected where it was measured.
- **Adversaries who know the model.** Padding, imitated keep-alives and a pace slower than the counters' memory are not defended against; evasion was not measured.
- **Lost or truncated packets.** The model sees what the capture has. Conversations that start mid-stream are part of its training.
- **Other networks.** The training networks are laboratories with about a dozen sensors. Run `detect` on a day of benign traffic of a new network before relying on its alerts.
";

const LABORATORY: &str = "
## Intended use

Comparison with the literature. This model of rows is trained as in the paper and is not a detector for a network: compare it with the timestamp alone (`citronella audit`), and evaluate it on a recording that it was not trained on (`citronella evaluate`).
";

fn details(text: &mut String, model: &ModelFile) -> Result<(), ModelError> {
    let (card, bytes) = (&model.card, model.to_bytes()?);
    let sha256: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    let weights: usize = model.network.tensors().iter().map(|(_, _, values)| values.len()).sum();
    let lstm: Vec<String> = card.network.lstm.iter().map(ToString::to_string).collect();
    let pairs = [
        ("preset", card.preset.clone()),
        (
            "network",
            format!("LSTM({}), {} outputs, {weights} weights", lstm.join(", "), card.network.outputs),
        ),
        ("inputs", format!("{} columns of the level `{}`", card.inputs.len(), card.level)),
        ("classes", card.classes.join(", ")),
        ("size", format!("{} bytes", bytes.len())),
        ("SHA-256", format!("`{sha256}`")),
        ("written by", format!("citronella {}, file format {}", card.program, card.format)),
        ("seed", card.seed.to_string()),
    ];
    table(text, &["", ""], pairs.iter().map(|(name, value)| vec![(*name).to_owned(), value.clone()]));
    Ok(())
}

/// Recordings of the training set, each with its number of captures, in the card's order.
fn recordings(card: &Card) -> Vec<(&str, usize)> {
    let mut recordings: Vec<(&str, usize)> = Vec::new();
    for folder in card.data.iter().filter_map(|file| file.file.rsplit_once('/').map(|(folder, _)| folder)) {
        match recordings.last_mut() {
            Some((last, captures)) if *last == folder => *captures += 1,
            _ => recordings.push((folder, 1)),
        }
    }
    recordings
}

fn training(text: &mut String, card: &Card) {
    let recordings = recordings(card);
    *text += "\n## Training data\n\n";
    let _ = writeln!(
        text,
        "A conversation's class is its capture's scenario if one of its endpoints is an attacker, otherwise `normal`. The {} files are listed with their SHA-256 [at the end](#training-files).\n",
        card.data.len()
    );
    if !recordings.is_empty() {
        let rows = recordings.iter().map(|(name, captures)| vec![(*name).to_owned(), captures.to_string()]);
        table(text, &["recording", "captures"], rows);
        *text += "\n";
    }
    *text += "## Training\n\n";
    if let Value::Object(training) = &card.training {
        document(text, training, 3);
    }
}

fn figures(text: &mut String, card: &Card) {
    *text += "\n## Evaluation\n\n";
    match &card.metrics {
        Value::Object(metrics) if !metrics.is_empty() => {
            if metrics.contains_key("leave_one_recording_out") {
                *text += "Leave-one-recording-out: each recording with attacks is held out in turn and classified by a network trained on the others, with thresholds calibrated on recordings other than the held-out one. The network in the file is trained on all recordings, so no figure is measured on training data, and none on the file's own weights.\n\n";
            }
            let mut metrics = metrics.clone();
            if let Some(Value::Array(held_out)) = metrics.get_mut("leave_one_recording_out") {
                held_out
                    .iter_mut()
                    .filter_map(|item| item.get_mut("figures")?.as_object_mut())
                    .for_each(add_upper_bound);
                let summary = mean_and_minimum(held_out);
                held_out.extend(summary);
            }
            document(text, &metrics, 3);
        }
        _ => *text += "The file holds no figures.\n",
    }
}

/// Adds the upper bound of the false-positive rate.
fn add_upper_bound(figures: &mut Map<String, Value>) {
    let count = |name: &str| figures.get(name).and_then(Value::as_u64);
    if let (Some(false_positives), Some(benign)) = (count("false_alerts"), count("benign")) {
        let bound = share_upper_95(false_positives, benign);
        figures.insert("false_positive_rate_upper_95".to_owned(), bound.into());
    }
}

/// Mean and minimum of the shares over the held-out recordings.
fn mean_and_minimum(held_out: &[Value]) -> Vec<Value> {
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
    let minimum = |values: &[f64]| values.iter().copied().fold(f64::MAX, f64::min);
    vec![row("mean", &mean), row("minimum", &minimum)]
}

fn reproduction(text: &mut String, card: &Card, is_detector: bool) {
    *text += "\n## Reproduction\n\n";
    let recordings: Vec<&str> = recordings(card).into_iter().map(|(name, _)| name).collect();
    let folders: Vec<String> = recordings.iter().map(|name| format!("data/lab/{name}")).collect();
    let data = if is_detector && !folders.is_empty() { folders.join(" ") } else { "DATA".to_owned() };
    let _ = writeln!(
        text,
        "```sh\ncitronella train --preset {} --seed {} -o model.safetensors {data}\n```\n",
        card.preset, card.seed
    );
    *text += "The order of the recordings matters. The same data, seed and instruction set give the same bytes; another CPU may round differently.\n";
    if !is_detector && Preset::by_name(&card.preset).is_none() {
        let _ = writeln!(text, "\nThis program has no preset {:?}.", card.preset);
    }
}

fn files(text: &mut String, card: &Card) {
    *text += "\n## Training files\n\n";
    let rows = card.data.iter().map(|file| vec![file.file.clone(), format!("`{}`", file.sha256)]);
    table(text, &["file", "SHA-256"], rows);
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn no_false_positives_get_the_bound_of_the_rule_of_three() {
        let item = |name: &str, f1: f64| json!({ "held_out": name, "figures": { "macro_f1": f1, "benign": 3_000, "false_alerts": 0 } });
        let mut held_out = vec![item("a", 0.9), item("b", 0.8)];
        held_out.iter_mut().for_each(|item| add_upper_bound(item["figures"].as_object_mut().unwrap()));
        let bound = held_out[0]["figures"]["false_positive_rate_upper_95"].as_f64().unwrap();
        assert!((bound - 3.0 / 3_000.0).abs() < 1e-5, "{bound}");
        let summary = mean_and_minimum(&held_out);
        assert!((summary[0]["macro_f1"].as_f64().unwrap() - 0.85).abs() < 1e-12);
        assert_eq!(summary[1]["macro_f1"], 0.8);
    }
}
