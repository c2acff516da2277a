//! A file written by the chunk, on any number of threads, equals the one written row by row.

#![allow(clippy::unwrap_used)] // helpers of tests, which clippy does not count as tests

use std::{fs, path::Path};

use citronella_sensor::{
    capture::Capture,
    feature::{
        ChunkWriter, Format, RowWriter, WriteError,
        biflow::BiflowLevel,
        chunks::{Extended, Feeder, Rows},
        packet::{Attacker, PacketLevel, PacketRow},
        schema::Level,
    },
    flow::ids2020::Limits,
};

const SCENARIOS: [&str; 2] = ["mqtt_bruteforce", "normal"];

fn capture(scenario: &str) -> Capture {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../data/lab/run-2");
    Capture::open(&folder.join(format!("{scenario}.pcap.zst"))).unwrap()
}

fn packet_rows(scenario: &str, mut add: impl FnMut(PacketRow)) {
    let (mut capture, mut level) = (capture(scenario), PacketLevel::new(Attacker::Unknown));
    while let Some(packet) = capture.next().unwrap() {
        level.row(&packet).into_iter().for_each(&mut add);
    }
}

fn biflows(scenario: &str) -> BiflowLevel {
    let (mut capture, mut level) =
        (capture(scenario), BiflowLevel::new(Attacker::Unknown, Limits::default()));
    while let Some(packet) = capture.next().unwrap() {
        level.add(&packet);
    }
    level
}

/// The bytes of the file that `write` writes.
fn bytes(format: Format, write: impl FnOnce(&Path)) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(match format {
        Format::Csv => "rows.csv",
        Format::Parquet => "rows.parquet",
    });
    write(&path);
    fs::read(path).unwrap()
}

fn by_chunk<R: Rows>(
    format: Format,
    level: Level,
    threads: usize,
    feed: impl Fn(&mut Feeder<'_, R>, &'static str) -> Result<(), WriteError>,
) -> Vec<u8> {
    bytes(format, |path| {
        let mut writer = ChunkWriter::create(path, format, level, true).unwrap();
        writer
            .write_on(threads, |feeder: &mut Feeder<'_, R>| {
                SCENARIOS.iter().try_for_each(|scenario| feed(feeder, scenario))
            })
            .unwrap();
        assert!(writer.finish().unwrap() > 0);
    })
}

#[test]
fn packets_by_the_chunk_equal_packets_row_by_row() {
    for format in [Format::Csv, Format::Parquet] {
        let expected = bytes(format, |path| {
            let mut writer = RowWriter::with_scenario(path, format, Level::Packet).unwrap();
            for scenario in SCENARIOS {
                writer.set_scenario(scenario);
                packet_rows(scenario, |row| writer.write(&row.cells()).unwrap());
            }
            writer.finish().unwrap();
        });
        for threads in 1..=3 {
            let written = by_chunk(
                format,
                Level::Packet,
                threads,
                |feeder: &mut Feeder<'_, Vec<PacketRow>>, scenario| {
                    feeder.set_scenario(scenario);
                    packet_rows(scenario, |row| feeder.add(row).unwrap());
                    Ok(())
                },
            );
            assert!(written == expected, "{format:?}, {threads} threads");
        }
    }
}

#[test]
fn flows_by_the_chunk_equal_flows_row_by_row() {
    for format in [Format::Csv, Format::Parquet] {
        let expected = bytes(format, |path| {
            let mut writer = RowWriter::with_scenario(path, format, Level::BiflowExtended).unwrap();
            for scenario in SCENARIOS {
                writer.set_scenario(scenario);
                for row in biflows(scenario).finish() {
                    writer.write(&row.extended_cells()).unwrap();
                }
            }
            writer.finish().unwrap();
        });
        for threads in 1..=3 {
            let written = by_chunk(format, Level::BiflowExtended, threads, |feeder, scenario| {
                feeder.add_all(Extended(biflows(scenario).finish()), Some(scenario))
            });
            assert!(written == expected, "{format:?}, {threads} threads");
        }
    }
}

#[test]
fn any_number_of_rows_is_written() {
    let mut rows = Vec::new();
    packet_rows("mqtt_bruteforce", |row| rows.push(row));
    for count in [0, 1, 63, 64, 65, 2047, 2048, 2049, 4100] {
        let rows = rows.get(..count).unwrap();
        for format in [Format::Csv, Format::Parquet] {
            let expected = bytes(format, |path| {
                let mut writer = RowWriter::create(path, format, Level::Packet).unwrap();
                rows.iter().for_each(|row| writer.write(&row.cells()).unwrap());
                writer.finish().unwrap();
            });
            for threads in 1..=2 {
                let written = bytes(format, |path| {
                    let mut writer = ChunkWriter::create(path, format, Level::Packet, false).unwrap();
                    let mut all = rows.iter();
                    let add = |feeder: &mut Feeder<'_, Vec<PacketRow>>| -> Result<(), WriteError> {
                        all.try_for_each(|row| feeder.add(*row))
                    };
                    writer.write_on(threads, add).unwrap();
                    assert_eq!(writer.finish().unwrap(), count as u64);
                });
                assert!(written == expected, "{format:?}, {count} rows, {threads} threads");
            }
        }
    }
}
