//! Data sets as published, extracted and recorded: rows, problems, refusals.

#![allow(clippy::unwrap_used)] // helpers of tests, which clippy does not count as tests

mod support;

use std::{borrow::Cow, fs, path::Path};

use citronella_learn::dataset::{DatasetError, LabelRule, LoadOptions, Table, load, load_embedded};
use citronella_sensor::detect::Value;
use support::{connect, header, lab, plain, published, write};

fn read(path: &Path) -> Result<Table, DatasetError> {
    load(&[path.to_owned()], &LoadOptions::default())
}

#[test]
fn a_published_folder_gives_both_labels() {
    let folder = tempfile::tempdir().unwrap();
    let table =
        read(&published(folder.path(), &[("sparta", 6), ("normal", 4), ("mqtt_bruteforce", 3)])).unwrap();
    let scenarios: Vec<&str> = table.sources().iter().map(|s| s.scenario.as_str()).collect();
    assert_eq!(scenarios, ["normal", "sparta", "mqtt_bruteforce"], "files in the classes' order");
    let by_file = table.labels(LabelRule::File).unwrap();
    assert_eq!(by_file.classes, ["normal", "sparta", "mqtt_bruteforce"]);
    let by_attacker = table.labels(LabelRule::Attacker).unwrap();
    for row in 0..table.len() {
        let file = by_file.name(by_file.of_row[row]);
        let expected = if table.is_attack(row) == Some(true) { file } else { "normal" };
        assert_eq!(by_attacker.name(by_attacker.of_row[row]), expected);
    }
}

#[test]
fn repeated_headers_an_index_column_and_the_scripts_time_format_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let scripts = connect(0, 64, 4000, true).replacen(
        "2020-02-14 16:00:00.818127",
        "\"02/14/2020, 16:00:00:818127\"",
        1,
    );
    let lines = [header(), connect(0, 64, 4000, true), header(), scripts];
    let indexed = lines
        .iter()
        .enumerate()
        .map(|(i, line)| if i == 0 { format!(",{line}") } else { format!("{i},{line}") });
    for (name, lines) in [("plain", lines.to_vec()), ("indexed", indexed.collect())] {
        let table = read(&write(&folder.path().join(name).join("scan_A.csv"), lines)).unwrap();
        assert_eq!(
            (table.len(), table.problems.repeated_headers, table.problems.unreadable_rows),
            (2, 1, 0),
            "{name}"
        );
        for column in 0..table.columns().len() {
            assert_eq!(table.value(0, column), table.value(1, column), "{name}");
        }
        assert_eq!(table.value(0, 0), Value::Number(1_581_696_000_818_127.0));
        assert_eq!(table.row_in_file(1), 4);
    }
}

#[test]
fn unreadable_rows_are_counted_and_listed() {
    let folder = tempfile::tempdir().unwrap();
    let bad = connect(0, 64, 4000, true).replace(",MQTT,64,", ",MQTT,many,");
    let lines = [header(), connect(0, 64, 1, false), bad.clone(), "half,a,line".into(), bad];
    let table = read(&write(&folder.path().join("flood.csv"), lines)).unwrap();
    assert_eq!((table.len(), table.problems.unreadable_rows, table.problems.named.len()), (1, 3, 3));
    let first = table.problems.named[0].to_string();
    assert!(
        first.ends_with("/flood.csv, line 3: column ttl: \"many\" is not an integer below 2^32"),
        "{first}"
    );
    assert!(table.problems.messages()[0].starts_with("3 rows could not be read"));
}

#[test]
fn missing_columns_are_listed_with_those_of_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let short = header().replace(",ttl", "").replace(",mqtt_flag_qos", "");
    let message = read(&write(&folder.path().join("flood.csv"), [short])).unwrap_err().to_string();
    assert!(message.contains("the header lacks ttl, mqtt_flag_qos; it has timestamp, src_ip"), "{message}");
}

#[test]
fn the_cap_is_reported_and_the_hash_covers_the_whole_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = write(&folder.path().join("flood.csv"), [header()].into_iter().chain((0..50).map(plain)));
    let all = read(&path).unwrap();
    let capped = load(&[path], &LoadOptions { rows_per_file: 7, ..LoadOptions::default() }).unwrap();
    assert_eq!((capped.len(), capped.problems.capped_files.len()), (7, 1));
    assert_eq!(capped.hashes(), all.hashes());
}

