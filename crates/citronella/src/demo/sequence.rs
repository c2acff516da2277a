//! The demo's sequence detector, trained on run-1 and evaluated on run-2.
//!
//! The embedded model is trained on run-2, too, so the demo trains a smaller one on run-1 alone.

use std::path::Path;

use anyhow::Result;
use citronella_learn::{
    flows::{Baselines, Classes, ClassifiedFlows, Figures, LabelledCapture, classify, rules},
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
    flows::{BaselineFigures, print_table, sections, short},
    progress::Progress,
    show::{self, count},
    train::sequence::{EpochCounter, threads},
};

/// Maximum epochs.
const EPOCHS: usize = 8;
/// Augmented copies of each capture.
const VARIANTS: usize = 4;
/// A fixed threshold and the consecutive packets above it: there is no held-out recording to calibrate on.
const THRESHOLD: f32 = 0.97;
const PACKETS: u32 = 3;
const FILE: &str = "sequence-run-1.safetensors";

/// A detector trained on run-1, with its results on run-2.
pub(super) struct Experiment {
    pub(super) figures: Figures,
    model: ModelFile,
    flows: ClassifiedFlows,
    baselines: Vec<BaselineFigures>,
}

impl Experiment {
    pub(super) fn new(arguments: &Arguments, progress: &Progress) -> Result<Experiment> {
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
        let mut counter = EpochCounter(progress.stepper());
        let (network, _) = train_network(&[&recording], Some(RUN_2.name), &options, &mut counter)?;
        let outputs = network.spec().outputs;
        let settings = Settings::plain(options.steps as u32, PACKETS, THRESHOLD, outputs);
        let model = model_file(&network, &[&recording], &options, &settings)?;
        progress.begin(&format!("detect in {}", RUN_2.name), 0);
        let detector = Detector::new(FILE, &model)?;
        let (first, second) = (captures(&RUN_1)?, captures(&RUN_2)?);
        let scenarios = first.iter().chain(&second).map(|capture| capture.scenario.as_str());
        let classes = Classes::new(detector.classes(), scenarios);
        let classify =
            |captures: &[LabelledCapture]| classify(&detector, &classes, captures, arguments.threads, &|| ());
        let (training, flows) = (classify(&first)?, classify(&second)?);
        let figures = Figures::of(&flows.classes, &flows.captures, &flows.flows);
        let fitted = Baselines::fit(&training, arguments.seed, arguments.threads)?;
        let mut baselines = vec![rules(&flows, &second)?];
        baselines.extend(fitted.classify(&flows, arguments.threads));
        let baselines = baselines.iter().map(|baseline| BaselineFigures::of(&flows, baseline)).collect();
        progress.end();
        Ok(Experiment { figures, model, flows, baselines })
    }

    /// Accuracy of the timestamp baseline.
    pub(super) fn timestamp_alone(&self) -> Option<f64> {
        self.baselines.iter().find(|baseline| baseline.name.starts_with("timestamp"))?.figures.accuracy
    }

    pub(super) fn print(&self) -> Result<()> {
        show::line("Flows of run-2, labelled by attacker; all classifiers are trained on run-1:")?;
        print_table(&self.figures, &self.baselines)
    }

    /// The results in sentences; every number is measured in this run.
    pub(super) fn findings(&self) -> Vec<String> {
        let f = &self.figures;
        let percent = |share: Option<f64>| share.map_or("-".to_owned(), show::percent);
        let seconds = |f: &Figures| match f.seconds_to_first_alert.median {
            Some(secs) => format!(", half of them within {} s", short(Some(secs))),
            None => String::new(),
        };
        let mut all = vec![format!(
            "The detector is an LSTM over the packets of each conversation; it reads no addresses, ports or time of day. Trained on run-1 alone (the embedded model is trained on run-2, too), it classifies {} of run-2's {} flows correctly (macro F1 {}): recall {}, {} of {} benign flows flagged, {} of {} attacks detected{}.",
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
        if let Some(forest) = self.baselines.iter().find(|baseline| baseline.name.contains("forest")) {
            all.push(format!(
                "A random forest on statistics of whole flows reaches macro F1 {} on the same flows (false positives: {}), but classifies a flow only at its end{}. run-2 has no benign administration (logins, bursts of reconnects): docs/evaluate.md shows the effect on such a forest.",
                figure(forest.figures.macro_f1),
                count(forest.figures.false_alerts),
                match forest.figures.seconds_to_first_alert.median {
                    Some(secs) => format!(": half of the attacks are detected after {} s or more", short(Some(secs))),
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
            "baselines": self.baselines,
        }))
    }

    pub(super) fn sections(&self) -> Vec<Section> {
        sections("sequence: run-2, held out: ", &self.flows, &self.figures, &[], &self.baselines)
    }
}

fn captures(recording: &'static embedded::Recording) -> Result<Vec<LabelledCapture>> {
    Ok(LabelledCapture::embedded(recording.name, recording.manifest, |file| recording.capture(file))?)
}
