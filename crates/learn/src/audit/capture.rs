//! Rows of captures, at any level.

use std::path::Path;

use citronella_sensor::{
    capture::Capture,
    feature::{
        biflow::BiflowLevel,
        packet::{Attacker, Cell as Field, PacketLevel},
        schema::{Level, Role as SchemaRole},
        sequence::{Config, SequenceLevel},
        uniflow::UniflowLevel,
    },
    flow::ids2020::Limits,
};

use super::{
    AuditError, ReadOptions, Rows,
    role::{Role, role_of},
    rows::{Cell, Sampler},
    source,
};
use crate::dataset::{LabelRule, ManifestEntry, NORMAL};

/// Takes rows of one capture.
struct Taker<'a> {
    sampler: Sampler,
    options: &'a ReadOptions,
    level: Level,
    /// What an attack row is called, and a row under labels by file.
    scenario: String,
    has_manifest: bool,
    required: Vec<usize>,
    incomplete: u64,
    read: u64,
}

impl Taker<'_> {
    /// Takes a row's cells in the schema's order, label included; `false` where no more are wanted.
    fn take(&mut self, fields: &[Field], is_attack: Option<bool>) -> bool {
        if self.options.rows_per_file.is_some_and(|most| self.read >= most) {
            return false;
        }
        self.read += 1;
        if self.required.iter().any(|&at| matches!(fields.get(at), None | Some(Field::Empty))) {
            self.incomplete += 1;
            return true;
        }
        let by_file = !self.has_manifest || self.options.labels == LabelRule::File;
        let class =
            if by_file || is_attack == Some(true) { self.scenario.clone() } else { NORMAL.to_owned() };
        let drawn = self.sampler.draw_labelled(source::class_name(&class), is_attack);
        let Some((place, kept)) = drawn else { return true };
        let mut cells = Vec::with_capacity(fields.len());
        for (at, column) in features(self.level).enumerate() {
            let cell = match fields.get(column) {
                None | Some(Field::Empty) => Cell::Empty,
                Some(Field::Micros(micros)) => Cell::Number(*micros as f64),
                Some(Field::Address(address)) => self.sampler.text(at, &address.to_string()),
                Some(Field::Name(name)) => self.sampler.text(at, name),
                Some(Field::UInt(number)) => Cell::Number((*number).into()),
                Some(Field::Flag(flag)) => Cell::Number((*flag).into()),
                Some(Field::Float(number)) => Cell::Number(*number),
            };
            cells.push(cell);
        }
        self.sampler.put(place, &cells, kept);
        true
    }
}

/// Places of a level's columns without the label.
fn features(level: Level) -> impl Iterator<Item = usize> {
    let columns = level.columns().iter().enumerate();
    columns.filter(|(_, column)| column.role != SchemaRole::Label).map(|(at, _)| at)
}

/// A capture's rows. It is read to where it is cut, if it is.
pub(super) fn read(
    path: &Path,
    recording: &str,
    entry: Option<&ManifestEntry>,
    options: &ReadOptions,
    sampler: &dyn Fn(usize) -> Sampler,
    rows: &mut Rows,
) -> Result<(), AuditError> {
    let level = options.level;
    if options.label.is_some() {
        let problem = "a capture has no label column; leave --label out: its class comes from the manifest, or is its file's name";
        return Err(AuditError::Unfit { file: path.display().to_string(), problem: problem.into() });
    }
    if level == Level::NslKdd {
        let problem = "NSL-KDD's rows cannot be made from a capture; give its own files";
        return Err(AuditError::Unfit { file: path.display().to_string(), problem: problem.into() });
    }
    let mut file = source::describe(path, recording)?;
    let mut capture = Capture::open(path).map_err(crate::dataset::DatasetError::from)?;
    let attacker = entry.map_or(Attacker::Unknown, |entry| entry.attacker);
    let place = |name: &String| level.columns().iter().position(|column| column.name == name);
    let mut taker = Taker {
        sampler: sampler(features(level).count()),
        options,
        level,
        scenario: entry.map_or_else(|| recording.to_owned(), |entry| entry.scenario.clone()),
        has_manifest: entry.is_some(),
        required: options.required.iter().filter_map(place).collect(),
        incomplete: 0,
        read: 0,
    };
    let mut maker = Maker::new(level, attacker);
    loop {
        match capture.next() {
            Ok(Some(packet)) => {
                file.link.get_or_insert(packet.link.name());
                if !maker.packet(&packet, attacker, &mut taker) {
                    break;
                }
            }
            Ok(None) => break,
            Err(fault) if fault.is_cut() && taker.read > 0 => {
                rows.leave_out(&format!("behind the cut of {}", file.name), 1);
                break;
            }
            Err(fault) => return Err(crate::dataset::DatasetError::from(fault).into()),
        }
    }
    maker.finish(&mut taker);
    rows.leave_out("an empty cell", taker.incomplete);
    let columns = level.columns();
    let names = features(level).filter_map(|at| columns.get(at)).map(|column| {
        let role = if level == Level::Sequence { Role::Feature } else { role_of(column.name) };
        (column.name.to_owned(), role)
    });
    taker.sampler.finish(file, &names.collect::<Vec<_>>(), rows);
    Ok(())
}

/// Makes rows of packets.
enum Maker {
    Packet(Box<PacketLevel>),
    Sequence(Box<SequenceLevel>),
    Uniflow(Box<UniflowLevel>),
    Biflow(Box<BiflowLevel>),
}

impl Maker {
    fn new(level: Level, attacker: Attacker) -> Maker {
        match level {
            // NSL-KDD's rows are not made of packets: `read` refuses them.
            Level::Packet | Level::NslKdd => Maker::Packet(Box::new(PacketLevel::new(attacker))),
            Level::Sequence => Maker::Sequence(Box::new(SequenceLevel::new(Config::default()))),
            Level::Uniflow | Level::UniflowExtended => {
                Maker::Uniflow(Box::new(UniflowLevel::new(attacker, Limits::default())))
            }
            Level::Biflow | Level::BiflowExtended => {
                Maker::Biflow(Box::new(BiflowLevel::new(attacker, Limits::default())))
            }
        }
    }

    fn packet(
        &mut self,
        packet: &citronella_sensor::capture::Packet<'_>,
        attacker: Attacker,
        taker: &mut Taker<'_>,
    ) -> bool {
        match self {
            Maker::Packet(level) => {
                level.row(packet).is_none_or(|row| taker.take(&row.cells(), row.is_attack))
            }
            Maker::Sequence(level) => level.packet(packet).is_none_or(|row| {
                let is_attack = attacker.label_of(&citronella_wire::decode_frame(packet.link, packet.bytes));
                taker.take(&row.features.map(|number| Field::Float(number.into())), is_attack)
            }),
            Maker::Uniflow(level) => {
                level.add(packet);
                true
            }
            Maker::Biflow(level) => {
                level.add(packet);
                true
            }
        }
    }

    /// The flows, which end with the capture.
    fn finish(self, taker: &mut Taker<'_>) {
        let is_attack = |cells: &[Field]| match cells.last() {
            Some(Field::Flag(flag)) => Some(*flag),
            _ => None,
        };
        match self {
            Maker::Packet(_) | Maker::Sequence(_) => {}
            Maker::Uniflow(level) => level.finish().for_each(|row| {
                let cells = row.cells();
                taker.take(&cells, is_attack(&cells));
            }),
            Maker::Biflow(level) => level.finish().for_each(|row| {
                let cells = row.cells();
                taker.take(&cells, is_attack(&cells));
            }),
        }
    }
}
