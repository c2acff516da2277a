//! The golden cases of the packet level: folders under `tests/golden`, each with a capture and its expected rows.
//! `make_cases.py` there generates them and documents where the rows come from.

#![allow(clippy::unwrap_used)] // tests

use std::{
    fs,
    path::{Path, PathBuf},
};

use citronella_sensor::{
    capture::Capture,
    feature::{
        Format, RowWriter,
        packet::{Attacker, PacketLevel},
        schema::{Level, PACKET},
    },
};

/// A `case.toml`.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    about: String,
    level: String,
    packets: u64,
    rows: usize,
    expected_from: String,
    #[serde(default)]
    differs: Vec<Differs>,
}

/// A deliberate difference from tshark.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code)] // for readers
struct Differs {
    packet: u64,
    row: Option<String>,
    column: Option<String>,
    tshark: Option<String>,
    ours: Option<String>,
    why: String,
}

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden")
}

/// The capture's packets, and its rows as `extract` writes them.
fn extract(capture: &Path, folder: &Path) -> (u64, String) {
    let mut capture = Capture::open(capture).unwrap();
    let mut level = PacketLevel::new(Attacker::Unknown);
    let output = folder.join("rows.csv");
    let mut writer = RowWriter::create(&output, Format::Csv, Level::Packet).unwrap();
    while let Some(packet) = capture.next().unwrap() {
        if let Some(row) = level.row(&packet) {
            writer.write(&row.cells()).unwrap();
        }
    }
    writer.finish().unwrap();
    (capture.packets(), fs::read_to_string(output).unwrap())
}

/// Describes every difference: line and column if the number of lines is equal, else the whole lines.
fn differences(expected: &str, found: &str) -> Vec<String> {
    let (expected, found): (Vec<&str>, Vec<&str>) = (expected.lines().collect(), found.lines().collect());
    if expected.len() != found.len() {
        let missing =
            expected.iter().filter(|line| !found.contains(line)).map(|line| format!("  missing: {line}"));
        let extra =
            found.iter().filter(|line| !expected.contains(line)).map(|line| format!("  too many: {line}"));
        return missing.chain(extra).collect();
    }
    let mut all = Vec::new();
    for (number, (expected, found)) in (1..).zip(expected.iter().zip(&found)) {
        let (expected, found): (Vec<&str>, Vec<&str>) =
            (expected.split(',').collect(), found.split(',').collect());
        if expected.len() != found.len() {
            all.push(format!("  line {number}: {} cells instead of {}", found.len(), expected.len()));
        }
        for ((column, expected), found) in PACKET.iter().zip(&expected).zip(&found) {
            if expected != found {
                all.push(format!("  line {number}, {}: {found:?} instead of {expected:?}", column.name));
            }
        }
    }
    all
}

#[test]
fn every_case_has_its_expected_rows() {
    let mut cases: Vec<PathBuf> = fs::read_dir(golden())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .collect();
    cases.sort();
    cases.retain(|folder| folder.join("case.toml").is_file());
    assert!(!cases.is_empty(), "no case under {}", golden().display());
    let scratch = tempfile::tempdir().unwrap();
    let mut wrong = Vec::new();
    let mut run = 0;
    for folder in &cases {
        let text = fs::read_to_string(folder.join("case.toml")).unwrap();
        let case: Case =
            toml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        if case.level != Level::Packet.name() {
            continue;
        }
        run += 1;
        let expected = fs::read_to_string(folder.join("expected.csv")).unwrap();
        assert_eq!(expected.lines().count(), 1 + case.rows, "{}", folder.display());
        let (packets, found) = extract(&folder.join("input.pcap"), scratch.path());
        let mut differences = differences(&expected, &found);
        if packets != case.packets {
            differences.push(format!("  {packets} packets instead of {}", case.packets));
        }
        if !differences.is_empty() {
            let name = folder.file_name().unwrap().to_string_lossy();
            wrong.push(format!("{name} ({}; rows from {}):", case.about, case.expected_from));
            wrong.extend(differences);
        }
    }
    assert!(run > 0, "no case of the packet level under {}", golden().display());
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    println!("{run} cases");
}

#[test]
fn deliberate_differences_have_a_position_and_a_reason() {
    let mut seen = 0;
    for entry in fs::read_dir(golden()).unwrap().map(Result::unwrap) {
        let Ok(text) = fs::read_to_string(entry.path().join("case.toml")) else { continue };
        let case: Case = toml::from_str(&text).unwrap();
        assert!(!case.about.is_empty() && !case.expected_from.is_empty(), "{}", entry.path().display());
        for difference in case.differs {
            assert!((1..=case.packets).contains(&difference.packet) && !difference.why.is_empty());
            let cell = difference.column.is_some()
                && difference.ours.is_some()
                && difference.tshark != difference.ours;
            assert!(
                cell || difference.row.as_deref() == Some("none"),
                "{}: {}",
                entry.path().display(),
                difference.packet
            );
        }
        seen += 1;
    }
    assert!(seen > 0);
}