#[test]
fn a_compressed_csv_gives_the_same_rows() {
    let folder = tempfile::tempdir().unwrap();
    let plain = write(&folder.path().join("flood.csv"), [header(), connect(0, 64, 4000, true)]);
    let packed = folder.path().join("flood.csv.zst");
    fs::write(&packed, zstd::encode_all(&*fs::read(&plain).unwrap(), 1).unwrap()).unwrap();
    let (plain, packed) = (read(&plain).unwrap(), read(&packed).unwrap());
    assert_eq!((plain.len(), packed.len()), (1, 1));
    assert!((0..plain.columns().len()).all(|column| plain.value(0, column) == packed.value(0, column)));
    assert_eq!(plain.labels(LabelRule::File).unwrap(), packed.labels(LabelRule::File).unwrap());
}

#[test]
fn scenarios_of_a_file_whose_name_is_not_a_class() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mine.csv");
    let table = read(&write(&path, [header(), connect(0, 1, 1, true), connect(0, 1, 1, false)])).unwrap();
    assert_eq!(table.sources()[0].scenario, "attack");
    let table = read(&write(&path, [header(), connect(0, 1, 1, false)])).unwrap();
    assert_eq!(table.sources()[0].scenario, "normal");
    let named =
        [header() + ",scenario", connect(0, 1, 1, true) + ",flood", connect(0, 1, 1, false) + ",slowite"];
    let table = read(&write(&path, named)).unwrap();
    assert_eq!(table.labels(LabelRule::File).unwrap().classes, ["flood", "slowite"]);
    assert_eq!(table.labels(LabelRule::Attacker).unwrap().classes, ["normal", "flood"]);
}

#[test]
fn a_path_that_is_not_a_data_set_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    };
    for (path, problem) in [
        (file("empty.csv", b""), "the file is empty"),
        (file("notes.txt", b"hello\n"), "a text file without commas in its first line"),
        (file("a.pcap", &[0xd4, 0xc3, 0xb2, 0xa1, 0xff]), "a capture needs a manifest.csv"),
        (
            file("m.csv", b"scenario,file,attacker\nflood,gone.pcap,\n"),
            "line 2, column file: gone.pcap is missing from the manifest's folder",
        ),
        (file("cut.parquet", b"PAR1...."), "extract"),
        (folder.path().join("nothing"), "check the path"),
    ] {
        let message = read(&path).unwrap_err().to_string();
        assert!(message.contains(problem), "{message}");
    }
    let empty = tempfile::tempdir().unwrap();
    assert!(read(empty.path()).unwrap_err().to_string().contains("a folder without any of these"));
}

#[test]
fn a_recording_is_the_same_from_files_and_from_memory_and_a_cut_capture_is_reported() {
    let Some(folder) = lab("run-2") else { return };
    let files = read(&folder).unwrap();
    let manifest = fs::read_to_string(folder.join("manifest.csv")).unwrap();
    let options = LoadOptions::default();
    let bytes = |name: &str| fs::read(folder.join(name)).ok().map(Cow::Owned);
    let memory = load_embedded("run-2", &manifest, &bytes, &options).unwrap();
    assert_eq!((files.len(), files.hashes()), (memory.len(), memory.hashes()));
    assert!((0..files.len()).all(|row| (0..31).all(|c| files.value(row, c) == memory.value(row, c))));
    assert!(files.problems.is_empty());
    let halved = |name: &str| {
        bytes(name).map(|b| {
            Cow::Owned(if name.starts_with("flood") { b[..b.len() / 2].to_vec() } else { b.into_owned() })
        })
    };
    let cut = load_embedded("run-2", &manifest, &halved, &options).unwrap();
    assert!(cut.len() < files.len() && !cut.is_empty());
    assert_eq!(cut.problems.cut_captures.len(), 1);
    assert!(cut.problems.cut_captures[0].contains("run-2/flood.pcap.zst"), "{:?}", cut.problems.cut_captures);
    let missing = |name: &str| if name.starts_with("flood") { None } else { bytes(name) };
    assert!(load_embedded("run-2", &manifest, &missing, &options).is_err());
}
