//! Training on recordings, and leave-one-recording-out validation.

use std::sync::{Mutex, MutexGuard, PoisonError};

use citronella_nn::Network;
use citronella_sensor::{detect::ModelFile, feature::sequence::unknown::Limits};
use rayon::prelude::*;
use serde_json::json;

use super::{
    HeldOut, Options, Pool, Recording, SequenceError, cross_settings, figures, fit, fit_settings, gather,
    model_file::with_metrics, score,
};

/// Observes training.
pub trait Observer: Send {
    /// Training of a network begins, on a training set of `conversations`. `held_out` is evaluated afterwards.
    fn begin(&mut self, held_out: Option<&str>, conversations: usize) {
        let _ = (held_out, conversations);
    }

    /// An epoch of a network has ended; `number` counts from 1.
    fn epoch(&mut self, number: usize, of: usize, loss: f64) {
        let _ = (number, of, loss);
    }
}

/// Ignores all notifications.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Observer for Silent {}

/// A network, and the limits of its training set's benign hosts.
pub type Trained = (Network, Limits);

/// Trains a network on recordings.
///
/// # Errors
/// A capture cannot be read, or the recordings hold fewer than two classes.
pub fn train_network(
    recordings: &[&Recording],
    held_out: Option<&str>,
    options: &Options,
    observer: &mut dyn Observer,
) -> Result<Trained, SequenceError> {
    let pool = Pool::union(&on_threads(options, || gather(recordings, options))?);
    observer.begin(held_out, pool.len());
    let on_epoch = &mut |number, loss| observer.epoch(number, options.epochs, loss);
    let network = fit(&pool, options, on_epoch)?;
    Ok((network, pool.limits().clone()))
}

/// Runs `work` on a pool of `options.threads` threads; on the global pool if none can be created.
fn on_threads<T: Send>(options: &Options, work: impl FnOnce() -> T + Send) -> T {
    match rayon::ThreadPoolBuilder::new().num_threads(options.threads.max(1)).build() {
        Ok(threads) => threads.install(work),
        Err(_) => work(),
    }
}

/// Leave-one-recording-out validation: holds out each recording with an attack in turn, trains on the others and
/// scores it. Recordings without attacks, and those of `always`, are in every training set.
///
/// # Errors
/// As [`train_network`].
pub fn leave_one_out(
    recordings: &[Recording],
    always: &[Recording],
    options: &Options,
    observer: &mut dyn Observer,
) -> Result<Vec<HeldOut>, SequenceError> {
    Ok(folds((recordings, always), options, false, observer)?.0)
}

/// The folds, and with `whole` also the network of all recordings. Gathers once; trains the folds in parallel, one
/// thread each.
fn folds(
    (recordings, always): (&[Recording], &[Recording]),
    options: &Options,
    whole: bool,
    observer: &mut dyn Observer,
) -> Result<(Vec<HeldOut>, Option<Trained>), SequenceError> {
    let observer = Mutex::new(observer);
    let mut tasks: Vec<Option<&Recording>> =
        recordings.iter().filter(|recording| recording.is_attacked()).map(Some).collect();
    tasks.extend(whole.then_some(None));
    let single = Options { threads: 1, ..options.clone() };
    on_threads(options, || {
        let all: Vec<&Recording> = recordings.iter().chain(always).collect();
        let pools = gather(&all, options)?;
        let run = |held: &Option<&Recording>| {
            let name = held.map(|r| r.name.as_str());
            let others = all.iter().zip(&pools).filter(|(r, _)| Some(r.name.as_str()) != name);
            let pool = Pool::union(others.map(|(_, pool)| pool));
            lock(&observer).begin(name, pool.len());
            let network = fit(&pool, &single, &mut |number, loss| {
                lock(&observer).epoch(number, options.epochs, loss);
            })?;
            let limits = pool.limits();
            let Some(held) = held else { return Ok((None, Some((network, limits.clone())))) };
            let flows = score(&network, limits, options.steps, &held.captures)?;
            let hours = held.hours()?;
            Ok((Some(HeldOut { recording: held.name.clone(), hours, flows }), None))
        };
        let done: Vec<_> = tasks.par_iter().with_max_len(1).map(run).collect::<Result<_, SequenceError>>()?;
        let (held, mut whole): (Vec<_>, Vec<_>) = done.into_iter().unzip();
        Ok((held.into_iter().flatten().collect(), whole.pop().flatten()))
    })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Trains the model that detection runs: the network on all recordings, temperature and thresholds by
/// leave-one-recording-out, whose figures go into the card. The same recordings, options and instruction set give the
/// same bytes.
///
/// # Errors
/// As [`train_network`], or fewer than two recordings hold attacks.
pub fn train(
    recordings: &[Recording],
    options: &Options,
    observer: &mut dyn Observer,
) -> Result<ModelFile, SequenceError> {
    let (held_out, whole) = folds((recordings, &[]), options, true, observer)?;
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
    let recordings: Vec<&Recording> = recordings.iter().collect();
    let metrics = json!({ "leave_one_recording_out": metrics });
    with_metrics(&network, &recordings, options, &settings, metrics)
}
