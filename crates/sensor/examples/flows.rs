//! Writes the flow rows of a capture as CSV: `flows uniflow|uniflow-extended|biflow|biflow-extended CAPTURE`.

use std::{error::Error, path::Path};

use citronella_sensor::{
    capture::Capture,
    feature::{
        Format, RowWriter, biflow::BiflowLevel, packet::Attacker, schema::Level, uniflow::UniflowLevel,
    },
    flow::ids2020::Limits,
};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().ok_or("which level?")?;
    let capture = arguments.next().ok_or("which capture?")?;
    let known = [Level::Uniflow, Level::UniflowExtended, Level::Biflow, Level::BiflowExtended];
    let level = known.into_iter().find(|level| level.name() == name).ok_or("an unknown level")?;
    let mut capture = Capture::open(Path::new(&capture))?;
    let mut writer = RowWriter::create(Path::new("-"), Format::Csv, level)?;
    match level {
        Level::Biflow | Level::BiflowExtended => {
            let mut flows = BiflowLevel::new(Attacker::Unknown, Limits::default());
            while let Some(packet) = capture.next()? {
                flows.add(&packet);
            }
            for row in flows.finish() {
                match level {
                    Level::Biflow => writer.write(&row.cells())?,
                    _ => writer.write(&row.extended_cells())?,
                }
            }
        }
        _ => {
            let mut flows = UniflowLevel::new(Attacker::Unknown, Limits::default());
            while let Some(packet) = capture.next()? {
                flows.add(&packet);
            }
            for row in flows.finish() {
                match level {
                    Level::Uniflow => writer.write(&row.cells())?,
                    _ => writer.write(&row.extended_cells())?,
                }
            }
        }
    }
    writer.finish()?;
    Ok(())
}
