//! A sequence model, judged flow by flow on recordings.

use anyhow::{Result, ensure};
use citronella_learn::flows::{Baselines, Classes, Figures, Judged, Labelled, judge, rules};
use citronella_sensor::{
    detect::{DataFile, Detector, ModelFile, VerdictWriter},
    feature::sequence::verdict::Settings,
};
use serde::Serialize;
use tracing::{info, warn};

use super::Arguments;
use crate::{
    flows::{Beside, Recording, by_recording, print, report},
    progress::Progress,
    show,
};

/// What `--json` prints. docs/evaluate.md has its names.
#[derive(Serialize)]
struct Document<'a> {
    /// Over all recordings.
    #[serde(flatten)]
    figures: &'a Figures,
    recordings: &'a [Recording],
    baselines: &'a [Beside],
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

/// A capture that was judged.
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
    let captures = Labelled::open_all(&arguments.data)?;
    let training = Labelled::open_all(&arguments.train)?;
    let progress = Progress::stderr();
    let classes =
        Classes::new(detector.classes(), captures.iter().chain(&training).map(|c| c.scenario.as_str()));
    let data = captures.iter().map(data).collect::<Result<Vec<_>>>()?;
    let shared = shared(&data, &training)?;
    ensure!(
        shared.is_empty(),
        "--train and DATA share {}: simple classifiers must not see what they are judged on",
        shared.join(", ")
    );
    let walk = |what: &str, captures: &[Labelled]| -> Result<Judged> {
        progress.begin(what, captures.len() as u64);
        let judged = judge(&detector, &classes, captures, arguments.threads, &progress.stepper());
        progress.end();
        Ok(judged?)
    };
    let judged = walk("detect", &captures)?;
    for problem in &judged.problems {
        warn!("{problem}; the packets before are judged");
    }
    let seen: Vec<String> = data
        .iter()
        .filter(|data| model.card.data.iter().any(|known| known.sha256 == data.sha256))
        .map(|data| data.file.clone())
        .collect();
    if !seen.is_empty() {
        let files = seen.join(", ");
        warn!("the model was trained on {files}: these figures flatter it");
    }
    if let Some(path) = &arguments.verdicts {
        let mut writer = VerdictWriter::create(path, detector.classes())?;
        judged.verdicts.iter().try_for_each(|verdict| writer.write(verdict))?;
        writer.finish()?;
    }
    let figures = Figures::of(&judged.classes, &judged.captures, &judged.flows);
    let recordings = by_recording(&judged);
    progress.begin("simple rules beside it", 0);
    let mut beside = Vec::new();
    if !training.is_empty() {
        let seen = walk("training recordings", &training)?;
        beside.extend(
            Baselines::fit(&seen, model.card.seed, arguments.threads)?.judge(&judged, arguments.threads),
        );
    }
    beside.insert(0, rules(&judged, &captures)?);
    let beside: Vec<Beside> = beside.iter().map(|baseline| Beside::of(&judged, baseline)).collect();
    progress.end();

    let document = Document {
        figures: &figures,
        recordings: &recordings,
        baselines: &beside,
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
        trained_on_this_data: &seen,
        problems: &judged.problems,
    };
    if let Some(folder) = &arguments.report {
        let page = report(&model.card, &judged, &figures, &recordings, &beside, &seen);
        let written = page.write(folder, &serde_json::to_value(&document)?)?;
        info!(file = %written.page.display(), "{}: the report", written.page.display());
    }
    if arguments.json {
        return show::json(&document);
    }
    print(&figures, &recordings, &beside)?;
    if training.is_empty() {
        show::line(
            "Classifiers that must be trained first (a random forest, one rule, port, timestamp, the most frequent class) are shown beside the model with --train DATA.",
        )?;
    }
    Ok(())
}

fn data(capture: &Labelled) -> Result<Data> {
    let DataFile { file, sha256 } = capture.data_file()?;
    Ok(Data {
        file,
        sha256,
        scenario: capture.scenario.clone(),
        attackers: capture.attacker.hosts().collect(),
    })
}

/// Captures that stand on both sides.
fn shared(test: &[Data], training: &[Labelled]) -> Result<Vec<String>> {
    let mut shared = Vec::new();
    for capture in training {
        let file = capture.data_file()?;
        if test.iter().any(|data| data.sha256 == file.sha256) {
            shared.push(file.file);
        }
    }
    Ok(shared)
}
