//! A model's walk over captures: what it says of each conversation after each packet.
//!
//! It runs as detection does: rows in packet order, one state a conversation, taken back to its begin every so many
//! packets.

use std::net::IpAddr;

use citronella_nn::{Network, StreamCell};
use citronella_sensor::feature::sequence::SequenceLevel;
use citronella_wire::decode_frame;

use super::{
    SequenceError, pool,
    recording::Captured,
    variant::{Changer, Variant},
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
    /// The class that the manifest gives it.
    pub truth: u32,
}

/// Walks over captures. `window` is the number of packets after which a state begins anew.
///
/// # Errors
/// The capture cannot be read, or the network reads other rows.
pub fn score(
    network: &Network,
    window: usize,
    captures: &[Captured],
) -> Result<Vec<ScoredFlow>, SequenceError> {
    score_variant(network, window, captures, Variant::PLAIN)
}

/// [`score`] of captures as they might have been: an attack that is slower, spread over sources, or from inside.
///
/// # Errors
/// As [`score`].
pub fn score_variant(
    network: &Network,
    window: usize,
    captures: &[Captured],
    variant: Variant,
) -> Result<Vec<ScoredFlow>, SequenceError> {
    let mut flows: Vec<ScoredFlow> = Vec::new();
    for (number, capture) in captures.iter().enumerate() {
        score_capture(network, window, number, capture, variant, &mut flows)?;
    }
    Ok(flows)
}

fn score_capture(
    network: &Network,
    window: usize,
    number: usize,
    capture: &Captured,
    variant: Variant,
    flows: &mut Vec<ScoredFlow>,
) -> Result<(), SequenceError> {
    let config = pool::config();
    let mut level = SequenceLevel::new(config);
    let mut cell = StreamCell::new(network, config.flows.max_flows)?;
    let mut places: Vec<usize> = Vec::new();
    let mut packets = capture.open()?;
    let clients = if variant.inside { pool::clients(capture)? } else { Vec::new() };
    let mut changer = Changer::new(variant, capture, &clients);
    while let Some(packet) = packets.next()? {
        let mut frame = decode_frame(packet.link, packet.bytes);
        let Some(truth) = frame.ip.map(|ip| pool::class_number(capture.class_of(ip.src, ip.dst))) else {
            continue;
        };
        let Some(time_nanos) = changer.change(packet.time_nanos, &mut frame) else { continue };
        let Some(row) = level.frame(time_nanos, &frame) else { continue };
        let slot = row.slot as usize;
        if row.is_new {
            if slot >= places.len() {
                places.resize(slot + 1, usize::MAX);
            }
            places.get_mut(slot).into_iter().for_each(|place| *place = flows.len());
            let Some(flow) = level.flow(row.slot) else { continue };
            let (src, dst) = (flow.src(), flow.dst());
            flows.push(ScoredFlow {
                capture: number,
                src,
                dst,
                protocol: flow.key().protocol(),
                times: Vec::new(),
                said: Vec::new(),
                truth,
            });
        }
        let place = places.get(slot).copied().unwrap_or(usize::MAX);
        let Some(flow) = flows.get_mut(place) else { continue };
        if flow.said.len().is_multiple_of(window.max(1)) {
            cell.reset(row.slot);
        }
        let mut said = Probabilities::default();
        cell.step(row.slot, &row.features, &mut said)?;
        flow.times.push(time_nanos);
        flow.said.push(said);
    }
    Ok(())
}
