//! Evaluation of a sequence model per flow.

use anyhow::{Result, ensure};
use citronella_learn::flows::{
    Baselines, Classes, ClassifiedFlows, Figures, LabelledCapture, classify, rules,
};
use citronella_sensor::{
    detect::{DataFile, Detector, ModelFile, VerdictWriter},
    feature::sequence::verdict::Settings,
};
use serde::Serialize;
use tracing::{info, warn};

use super::Arguments;
use crate::{
    flows::{BaselineFigures, RecordingFigures, by_recording, print, report},
    progress::Progress,
    show,
};

/// The document of `--json`, described in docs/evaluate.md.
#[derive(Serialize)]
struct Document<'a> {
    /// Over all recordings.
    #[serde(flatten)]
    figures: &'a Figures,
    recordings: &'a [RecordingFigures],
    baselines: &'a [BaselineFigures],
    model: Model<'a>,
    data: &'a [Data],
    trained_on_this_data: &'a [String],
    problems: &'a [String],
}

#[derive(Serialize)]
struct Model<'a> {
    name: &'a str,
    preset: &'a str,
    program: &'a str,
    seed: u64,
    classes: &'a [String],
    verdict: &'a Settings,
    trained_on: &'a [DataFile],
}

/// An evaluated capture.
#[derive(Serialize)]
struct Data {
    file: String,
    sha256: String,
    scenario: String,
    attackers: Vec<std::net::IpAddr>,
}

pub(super) fn run(arguments: &Arguments, name: &str, model: &ModelFile) -> Result<()> {
    let mut detector = Detector::new(name, model)?;
    if let Some(per_day) = arguments.false_alerts_per_day {
        let settings = detector.settings().for_false_alerts(per_day);
        detector = detector.with_settings(settings);
    }
    let captures = LabelledCapture::open_all(&arguments.data)?;
    let training = LabelledCapture::open_all(&arguments.train)?;
    let progress = Progress::stderr();
    let classes =
        Classes::new(detector.classes(), captures.iter().chain(&training).map(|c| c.scenario.as_str()));
    let data = captures.iter().map(data).collect::<Result<Vec<_>>>()?;
    ensure_disjoint(&data, &training)?;
    let classify = |stage: &str, captures: &[LabelledCapture]| -> Result<ClassifiedFlows> {
        progress.begin(stage, captures.len() as u64);
        let flows = classify(&detector, &classes, captures, arguments.threads, &progress.stepper());
        progress.end();
        Ok(flows?)
    };
    let flows = classify("detect", &captures)?;
    for problem in &flows.problems {
        warn!("{problem}; only the packets before are evaluated");
    }
    let trained_on = trained_on(model, &data);
    if !trained_on.is_empty() {
        let files = trained_on.join(", ");
        warn!(files, "the model was trained on {files}: its figures are optimistic");
    }
    if let Some(path) = &arguments.verdicts {
        let mut writer = VerdictWriter::create(path, detector.classes())?;
        flows.verdicts.iter().try_for_each(|verdict| writer.write(verdict))?;
        writer.finish()?;
    }
    let figures = Figures::of(&flows.classes, &flows.captures, &flows.flows);
    let recordings = by_recording(&flows);
    progress.begin("baselines", 0);
    let mut baselines = vec![rules(&flows, &captures)?];
    if !training.is_empty() {
        let training = classify("training recordings", &training)?;
        let fitted = Baselines::fit(&training, model.card.seed, arguments.threads)?;
        baselines.extend(fitted.classify(&flows, arguments.threads));
    }
    let baselines: Vec<BaselineFigures> =
        baselines.iter().map(|baseline| BaselineFigures::of(&flows, baseline)).collect();
    progress.end();

    let document = Document {
        figures: &figures,
        recordings: &recordings,
        baselines: &baselines,
        model: Model {
            name,
            preset: &model.card.preset,
            program: &model.card.program,
            seed: model.card.seed,
            classes: &model.card.classes,
            verdict: detector.settings(),
            trained_on: &model.card.data,
        },
        data: &data,
        trained_on_this_data: &trained_on,
        problems: &flows.problems,
    };
    if let Some(folder) = &arguments.report {
        let page = report(&model.card, &flows, &figures, &recordings, &baselines, &trained_on);
        let written = page.write(folder, &serde_json::to_value(&document)?)?;
        info!(file = %written.page.display(), "{}: report written", written.page.display());
    }
    if arguments.json {
        return show::json(&document);
    }
    print(&figures, &recordings, &baselines)?;
    if training.is_empty() {
        show::line(
            "Use --train DATA for baselines that need training: random forest, one rule, port, timestamp, most frequent class.",
        )?;
    }
    Ok(())
}

fn data(capture: &LabelledCapture) -> Result<Data> {
    let DataFile { file, sha256 } = capture.data_file()?;
    Ok(Data {
        file,
        sha256,
        scenario: capture.scenario.clone(),
        attackers: capture.attacker.hosts().collect(),
    })
}

/// Files of the data that the model was trained on.
fn trained_on(model: &ModelFile, data: &[Data]) -> Vec<String> {
    data.iter()
        .filter(|data| model.card.data.iter().any(|known| known.sha256 == data.sha256))
        .map(|data| data.file.clone())
        .collect()
}

/// Rejects captures that are both training and test data.
fn ensure_disjoint(test: &[Data], training: &[LabelledCapture]) -> Result<()> {
    let mut shared = Vec::new();
    for capture in training {
        let file = capture.data_file()?;
        if test.iter().any(|data| data.sha256 == file.sha256) {
            shared.push(file.file);
        }
    }
    ensure!(
        shared.is_empty(),
        "--train and DATA share {}: baselines must not be trained on test data",
        shared.join(", ")
    );
    Ok(())
}
