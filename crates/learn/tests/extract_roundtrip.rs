//! Rows written by `extract` equal the rows that training reads from the capture: every column, empty cells, timestamps
//! to the microsecond, labels.

#![allow(clippy::unwrap_used)] // helpers of tests, which clippy does not count as tests

mod support;

use std::{
    fs,
    path::{Path, PathBuf},
};

use citronella_learn::dataset::{LabelRule, LoadOptions, Manifest, Table, load};
use citronella_sensor::{
    capture::Capture,
    detect::Value,
    feature::{
        Format, RowWriter,
        packet::{Attacker, PacketLevel},
        schema::{Kind, Level, PACKET},
    },
};
use support::lab;

/// Writes the rows of captures, each with its attacker and, if given, its scenario.
fn extract(output: &Path, captures: &[(PathBuf, Attacker, Option<&'static str>)]) -> PathBuf {
    let named = captures.iter().any(|(_, _, scenario)| scenario.is_some());
    let begin = if named { RowWriter::with_scenario } else { RowWriter::create };
    let mut writer = begin(output, Format::of(output), Level::Packet).unwrap();
    for (path, attacker, scenario) in captures {
        if let Some(scenario) = scenario {
            writer.set_scenario(scenario);
        }
        let mut capture = Capture::open(path).unwrap();
        let mut level = PacketLevel::new(*attacker);
        while let Some(packet) = capture.next().unwrap() {
            if let Some(row) = level.row(&packet) {
                writer.write(&row.cells()).unwrap();
            }
        }
    }
    writer.finish().unwrap();
    output.to_owned()
}

fn read(path: &Path) -> Table {
    load(&[path.to_owned()], &LoadOptions::default()).unwrap()
}

/// Every cell of every row, and both labels.
fn assert_same(written: &Table, direct: &Table, what: &str) {
    assert_eq!(written.len(), direct.len(), "{what}");
    assert!(written.problems.is_empty(), "{what}: {:?}", written.problems.messages());
    for row in 0..direct.len() {
        for (index, column) in direct.columns().iter().enumerate() {
            let (ours, expected) = (written.value(row, index), direct.value(row, index));
            assert_eq!(ours, expected, "{what}: row {row}, column {}", column.name);
        }
    }
    for rule in [LabelRule::File, LabelRule::Attacker] {
        assert_eq!(written.labels(rule).unwrap(), direct.labels(rule).unwrap(), "{what}: {rule:?}");
    }
}

#[test]
fn csv_and_parquet_of_a_recording_equal_its_captures() {
    let Some(run) = lab("run-2") else { return };
    let direct = read(&run);
    let folder = tempfile::tempdir().unwrap();
    let manifest = Manifest::open(&run.join("manifest.csv")).unwrap();
    let captures: Vec<_> = manifest
        .entries
        .iter()
        .map(|entry| (run.join(&entry.file), entry.attacker, Some(&*entry.scenario.clone().leak())))
        .collect();
    for name in ["one.csv", "one.parquet"] {
        let written = read(&extract(&folder.path().join(name), &captures));
        assert_same(&written, &direct, name);
        let scenarios = |table: &Table| -> Vec<(String, u64)> {
            table.sources().iter().map(|source| (source.scenario.clone(), source.rows)).collect()
        };
        assert_eq!(scenarios(&written), scenarios(&direct), "{name}");
    }
    for ending in ["csv", "parquet"] {
        let features = folder.path().join(ending).join("packet_features");
        fs::create_dir_all(&features).unwrap();
        for ((path, attacker, scenario), entry) in captures.iter().zip(&manifest.entries) {
            let file = features.join(format!("{}.{ending}", entry.scenario));
            extract(&file, &[(path.clone(), *attacker, scenario.and(None))]);
        }
        assert_same(&read(&folder.path().join(ending)), &direct, ending);
    }
    // The comparison is not trivial: every kind of cell occurs, including empty ones and fractions of a second.
    let column = |name: &str| direct.column(name).unwrap();
    let any = |column: usize, test: &dyn Fn(Value<'_>) -> bool| {
        (0..direct.len()).any(|row| test(direct.value(row, column)))
    };
    assert!(any(column("timestamp"), &|v| matches!(v, Value::Number(n) if n % 1000.0 != 0.0)));
    assert!(any(column("mqtt_flag_clean"), &|v| v == Value::Empty));
    assert!(any(column("mqtt_flag_clean"), &|v| v == Value::Number(1.0)));
    assert!(PACKET.iter().all(|c| any(column(c.name), &|v| v != Value::Empty) || c.kind == Kind::Flag));
}

/// An Ethernet frame with IPv4, UDP and one byte.
const FRAME: &[u8] = b"\x02\0\0\0\0\x01\x02\0\0\0\0\x02\x08\0\x45\0\0\x1d\0\x01\x40\0\x40\x11\0\0\x0a\0\0\x01\x0a\0\0\x02\x13\x88\x27\x0f\0\x09\0\0x";

fn block(kind: u32, body: &[u8]) -> Vec<u8> {
    let mut body = body.to_vec();
    body.resize(body.len().next_multiple_of(4), 0);
    let length = (body.len() as u32 + 12).to_le_bytes();
    [kind.to_le_bytes().as_slice(), &length, &body, &length].concat()
}

/// A section, an interface with nanosecond timestamps, an unknown block, then a packet for each time.
fn pcapng(times_nanos: &[u64]) -> Vec<u8> {
    let mut file = block(0x0a0d_0d0a, b"\x4d\x3c\x2b\x1a\x01\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff");
    file.extend(block(1, b"\x01\0\0\0\0\0\0\0\x09\0\x01\0\x09\0\0\0\0\0\0\0"));
    file.extend(block(0x7777, b"unknown to all"));
    for time in times_nanos {
        let length = FRAME.len() as u32;
        let words = [0, (time >> 32) as u32, *time as u32, length, length];
        let head: Vec<u8> = words.into_iter().flat_map(u32::to_le_bytes).collect();
        file.extend(block(6, &[&head, FRAME].concat()));
    }
    file
}

#[test]
fn times_survive_to_the_microsecond_from_1970_to_2262() {
    let times = [
        0,
        1_000,
        999_999_999,
        1_000_000_999,
        1_581_698_736_818_127_400,
        4_102_444_799_999_999_999,
        i64::MAX as u64,
    ];
    let folder = tempfile::tempdir().unwrap();
    let capture = folder.path().join("times.pcapng");
    fs::write(&capture, pcapng(&times)).unwrap();
    fs::write(folder.path().join("manifest.csv"), "scenario,file,attacker\nnormal,times.pcapng,\n").unwrap();
    let direct = read(&folder.path().join("manifest.csv"));
    assert_eq!(direct.problems.unknown_blocks.len(), 1, "{:?}", direct.problems);
    for name in ["normal.csv", "normal.parquet"] {
        let written = read(&extract(&folder.path().join(name), &[(capture.clone(), Attacker::Nobody, None)]));
        assert_same(&written, &direct, name);
        for (row, nanos) in times.iter().enumerate() {
            assert_eq!(written.value(row, 0), Value::Number((nanos / 1000) as f64), "{name}");
        }
    }
}

#[test]
fn rows_of_an_unknown_attacker_have_no_class() {
    let folder = tempfile::tempdir().unwrap();
    let capture = folder.path().join("mine.pcapng");
    fs::write(&capture, pcapng(&[1])).unwrap();
    for name in ["rows.csv", "rows.parquet"] {
        let table = read(&extract(&folder.path().join(name), &[(capture.clone(), Attacker::Unknown, None)]));
        assert_eq!((table.len(), table.is_attack(0)), (1, None));
        for rule in [LabelRule::File, LabelRule::Attacker] {
            let message = table.labels(rule).unwrap_err().to_string();
            assert!(message.contains(name) && message.contains("is_attack is empty"), "{message}");
        }
    }
    let table = read(&extract(&folder.path().join("rows.csv"), &[(capture, Attacker::Nobody, None)]));
    assert_eq!(table.labels(LabelRule::File).unwrap().classes, ["normal"]);
}
