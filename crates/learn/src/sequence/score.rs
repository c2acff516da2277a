//! A model's walk over captures: what it says of each conversation after each packet.
//!
//! It runs as detection does: rows in packet order, one state a conversation, taken back to its begin every so many
//! packets.

use std::net::IpAddr;

use citronella_nn::{Network, StreamCell};
use citronella_sensor::feature::sequence::unknown::Limits;

use super::{
    SequenceError, Variant, pool,
    recording::Captured,
    traffic::{Traffic, Walked},
};
use crate::dataset::CLASSES;

/// Probabilities of the classes, in the order of [`CLASSES`].
pub type Probabilities = [f32; CLASSES.len()];

/// A conversation and what the model said.
#[derive(Clone, Debug)]
pub struct ScoredFlow {
    /// The capture it lies in, of those given.
    pub capture: usize,
    /// Initiator first.
    pub src: (IpAddr, u16),
    /// Responder.
    pub dst: (IpAddr, u16),
    /// IANA protocol number.
    pub protocol: u8,
    /// Time of each packet, nanoseconds since 1970.
    pub times: Vec<i64>,
    /// What the model said after each packet.
    pub said: Vec<Probabilities>,
    /// How far its initiator was beyond benign hosts of training after each packet: [`Limits::excess`].
    pub beyond: Vec<f32>,
    /// The class that the manifest gives it.
    pub truth: u32,
    /// Honest work of a host from which an attack comes too.
    pub beside_attack: bool,
}

/// Walks over captures. `window` is the number of packets after which a state begins anew; `limits` are of the benign
/// traffic that the network was trained on.
///
/// # Errors
/// The capture cannot be read, or the network reads other rows.
pub fn score(
    network: &Network,
    limits: &Limits,
    window: usize,
    captures: &[Captured],
) -> Result<Vec<ScoredFlow>, SequenceError> {
    score_variant(network, limits, window, captures, Variant::PLAIN)
}

/// [`score`] of captures as they might have been: an attack that is slower, spread over sources, or from inside.
///
/// # Errors
/// As [`score`].
pub fn score_variant(
    network: &Network,
    limits: &Limits,
    window: usize,
    captures: &[Captured],
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
    capture: &Captured,
    variant: Variant,
) -> Result<Vec<ScoredFlow>, SequenceError> {
    let mut flows: Vec<ScoredFlow> = Vec::new();
    let mut cell = StreamCell::new(network, pool::config().flows.max_flows)?;
    let mut places: Vec<usize> = Vec::new();
    let mut outcome = Ok(());
    Traffic::read(capture)?.walk(
        capture,
        variant,
        |level, Walked { time_nanos, class, beside_attack, row }| {
            let slot = row.slot as usize;
            if row.is_new {
                if slot >= places.len() {
                    places.resize(slot + 1, usize::MAX);
                }
                places.get_mut(slot).into_iter().for_each(|place| *place = flows.len());
                let Some(flow) = level.flow(row.slot) else { return };
                let (src, dst, protocol) = (flow.src(), flow.dst(), flow.key().protocol());
                let (times, said, beyond) = (Vec::new(), Vec::new(), Vec::new());
                flows.push(ScoredFlow {
                    capture: number,
                    src,
                    dst,
                    protocol,
                    times,
                    said,
                    beyond,
                    truth: class,
                    beside_attack,
                });
            }
            let Some(flow) = places.get(slot).and_then(|place| flows.get_mut(*place)) else { return };
            if flow.said.len().is_multiple_of(window.max(1)) {
                cell.reset(row.slot);
            }
            let mut said = Probabilities::default();
            if let Err(error) = cell.step(row.slot, &row.features, &mut said) {
                outcome = Err(error);
            }
            flow.times.push(time_nanos);
            flow.said.push(said);
            flow.beyond.push(limits.excess(&row.features));
        },
    );
    outcome?;
    Ok(flows)
}
