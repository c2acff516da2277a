//! The entries of the sequence detector, whose rows are conversations and whose training is its own.

use std::time::Instant;

use citronella_sensor::feature::{schema::Level, sequence::verdict::Settings};

use super::{Cell, CompareError, Data, Entry, Options, Protocol, Task, totals::Totals};
use crate::{
    dataset::{CLASSES, NORMAL},
    sequence::{self, HeldOut, Recording, ScoredFlow, Silent, cross_settings, verdict},
};

/// The multi-class and the binary entry: each recording with an attack is left out in turn.
pub(super) fn entries(data: &Data, options: &Options) -> Result<[Entry; 2], CompareError> {
    let (mut held_out, mut train_s, mut test_s, mut bytes) = (Vec::new(), 0.0, 0.0, 0u64);
    for held in data.recordings.iter().filter(|recording| recording.is_attacked()) {
        let others: Vec<&Recording> = data.recordings.iter().filter(|r| r.name != held.name).collect();
        let begin = Instant::now();
        let (network, limits) =
            sequence::train_network(&others, Some(&held.name), &options.sequence, &mut Silent)?;
        train_s += begin.elapsed().as_secs_f64();
        let begin = Instant::now();
        let flows = sequence::score(&network, &limits, options.sequence.steps, &held.captures)?;
        test_s += begin.elapsed().as_secs_f64();
        bytes += network.tensors().iter().map(|(_, _, values)| values.len() as u64 * 4).sum::<u64>();
        held_out.push(HeldOut { recording: held.name.clone(), hours: held.hours()?, flows });
    }
    let settings = cross_settings(&held_out, &options.sequence);
    let mut totals = [Totals::default(), Totals::default()];
    let classes: Vec<String> = CLASSES.iter().map(|class| (*class).to_owned()).collect();
    let binary = [NORMAL.to_owned(), "attack".to_owned()];
    for (held, settings) in held_out.iter().zip(&settings) {
        let (mut truth, mut scores, mut pairs) = (Vec::new(), Vec::new(), Vec::new());
        for flow in &held.flows {
            let class = verdict(flow, settings).class;
            let normal = normal(flow, settings);
            let attack = if class > 0 { 1.0 - normal } else { 0.0 };
            truth.push(flow.truth);
            let mut row = vec![0.0f32; classes.len()];
            row.iter_mut().take(1).for_each(|p| *p = normal);
            row.iter_mut().skip(class.max(1) as usize).take(1).for_each(|p| *p = attack);
            scores.extend(row);
            pairs.extend([normal, attack]);
        }
        let attacks: Vec<u32> = truth.iter().map(|&class| u32::from(class > 0)).collect();
        totals[0].add(&classes, &truth, &scores);
        totals[1].add(&binary, &attacks, &pairs);
    }
    let model = super::Model::by_name("sequence").unwrap_or(super::MODELS[0]);
    let mut entries = Vec::new();
    for (totals, task) in totals.into_iter().zip([Task::MultiClass, Task::Binary]) {
        let totals = Totals { train_s, test_s, bytes, ..totals };
        let cell = Cell { model, level: Level::Sequence, task, protocol: Protocol::Recordings };
        let mut entry = totals.entry(&cell, options, None)?;
        entry.caps.push("rows are conversations; all models train on the benign recordings".to_owned());
        entries.push(entry);
    }
    match <[Entry; 2]>::try_from(entries) {
        Ok(entries) => Ok(entries),
        Err(_) => unreachable!("two tasks give two entries"),
    }
}

/// The lowest bound on the probability of `normal` that holds for as many consecutive packets as a verdict needs. It ranks
/// conversations as the verdict's score does, without the rounding of 1 - p. Only flagged conversations get a probability
/// of an attack, so that the verdict decides the class.
fn normal(flow: &ScoredFlow, settings: &Settings) -> f32 {
    let each = flow.probabilities.iter().map(|probabilities| {
        let mut probabilities = *probabilities;
        settings.calibrate(&mut probabilities);
        probabilities.first().copied().unwrap_or_default()
    });
    let all: Vec<f32> = each.collect();
    let highest = |row: &[f32]| row.iter().copied().fold(0.0, f32::max);
    let row = (settings.packets as usize).min(all.len()).max(1);
    all.windows(row).map(highest).fold(1.0, f32::min)
}
