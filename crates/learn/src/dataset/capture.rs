//! Rows of captures, at every level that packets give.

use std::ops::ControlFlow;

use citronella_sensor::{
    capture::{Capture, CaptureError, Packet},
    detect::Value,
    feature::{
        biflow::BiflowLevel,
        packet::{Attacker, Cell, PacketLevel},
        schema::Level,
        sequence::{Config, SequenceLevel},
        uniflow::UniflowLevel,
    },
    flow::ids2020::{Counters, Limits},
};

use super::{
    DatasetError,
    rows::{RawCell, Row, RowConsumer},
    table::IS_ATTACK,
};

/// The state of a capture after its rows.
pub(crate) struct CaptureSummary {
    /// The link layer of its first packet.
    pub(crate) link: Option<&'static str>,
    /// Where and why reading ended early; the rows before are complete.
    pub(crate) cut: Option<CaptureError>,
    /// Packets beyond the flow table's cap, and packets too late to be put in order.
    pub(crate) lost_packets: Option<(u64, u64)>,
    /// pcapng blocks of unknown types, which were skipped.
    pub(crate) unknown_blocks: u64,
}

struct CellRow<'a>(&'a [Cell]);

impl Row for CellRow<'_> {
    #[inline]
    fn cell(&self, column: usize) -> RawCell<'_> {
        RawCell::Value(self.0.get(column).map_or(Value::Empty, |&cell| cell.into()))
    }
}

/// Hands a capture's rows to `consumer`: packets by their number in the capture as they are read, flows by their
/// number from 1 at its end. The last column is `is_attack`.
pub(crate) fn read_rows<C: RowConsumer>(
    capture: &mut Capture,
    (level, attacker): (Level, Attacker),
    consumer: &mut C,
) -> Result<CaptureSummary, C::Error> {
    let mut names: Vec<String> = level.columns().iter().map(|column| column.name.to_owned()).collect();
    if !names.iter().any(|name| name == IS_ATTACK) {
        names.push(IS_ATTACK.to_owned());
    }
    consumer.columns(&names)?;
    let mut summary = CaptureSummary { link: None, cut: None, lost_packets: None, unknown_blocks: 0 };
    let mut extractor = Extractor::new(level, attacker);
    loop {
        match capture.next() {
            Ok(Some(packet)) => {
                summary.link.get_or_insert(packet.link.name());
                if extractor.add(&packet, attacker, consumer).is_break() {
                    break;
                }
            }
            Ok(None) => break,
            Err(fault) if fault.is_cut() => {
                summary.cut = Some(fault);
                break;
            }
            Err(fault) => return Err(DatasetError::from(fault).into()),
        }
    }
    summary.lost_packets = extractor.finish(consumer);
    summary.unknown_blocks = capture.unknown_blocks();
    Ok(summary)
}

/// Extracts the rows of a level.
enum Extractor {
    Packet(Box<PacketLevel>),
    Sequence(Box<SequenceLevel>),
    Uniflow { flows: Box<UniflowLevel>, is_extended: bool },
    Biflow { flows: Box<BiflowLevel>, is_extended: bool },
}

impl Extractor {
    fn new(level: Level, attacker: Attacker) -> Extractor {
        let limits = Limits::default;
        match level {
            // Callers refuse NSL-KDD, whose rows do not come from packets.
            Level::Packet | Level::NslKdd => Extractor::Packet(Box::new(PacketLevel::new(attacker))),
            Level::Sequence => Extractor::Sequence(Box::new(SequenceLevel::new(Config::default()))),
            Level::Uniflow | Level::UniflowExtended => Extractor::Uniflow {
                flows: Box::new(UniflowLevel::new(attacker, limits())),
                is_extended: level == Level::UniflowExtended,
            },
            Level::Biflow | Level::BiflowExtended => Extractor::Biflow {
                flows: Box::new(BiflowLevel::new(attacker, limits())),
                is_extended: level == Level::BiflowExtended,
            },
        }
    }

    fn add<C: RowConsumer>(
        &mut self,
        packet: &Packet<'_>,
        attacker: Attacker,
        consumer: &mut C,
    ) -> ControlFlow<()> {
        match self {
            Extractor::Packet(level) => {
                if let Some(row) = level.row(packet) {
                    return consumer.row(packet.number, &CellRow(&row.cells()));
                }
            }
            Extractor::Sequence(level) => {
                if let Some(row) = level.packet(packet) {
                    let frame = citronella_wire::decode_frame(packet.link, packet.bytes);
                    let label = attacker.label_of(&frame).map_or(Cell::Empty, Cell::Flag);
                    let numbers = row.features.iter().map(|&number| Cell::Float(number.into()));
                    let cells: Vec<Cell> = numbers.chain([label]).collect();
                    return consumer.row(packet.number, &CellRow(&cells));
                }
            }
            Extractor::Uniflow { flows, .. } => {
                flows.add(packet);
            }
            Extractor::Biflow { flows, .. } => {
                flows.add(packet);
            }
        }
        ControlFlow::Continue(())
    }

    /// Ends all flows, and returns the packets that they lost, if any.
    fn finish<C: RowConsumer>(self, consumer: &mut C) -> Option<(u64, u64)> {
        match self {
            Extractor::Packet(_) | Extractor::Sequence(_) => None,
            Extractor::Uniflow { flows, is_extended } => {
                let flows = flows.finish();
                let counters = flows.counters();
                emit_rows(flows, |number, row| match is_extended {
                    true => consumer.row(number, &CellRow(&row.extended_cells())),
                    false => consumer.row(number, &CellRow(&row.cells())),
                });
                lost_packets(counters)
            }
            Extractor::Biflow { flows, is_extended } => {
                let flows = flows.finish();
                let counters = flows.counters();
                emit_rows(flows, |number, row| match is_extended {
                    true => consumer.row(number, &CellRow(&row.extended_cells())),
                    false => consumer.row(number, &CellRow(&row.cells())),
                });
                lost_packets(counters)
            }
        }
    }
}

/// Numbers rows from 1 and passes them on until the consumer has enough.
fn emit_rows<R>(rows: impl Iterator<Item = R>, mut emit: impl FnMut(u64, &R) -> ControlFlow<()>) {
    for (number, row) in (1..).zip(rows) {
        if emit(number, &row).is_break() {
            break;
        }
    }
}

/// Packets of flows beyond the cap, and packets that arrived too late, if there are any.
fn lost_packets(counters: Counters) -> Option<(u64, u64)> {
    (counters != Counters::default()).then_some((counters.packets_over_cap, counters.packets_too_late))
}
