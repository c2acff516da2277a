//! A network's output for every packet of every conversation of some captures.
//!
//! As in detection: rows in packet order, one state per conversation, reset every `window` packets.

use std::net::IpAddr;

use citronella_nn::{Network, StreamCell};
use citronella_sensor::feature::sequence::unknown::Limits;

use super::{
    MemoryCapture, SequenceError, Variant,
    traffic::{LabelledRow, Traffic, level_config},
};
use crate::dataset::CLASSES;

/// Class probabilities, in the order of [`CLASSES`].
pub type Probabilities = [f32; CLASSES.len()];

/// A conversation with the network's outputs.
#[derive(Clone, Debug)]
pub struct ScoredFlow {
    /// Index of its capture among those scored.
    pub capture: usize,
    /// Initiator.
    pub src: (IpAddr, u16),
    /// Responder.
    pub dst: (IpAddr, u16),
    /// IANA protocol number.
    pub protocol: u8,
    /// Time of each packet, Unix nanoseconds.
    pub times: Vec<i64>,
    /// Uncalibrated probabilities after each packet.
    pub probabilities: Vec<Probabilities>,
    /// How far the initiator exceeds the benign hosts of training, after each packet: [`Limits::excess`].
    pub beyond: Vec<f32>,
    /// Class by the manifest.
    pub truth: u32,
    /// Benign conversation of a host that also attacks.
    pub is_benign_of_attacker: bool,
}

/// A held-out recording, scored by a network that was not trained on it.
#[derive(Clone, Debug)]
pub struct HeldOut {
    /// The recording's name.
    pub recording: String,
    /// Its duration in hours.
    pub hours: f64,
    /// Its conversations.
    pub flows: Vec<ScoredFlow>,
}

/// Scores captures. A state is reset after `window` packets; `limits` are those of the network's training set.
///
/// # Errors
/// A capture cannot be read, or the network has other inputs.
pub fn score(
    network: &Network,
    limits: &Limits,
    window: usize,
    captures: &[MemoryCapture],
) -> Result<Vec<ScoredFlow>, SequenceError> {
    score_variant(network, limits, window, captures, Variant::PLAIN)
}

/// [`score`] of a variant of the captures.
///
/// # Errors
/// As [`score`].
pub fn score_variant(
    network: &Network,
    limits: &Limits,
    window: usize,
    captures: &[MemoryCapture],
    variant: Variant,
) -> Result<Vec<ScoredFlow>, SequenceError> {
    let one = |(number, capture)| score_capture((network, limits), window, number, capture, variant);
    let all: Vec<_> = captures.iter().enumerate().map(one).collect::<Result<_, _>>()?;
    Ok(all.into_iter().flatten().collect())
}

fn score_capture(
    (network, limits): (&Network, &Limits),
    window: usize,
    number: usize,
    capture: &MemoryCapture,
    variant: Variant,
) -> Result<Vec<ScoredFlow>, SequenceError> {
    let mut flows: Vec<ScoredFlow> = Vec::new();
    let mut cell = StreamCell::new(network, level_config().flows.max_flows)?;
    let mut index_of_slot: Vec<usize> = Vec::new();
    let mut outcome = Ok(());
    Traffic::read(capture)?.for_each_row(capture, variant, |level, labelled| {
        let LabelledRow { time_nanos, class, is_benign_of_attacker, row } = labelled;
        let slot = row.slot as usize;
        if row.is_new {
            if slot >= index_of_slot.len() {
                index_of_slot.resize(slot + 1, usize::MAX);
            }
            index_of_slot.get_mut(slot).into_iter().for_each(|index| *index = flows.len());
            let Some(flow) = level.flow(row.slot) else { return };
            flows.push(ScoredFlow {
                capture: number,
                src: flow.src(),
                dst: flow.dst(),
                protocol: flow.key().protocol(),
                times: Vec::new(),
                probabilities: Vec::new(),
                beyond: Vec::new(),
                truth: class,
                is_benign_of_attacker,
            });
        }
        let Some(flow) = index_of_slot.get(slot).and_then(|index| flows.get_mut(*index)) else { return };
        if flow.probabilities.len().is_multiple_of(window.max(1)) {
            cell.reset(row.slot);
        }
        let mut probabilities = Probabilities::default();
        if let Err(error) = cell.step(row.slot, &row.features, &mut probabilities) {
            outcome = Err(error);
        }
        flow.times.push(time_nanos);
        flow.probabilities.push(probabilities);
        flow.beyond.push(limits.excess(&row.features));
    });
    outcome?;
    Ok(flows)
}
