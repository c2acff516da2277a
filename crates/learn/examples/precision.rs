//! Whether verdicts depend on the precision of streaming: `precision MODEL MANIFEST...` runs the sequence detector over
//! recordings in f32 and in bf16 and prints how many conversations are classified differently (docs/adr/0013).

use std::{error::Error, path::Path};

use citronella_learn::{dataset::Manifest, sequence::settings_of};
use citronella_nn::{Precision, StreamCell};
use citronella_sensor::{
    capture::Capture,
    detect::ModelFile,
    feature::sequence::{
        Config, SequenceLevel,
        unknown::NO_EXCESS,
        verdict::{RunningVerdict, Settings},
    },
};

/// Capacity in concurrent flows; the recordings have fewer.
const SLOTS: usize = 1 << 16;

/// The states and verdicts of one precision.
struct Side {
    cell: StreamCell,
    running: Vec<RunningVerdict>,
    /// Packets since the flow began, by slot.
    packets: Vec<u64>,
    out: Vec<f32>,
}

impl Side {
    fn new(model: &ModelFile, precision: Precision) -> Result<Side, citronella_nn::Error> {
        let cell = StreamCell::with_precision(&model.network, SLOTS, precision)?;
        let (running, packets) = (vec![RunningVerdict::default(); SLOTS], vec![0; SLOTS]);
        Ok(Side { cell, running, packets, out: vec![0.0; model.card.classes.len()] })
    }

    fn step(
        &mut self,
        slot: u32,
        is_new: bool,
        x: &[f32],
        settings: &Settings,
    ) -> Result<(), citronella_nn::Error> {
        let at = slot as usize;
        if is_new {
            (self.running[at], self.packets[at]) = (RunningVerdict::default(), 0);
        }
        if is_new || settings.starts_window(self.packets[at]) {
            self.cell.reset(slot);
        }
        self.packets[at] += 1;
        self.cell.step(slot, x, &mut self.out)?;
        settings.calibrate(&mut self.out);
        let beyond =
            settings.unknown.as_ref().zip(x.first_chunk()).map_or(NO_EXCESS, |(u, row)| u.limits.excess(row));
        self.running[at].step(&self.out, beyond, settings);
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let model = ModelFile::load(Path::new(&arguments.next().ok_or("usage: precision MODEL MANIFEST...")?))?;
    let settings = settings_of(&model.card)?;
    for manifest in arguments {
        let manifest = Path::new(&manifest);
        let (mut flows, mut flagged, mut different, mut max_difference) = (0, 0, 0, 0.0f32);
        for entry in Manifest::open(manifest)?.entries {
            let mut capture = Capture::open(&manifest.with_file_name(&entry.file))?;
            let mut level = SequenceLevel::new(Config::default());
            let mut sides = [Side::new(&model, Precision::F32)?, Side::new(&model, Precision::Bf16)?];
            let mut settle = |slot: u32, [full, half]: &mut [Side; 2]| {
                let class = |side: &mut Side| {
                    side.running[slot as usize].end(&settings).map(|classification| classification.class)
                };
                let (full, half) = (class(full), class(half));
                flows += 1;
                flagged += u64::from(full.is_some());
                different += u64::from(full != half);
            };
            while let Some(packet) = capture.next()? {
                let row = level.packet(&packet);
                level.ended().iter().for_each(|ended| settle(ended.slot, &mut sides));
                let Some(row) = row else { continue };
                for side in &mut sides {
                    side.step(row.slot, row.is_new, &row.features, &settings)?;
                }
                let [full, half] = &sides;
                let differences = full.out.iter().zip(&half.out).map(|(a, b)| (a - b).abs());
                max_difference = differences.fold(max_difference, f32::max);
            }
            level.finish().iter().for_each(|ended| settle(ended.slot, &mut sides));
        }
        let name = manifest.display();
        println!(
            "{name}: {flows} flows, {flagged} flagged in f32, {different} different in bf16; probabilities differ by up to {max_difference:.3}"
        );
    }
    Ok(())
}
