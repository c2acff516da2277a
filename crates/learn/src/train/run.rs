//! A training run of a preset: rows, split, encoding, SMOTE, epochs, test.

use std::time::Instant;

use citronella_nn::{Network, TrainConfig, Trainer};
use citronella_sensor::detect::{
    Card, DataFile, Encoder, FORMAT, ModelError, ModelFile, NetworkCard, RowRule, Shape,
};
use serde_json::json;

use super::{Observer, Scored, Stage, TrainError, score::widen, score_rows};
use crate::{
    dataset::{Labels, Table},
    prepare::{
        Dropped, Matrix, PrepareError, Rows, Smote, SmoteReport, Split, SplitBy, SplitPlan, TrainSet, encode,
    },
    zoo::Preset,
};

/// Options of a training run.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// Seed of every random choice.
    pub seed: u64,
    /// Threads; 0 for all. The result does not depend on it.
    pub threads: usize,
    /// Epochs; `None` for the preset's.
    pub epochs: Option<usize>,
    /// How training and test rows are split.
    pub split: SplitBy,
}

impl Default for Options {
    fn default() -> Self {
        Options { seed: 42, threads: 0, epochs: None, split: SplitBy::Random }
    }
}

/// Raw results of one epoch.
#[derive(Clone, Debug, PartialEq)]
pub struct Epoch {
    /// Number, from 1.
    pub number: usize,
    /// Mean cross-entropy over the balanced training rows, during the epoch.
    pub train_loss: f64,
    /// The predicted class of each balanced training row, during the epoch.
    pub train_predictions: Vec<u32>,
    /// Mean cross-entropy over the validation rows, after the epoch.
    pub validation_loss: f64,
    /// Probabilities, validation rows x classes, after the epoch.
    pub validation_probabilities: Vec<f32>,
}

/// The epochs and the truth of their rows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    /// The class of each balanced training row.
    pub train_truth: Vec<u32>,
    /// The class of each validation row.
    pub validation_truth: Vec<u32>,
    /// The epochs, in order.
    pub epochs: Vec<Epoch>,
}

/// Rows of each part, by class.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Sizes {
    /// Training rows.
    pub train: Vec<u64>,
    /// Training rows after SMOTE.
    pub balanced: Vec<u64>,
    /// Validation rows.
    pub validation: Vec<u64>,
    /// Test rows.
    pub test: Vec<u64>,
}

/// How long a stage took.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct StageTime {
    /// The stage.
    pub stage: Stage,
    /// Wall-clock seconds.
    pub seconds: f64,
}

/// A trained model and the data for a report.
#[derive(Debug)]
pub struct Trained {
    /// The model; the `metrics` in its card are empty.
    pub model: ModelFile,
    /// Training and validation results of each epoch.
    pub history: History,
    /// Rows of each part, by class.
    pub sizes: Sizes,
    /// Rows that were not used, by reason.
    pub dropped: Vec<Dropped>,
    /// Synthetic rows; no classes if the preset does not use SMOTE.
    pub smote: SmoteReport,
    /// Indices of the training rows in the table, before SMOTE, ascending, and their classes.
    pub train_rows: (Vec<u32>, Vec<u32>),
    /// The test rows, scored by the final model.
    pub test: Scored,
    /// Duration of each stage.
    pub seconds: Vec<StageTime>,
}

/// Trains a preset's model on a table.
///
/// # Errors
/// The table is of another level, has too few usable rows or classes, or the split leaves a part without rows.
pub fn run(
    preset: &Preset,
    table: &Table,
    options: &Options,
    observer: &mut dyn Observer,
) -> Result<Trained, TrainError> {
    if preset.level != table.level() {
        return Err(TrainError::Level { model: preset.level.name().into(), data: table.level().name() });
    }
    if u32::try_from(table.len()).is_err() {
        return Err(TrainError::TooManyRows { rows: table.len() });
    }
    let threads = match options.threads {
        0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        threads => threads,
    };
    let mut clock = Clock { observer, seconds: Vec::new(), running: None };

    clock.begin(Stage::Split);
    let (rows, labels) = choose(preset, table)?;
    let plan = SplitPlan {
        by: options.split.clone(),
        test: f64::from(preset.test_percent) / 100.0,
        validation: f64::from(preset.validation_percent) / 100.0,
        seed: options.seed,
    };
    let split = Split::new(table, &rows.used, &labels, &plan)?;

    clock.begin(Stage::Encode);
    let fold = split.train_fold(table, &labels);
    let inputs = fold.fit(&preset.steps())?;
    let card = card(preset, table, &labels, inputs, options, &plan);
    let broken = |problem| ModelError::Card { file: preset.name.to_owned(), problem };
    let encoder: Encoder = card.encoder().map_err(broken)?;
    let train = fold.encode(&encoder, threads);
    let validation = encode(table, split.validation(), &encoder, threads);
    let classes_of = |rows: &[u32]| -> Vec<u32> {
        rows.iter().map(|&row| labels.of_row.get(row as usize).copied().unwrap_or_default()).collect()
    };
    let validation_truth = classes_of(split.validation());

    clock.begin(Stage::Smote);
    let (balanced, smote) = match preset.smote_neighbours {
        Some(neighbours) => Smote { neighbours, seed: options.seed }.balance(&train, threads),
        None => (train.clone(), SmoteReport::default()),
    };
    let count = |truth: &[u32]| {
        let mut counts = vec![0u64; labels.classes.len()];
        truth.iter().for_each(|&class| counts.get_mut(class as usize).into_iter().for_each(|n| *n += 1));
        counts
    };
    let sizes = Sizes {
        train: train.counts(),
        balanced: balanced.counts(),
        validation: count(&validation_truth),
        test: count(&classes_of(split.test())),
    };

    clock.begin(Stage::Train);
    let config = TrainConfig {
        batch: preset.batch,
        learning_rate: preset.learning_rate(),
        seed: options.seed,
        threads,
        class_weights: None,
    };
    let trainer = Trainer::new(Network::new(card.spec(), options.seed)?, config)?;
    let epochs = options.epochs.unwrap_or(preset.epochs);
    let (network, epochs) =
        learn(trainer, &card, &balanced, &validation, &validation_truth, epochs, clock.observer)?;
    let history = History { train_truth: balanced.y().to_vec(), validation_truth, epochs };

    clock.begin(Stage::Test);
    let model = ModelFile { card, network };
    let test = score_rows(&model, table, split.test().to_vec(), threads)?;
    let seconds = clock.end();
    let train_rows = (split.train().to_vec(), classes_of(split.train()));
    Ok(Trained { model, history, sizes, train_rows, dropped: rows.dropped, smote, test, seconds })
}

