//! From recordings to a model file, and the figures of leaving one recording out.

use std::sync::{Mutex, MutexGuard, PoisonError};

use citronella_nn::{LossAt, Network, Spec};
use citronella_sensor::{
    detect::{Card, DataFile, FORMAT, Input, ModelFile, NetworkCard, Op, RowRule, Shape},
    feature::{
        schema::Level,
        sequence::{SEQUENCE, unknown::Limits, verdict::Settings},
    },
};
use rayon::prelude::*;
use serde_json::json;

use super::{
    Captured, Options, Pool, Recording, ScoredFlow, SequenceError, benign_beyond, benign_scores, figures,
    fit, fit_temperature, gather, score,
};
use crate::dataset::CLASSES;

/// The preset's name on the command line and in the card.
pub const PRESET: &str = "sequence";

/// What a caller hears while networks are trained.
pub trait Heard: Send {
    /// Conversations were gathered from recordings; training begins. `held_out` is judged afterwards.
    fn begin(&mut self, held_out: Option<&str>, conversations: usize) {
        let _ = (held_out, conversations);
    }

    /// An epoch is over.
    fn epoch(&mut self, number: usize, of: usize, loss: f64) {
        let _ = (number, of, loss);
    }
}

/// Hears nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Deaf;

impl Heard for Deaf {}

/// A recording's conversations, scored by a network that has not seen the recording.
#[derive(Clone, Debug)]
pub struct HeldOut {
    /// The recording's name.
    pub recording: String,
    /// Hours that it lasts.
    pub hours: f64,
    /// Its conversations; probabilities as the network gave them, not calibrated.
    pub flows: Vec<ScoredFlow>,
}

/// A network, and what benign hosts of its training did at most.
pub type Trained = (Network, Limits);

/// Trains a network on recordings; beside it stands what benign hosts did at most in them.
///
/// # Errors
/// A capture cannot be read, or the recordings hold fewer than two classes.
pub fn train_network(
    recordings: &[&Recording],
    held_out: Option<&str>,
    options: &Options,
    heard: &mut dyn Heard,
) -> Result<Trained, SequenceError> {
    let pool = Pool::of(&on_threads(options, || gather(recordings, options))?);
    heard.begin(held_out, pool.len());
    let network = fit(&pool, options, &mut |number, loss| heard.epoch(number, options.epochs, loss))?;
    Ok((network, pool.limits().clone()))
}

/// Does something on as many threads as the options say; where no pool of threads can be had, on the program's own.
fn on_threads<T: Send>(options: &Options, work: impl FnOnce() -> T + Send) -> T {
    match rayon::ThreadPoolBuilder::new().num_threads(options.threads.max(1)).build() {
        Ok(threads) => threads.install(work),
        Err(_) => work(),
    }
}

/// Leaves out each recording that holds an attack in turn: trains on the others, scores it. Recordings of benign
/// traffic alone, and those of `always`, are always trained on.
///
/// # Errors
/// As [`train_network`].
pub fn leave_one_out(
    recordings: &[Recording],
    always: &[Recording],
    options: &Options,
    heard: &mut dyn Heard,
) -> Result<Vec<HeldOut>, SequenceError> {
    Ok(folds((recordings, always), options, false, heard)?.0)
}

