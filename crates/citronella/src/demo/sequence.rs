//! The demo's last chapter: the sequence detector, trained on run-1 and judged on run-2.
//!
//! The model in the program has seen run-2: it would flatter itself here. So a smaller one is trained on run-1 alone.

use std::path::Path;

use anyhow::Result;
use citronella_learn::{
    flows::{Baselines, Classes, Figures, Judged, Labelled, judge, rules},
    report::{MetricRow, Section, figure},
    sequence::{Options, Recording, model_file, train_network},
};
use citronella_sensor::{
    detect::{Detector, ModelFile},
    feature::sequence::verdict::Settings,
};
use tracing::info;

use super::Arguments;
use crate::{
    embedded::{self, RUN_1, RUN_2},
    flows::{Beside, print_table, sections, short},
    progress::Progress,
    show::{self, count},
    train::sequence::{Counter, threads},
};

/// Epochs of the training, where the command line does not ask for fewer.
const EPOCHS: usize = 8;
/// Changed copies of each capture.
const VARIANTS: usize = 4;
/// No recording is left out that thresholds could be fitted on: an attack is called above this, three packets in a row.
const THRESHOLD: f32 = 0.97;
const PACKETS: u32 = 3;
const FILE: &str = "sequence-run-1.safetensors";

/// A detector that has seen run-1 only, and what it makes of run-2.
pub(super) struct Chapter {
    pub(super) figures: Figures,
    model: ModelFile,
    judged: Judged,
    beside: Vec<Beside>,
}

impl Chapter {
    pub(super) fn new(arguments: &Arguments, progress: &Progress) -> Result<Chapter> {
        let options = Options {
            seed: arguments.seed,
            threads: threads(arguments.threads),
            epochs: arguments.epochs.min(EPOCHS),
            variants: VARIANTS,
            ..Options::default()
        };
        info!("sequence: training on all of {}", RUN_1.name);
        progress.begin("train, epochs", options.epochs as u64);
        let recording = Recording::embedded(RUN_1.name, RUN_1.manifest, |file| {
            RUN_1.capture(file).map(|b| b.as_ref().into())
        })?;
        let mut counter = Counter(progress.stepper());
        let (network, _) = train_network(&[&recording], Some(RUN_2.name), &options, &mut counter)?;
        let outputs = network.spec().outputs;
        let settings = Settings::plain(options.steps as u32, PACKETS, THRESHOLD, outputs);
        let model = model_file(&network, &[&recording], &options, &settings)?;
        progress.begin(&format!("detect in {}", RUN_2.name), 0);
        let detector = Detector::new(FILE, &model)?;
        let (first, second) = (captures(&RUN_1)?, captures(&RUN_2)?);
        let scenarios = first.iter().chain(&second).map(|capture| capture.scenario.as_str());
        let classes = Classes::new(detector.classes(), scenarios);
        let walk = |captures: &[Labelled]| judge(&detector, &classes, captures, arguments.threads, &|| ());
        let (seen, judged) = (walk(&first)?, walk(&second)?);
        let figures = Figures::of(&judged.classes, &judged.captures, &judged.flows);
        let learnt = Baselines::fit(&seen, arguments.seed, arguments.threads)?;
        let mut beside = vec![rules(&judged, &second)?];
        beside.extend(learnt.judge(&judged, arguments.threads));
        let beside = beside.iter().map(|baseline| Beside::of(&judged, baseline)).collect();
        progress.end();
        Ok(Chapter { figures, model, judged, beside })
    }

    /// Accuracy of the classifier that looks up the nearest training flow in time.
    pub(super) fn timestamp_alone(&self) -> Option<f64> {
        self.beside.iter().find(|other| other.name.starts_with("timestamp"))?.figures.accuracy
    }

    pub(super) fn print(&self) -> Result<()> {
        show::line("The flows of run-2, each with its honest label; all classifiers have seen run-1 only:")?;
        print_table(&self.figures, &self.beside)
    }

    /// What the figures mean; every number is measured in this run.
    pub(super) fn findings(&self) -> Vec<String> {
        let f = &self.figures;
        let percent = |share: Option<f64>| share.map_or("-".to_owned(), show::percent);
        let seconds = |f: &Figures| match f.seconds_to_first_alert.median {
            Some(secs) => format!(", half of them within {} s", short(Some(secs))),
            None => String::new(),
        };
        let mut all = vec![format!(
            "The detector is an LSTM that walks over the packets of each conversation and reads neither addresses nor ports nor the time of day. Trained on the same run-1 alone (a smaller training than that of the model in the program, which has seen run-2 and would flatter itself here), it calls {} of run-2's {} flows by their class (macro F1 {}): {} of the attacks' flows are called an attack, {} of {} benign flows too, and {} of {} attacks are noticed{}.",
            percent(f.accuracy),
            count(f.flows),
            figure(f.macro_f1),
            percent(f.recall),
            count(f.false_alerts),
            count(f.benign_flows),
            f.attacks_detected,
            f.attacks,
            seconds(f)
        )];
        if let Some(forest) = self.beside.iter().find(|other| other.name.contains("forest")) {
            all.push(format!(
                "A random forest on the statistics of whole flows reaches macro F1 {} on the same flows (false alerts: {}), but it can speak only when a flow has ended{}. run-2 holds no benign administration (logins, bursts of reconnects): docs/evaluate.md says what that does to such a forest.",
                figure(forest.figures.macro_f1),
                count(forest.figures.false_alerts),
                match forest.figures.seconds_to_first_alert.median {
                    Some(secs) => format!(": half of the attacks are noticed after {} s or more", short(Some(secs))),
                    None => String::new(),
                }
            ));
        }
        all
    }

    /// A row of [`MetricTable::of_models`](citronella_learn::report::MetricTable::of_models).
    pub(super) fn row(&self) -> MetricRow {
        let f = &self.figures;
        let average = f.confusion.macro_average();
        let shares = [
            f.accuracy,
            average.precision,
            average.recall,
            average.f1,
            f.mcc,
            f.roc_auc,
            f.tpr_at(1e-3),
            f.tpr_at(1e-4),
        ];
        MetricRow {
            label: "sequence, run-2".to_owned(),
            cells: std::iter::once(f.flows.to_string()).chain(shares.map(figure)).collect(),
            strong: true,
        }
    }

    pub(super) fn save(&self, folder: &Path) -> Result<()> {
        Ok(self.model.save(&folder.join(FILE))?)
    }

    pub(super) fn document(&self) -> Result<serde_json::Value> {
        Ok(serde_json::json!({
            "model": self.model.card,
            "run-2": self.figures,
            "baselines": self.beside,
        }))
    }

    pub(super) fn sections(&self) -> Vec<Section> {
        sections("sequence: run-2, never seen: ", &self.judged, &self.figures, &[], &self.beside)
    }
}

fn captures(recording: &'static embedded::Recording) -> Result<Vec<Labelled>> {
    Ok(Labelled::embedded(recording.name, recording.manifest, |file| recording.capture(file))?)
}