/// The usable rows and their labels, of at least two classes.
fn choose(preset: &Preset, table: &Table) -> Result<(Rows, Labels), TrainError> {
    let rows = Rows::complete(table, &preset.required(), preset.rows_per_file)?;
    if rows.used.is_empty() {
        return Err(PrepareError::NoRows { dropped: rows.dropped_in_words() }.into());
    }
    let labels = table.labels(preset.labels)?;
    let occurring = labels.restricted_to(&rows.used);
    if let [class] = occurring.classes.as_slice() {
        return Err(PrepareError::OneClass { class: class.clone(), rows: rows.used.len() }.into());
    }
    if !preset.binary {
        return Ok((rows, occurring));
    }
    let binary = labels.binary();
    match binary.restricted_to(&rows.used).classes.as_slice() {
        [class] => Err(PrepareError::OneClass { class: class.clone(), rows: rows.used.len() }.into()),
        _ => Ok((rows, binary)),
    }
}

fn card(
    preset: &Preset,
    table: &Table,
    labels: &Labels,
    inputs: Vec<citronella_sensor::detect::Input>,
    options: &Options,
    plan: &SplitPlan,
) -> Card {
    let data = table.hashes().iter().map(|h| DataFile { file: h.file.clone(), sha256: h.sha256.clone() });
    let outputs = if preset.binary { 1 } else { labels.classes.len() };
    Card {
        format: FORMAT,
        program: env!("CARGO_PKG_VERSION").to_owned(),
        preset: preset.name.to_owned(),
        level: preset.level.name().to_owned(),
        classes: labels.classes.clone(),
        inputs,
        rows: RowRule { required: preset.required(), rows_per_file: preset.rows_per_file },
        network: NetworkCard { shape: Shape::Columns, lstm: preset.lstm.to_vec(), outputs },
        seed: options.seed,
        data: data.collect(),
        training: json!({
            "labels": preset.labels,
            "split": plan.by,
            "test_share": plan.test,
            "validation_share": plan.validation,
            "smote_neighbours": preset.smote_neighbours,
            "epochs": options.epochs.unwrap_or(preset.epochs),
            "batch": preset.batch,
            "learning_rate": f64::from(preset.learning_rate_millionths) / 1e6,
            "identity_and_time_columns": preset.identity_and_time_columns(),
        }),
        metrics: serde_json::Value::Null,
    }
}

fn learn(
    mut trainer: Trainer,
    card: &Card,
    train: &TrainSet,
    validation: &Matrix,
    validation_truth: &[u32],
    epochs: usize,
    observer: &mut dyn Observer,
) -> Result<(Network, Vec<Epoch>), TrainError> {
    let (steps, rows) = (card.network.steps(card.inputs.len()), train.x().rows());
    let total = (rows * epochs) as u64;
    let mut done = Vec::with_capacity(epochs);
    for number in 1..=epochs {
        let before = (rows * (number - 1)) as u64;
        let mut progress = |rows: usize| observer.progress(before + rows as u64, total);
        let stats = trainer.epoch(&train.x().data, train.y(), rows, steps, &mut progress)?;
        let validated = trainer.evaluate(&validation.data, validation_truth, validation.rows(), steps)?;
        let epoch = Epoch {
            number,
            train_loss: stats.loss,
            train_predictions: stats.predictions,
            validation_loss: validated.loss,
            validation_probabilities: widen(
                &validated.probabilities,
                card.network.outputs,
                card.classes.len(),
            ),
        };
        observer.epoch(&epoch, epochs);
        done.push(epoch);
    }
    Ok((trainer.into_network(), done))
}

/// Notifies the observer of stages and measures their duration.
struct Clock<'o> {
    observer: &'o mut dyn Observer,
    seconds: Vec<StageTime>,
    running: Option<(Stage, Instant)>,
}

impl Clock<'_> {
    fn begin(&mut self, stage: Stage) {
        self.stop();
        self.running = Some((stage, Instant::now()));
        self.observer.stage(stage);
    }

    fn stop(&mut self) {
        if let Some((stage, since)) = self.running.take() {
            self.seconds.push(StageTime { stage, seconds: since.elapsed().as_secs_f64() });
        }
    }

    fn end(mut self) -> Vec<StageTime> {
        self.stop();
        self.seconds
    }
}