/// The folds, and the network and limits of all recordings where they are wanted: gathered once, trained side by side, a thread each.
fn folds(
    (recordings, always): (&[Recording], &[Recording]),
    options: &Options,
    whole: bool,
    heard: &mut dyn Heard,
) -> Result<(Vec<HeldOut>, Option<Trained>), SequenceError> {
    let heard = Mutex::new(heard);
    let attacked = |r: &&Recording| r.captures.iter().any(|capture| capture.is_attacked());
    let mut tasks: Vec<Option<&Recording>> = recordings.iter().filter(attacked).map(Some).collect();
    tasks.extend(whole.then_some(None));
    let alone = Options { threads: 1, ..options.clone() };
    on_threads(options, || {
        let all: Vec<&Recording> = recordings.iter().chain(always).collect();
        let pools = gather(&all, options)?;
        let one = |held: &Option<&Recording>| {
            let name = held.map(|r| r.name.as_str());
            let others = all.iter().zip(&pools).filter(|(r, _)| Some(r.name.as_str()) != name);
            let pool = Pool::of(others.map(|(_, pool)| pool));
            lock(&heard).begin(name, pool.len());
            let network = fit(&pool, &alone, &mut |number, loss| {
                lock(&heard).epoch(number, options.epochs, loss);
            })?;
            let limits = pool.limits();
            let Some(held) = held else { return Ok((None, Some((network, limits.clone())))) };
            let flows = score(&network, limits, options.steps, &held.captures)?;
            let hours = held.hours()?;
            Ok((Some(HeldOut { recording: held.name.clone(), hours, flows }), None))
        };
        let done: Vec<_> = tasks.par_iter().with_max_len(1).map(one).collect::<Result<_, SequenceError>>()?;
        let (held, mut whole): (Vec<_>, Vec<_>) = done.into_iter().unzip();
        Ok((held.into_iter().flatten().collect(), whole.pop().flatten()))
    })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Temperature, benign scores and thresholds for one false alert a day, from recordings that were left out. The limits
/// of what is unknown are not theirs to say: they come with the network.
pub fn fit_settings(held_out: &[&HeldOut], options: &Options) -> Settings {
    let flows: Vec<&ScoredFlow> = held_out.iter().flat_map(|held| &held.flows).collect();
    let hours: f64 = held_out.iter().map(|held| held.hours).sum();
    let temperature = fit_temperature(&flows);
    let plain = Settings::plain(options.steps as u32, PACKETS, LOWEST_THRESHOLD, CLASSES.len());
    let calibrated = Settings { temperature, ..plain };
    let recordings: Vec<&[ScoredFlow]> = held_out.iter().map(|held| held.flows.as_slice()).collect();
    let benign = benign_scores(&recordings, &calibrated, hours as f32);
    let unknown = Some(benign_beyond(&flows, &calibrated));
    Settings { benign, unknown, ..calibrated }.for_false_alerts(FALSE_ALERTS_PER_DAY)
}

/// Packets in a row that a call needs.
const PACKETS: u32 = 3;
/// Of classes that no benign conversation came near.
const LOWEST_THRESHOLD: f32 = 0.9;
/// Benign conversations called a day that thresholds are chosen for.
const FALSE_ALERTS_PER_DAY: f32 = 1.0;

/// The settings for each recording, from the others that were left out.
pub fn cross_settings(held_out: &[HeldOut], options: &Options) -> Vec<Settings> {
    let of = |held: &HeldOut| {
        let others: Vec<&HeldOut> =
            held_out.iter().filter(|other| other.recording != held.recording).collect();
        fit_settings(&others, options)
    };
    held_out.iter().map(of).collect()
}

/// Trains the model that detection runs: on all recordings, with temperature and thresholds from leaving each out,
/// and those figures in its card. The same recordings, options and instruction set give the same bytes.
///
/// # Errors
/// As [`train_network`], or fewer than two recordings hold attacks.
pub fn train(
    recordings: &[Recording],
    options: &Options,
    heard: &mut dyn Heard,
) -> Result<ModelFile, SequenceError> {
    let (held_out, whole) = folds((recordings, &[]), options, true, heard)?;
    let Some((network, limits)) = whole.filter(|_| held_out.len() > 1) else {
        let conversations = held_out.iter().map(|held| held.flows.len()).sum();
        return Err(SequenceError::TooLittle { recordings: recordings.len(), conversations, classes: 1 });
    };
    let mut settings = fit_settings(&held_out.iter().collect::<Vec<_>>(), options);
    settings.unknown.iter_mut().for_each(|unknown| unknown.limits = limits.clone());
    let metrics: Vec<serde_json::Value> = held_out
        .iter()
        .zip(cross_settings(&held_out, options))
        .map(|(held, settings)| json!({ "held_out": held.recording, "figures": figures(&held.flows, &settings) }))
        .collect();
    let data = recordings.iter().flat_map(|r| &r.captures).map(Captured::data_file).collect();
    let card = card(options, &settings, data, json!({ "leave_one_recording_out": metrics }));
    Ok(ModelFile { network: detached(&network, card.spec())?, card })
}

/// The model of a network whose settings were chosen, not fitted on recordings left out; without figures in its card.
///
/// # Errors
/// The network is not of the options' shape.
pub fn model_file(
    network: &Network,
    recordings: &[&Recording],
    options: &Options,
    settings: &Settings,
) -> Result<ModelFile, SequenceError> {
    let data = recordings.iter().flat_map(|r| &r.captures).map(Captured::data_file).collect();
    let card = card(options, settings, data, serde_json::Value::Null);
    Ok(ModelFile { network: detached(network, card.spec())?, card })
}

/// The settings in a model's card.
///
/// # Errors
/// The card is not of this preset.
pub fn settings_of(card: &Card) -> Result<Settings, SequenceError> {
    let stored = card.training.get("verdict").cloned().unwrap_or_default();
    serde_json::from_value(stored).map_err(|error| {
        let problem = format!("its card has no settings for verdicts ({error})");
        citronella_sensor::detect::ModelError::Card { file: "the model".into(), problem }.into()
    })
}

fn card(options: &Options, settings: &Settings, data: Vec<DataFile>, metrics: serde_json::Value) -> Card {
    // The level's numbers lie between 0 and 1 already.
    let as_it_is = Op::Standardise { mean: 0.0, std: 1.0 };
    let inputs = SEQUENCE.iter().map(|column| Input { column: column.name.to_owned(), op: as_it_is.clone() });
    Card {
        format: FORMAT,
        program: env!("CARGO_PKG_VERSION").to_owned(),
        preset: PRESET.to_owned(),
        level: Level::Sequence.name().to_owned(),
        classes: CLASSES.iter().map(|class| (*class).to_owned()).collect(),
        inputs: inputs.collect(),
        rows: RowRule { required: Vec::new(), rows_per_file: None },
        network: NetworkCard { shape: Shape::Rows, lstm: options.hidden.clone(), outputs: CLASSES.len() },
        seed: options.seed,
        data,
        training: json!({ "options": options, "verdict": settings }),
        metrics,
    }
}

/// The weights in a network of the card's shape: without what only training needs.
fn detached(network: &Network, spec: Spec) -> Result<Network, SequenceError> {
    let tensors = network.tensors();
    let spec = Spec { loss_at: LossAt::LastStep, ..spec };
    let get = |name: &str| tensors.iter().find(|t| t.0 == name).map(|t| (t.1.clone(), t.2.clone()));
    Ok(Network::from_tensors(spec, get)?)
}
