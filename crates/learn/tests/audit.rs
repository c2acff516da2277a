//! Audits find planted leaks (times, duplicates, labels under other names), and nothing fatal in clean data.

#![allow(clippy::unwrap_used)]

mod support;

use std::{fs, path::Path, path::PathBuf};

use citronella_learn::{
    audit::{Audit, ReadOptions, Severity, read},
    dataset::LabelRule,
    zoo::Preset,
};
use support::{connect, header, lab, write};

fn audit(paths: &[PathBuf], options: &ReadOptions) -> Audit {
    Audit::of(&read(paths, &[], options).unwrap(), options.labels, options.seed)
}

fn severity(audit: &Audit, check: &str) -> Option<Severity> {
    audit.findings.iter().filter(|finding| finding.check == check).map(|finding| finding.severity).min()
}

/// The preparation of the paper: complete rows, labels by file, its columns.
fn paper(name: &str) -> ReadOptions {
    let preset = Preset::by_name(name).unwrap();
    ReadOptions {
        labels: preset.labels,
        binary: preset.binary,
        required: preset.required(),
        dropped: preset.dropped.iter().map(|name| (*name).to_owned()).collect(),
        ..ReadOptions::default()
    }
}

#[test]
fn the_papers_rows_leak_the_timestamp() {
    let Some(run_1) = lab("run-1") else { return };
    let found = audit(std::slice::from_ref(&run_1), &paper("paper-multiclass"));
    let time = found.findings.iter().find(|finding| finding.check == "time").unwrap();
    assert_eq!((time.severity, time.column.as_deref()), (Severity::Fatal, Some("timestamp")));
    assert!(time.figure > 0.95 && time.text.contains("nearest training row in time"), "{time:?}");
    assert_eq!(found.columns[0].name, "timestamp");
    // Most rows labelled as an attack are benign, and equal CONNECTs have different labels.
    assert_eq!(severity(&found, "mislabelled_benign"), Some(Severity::Fatal));
    assert_eq!(severity(&found, "conflicting_labels"), Some(Severity::Warning));
    assert!(found.duplicates.max_accuracy < 0.5 && found.is_fatal());
    // Without the timestamp no single column predicts the class.
    let without = audit(&[run_1], &paper("paper-multiclass-no-time"));
    assert_eq!(severity(&without, "time"), None);
    assert!(without.columns.iter().filter(|c| !c.name.starts_with('(')).all(|c| c.power.skill < 0.2));
}

#[test]
fn two_recordings_reveal_an_optimistic_random_split() {
    let (Some(run_1), Some(run_2)) = (lab("run-1"), lab("run-2")) else { return };
    let options = ReadOptions { rows: 30_000, ..ReadOptions::default() };
    let found = audit(&[run_1, run_2], &options);
    assert_eq!(severity(&found, "unseen_recording"), Some(Severity::Fatal));
    // The time alone predicts more than all features together.
    assert_eq!(severity(&found, "time"), Some(Severity::Fatal));
    let (seen, unseen) = (found.trees.all.skill, found.trees.unseen_all.unwrap().skill);
    assert!(seen > 0.9 && unseen < 0.5, "{seen} {unseen}");
    // Features generalise; shuffled labels have no skill; benign rows are alike.
    let features = found.trees.unseen_features.unwrap().skill;
    assert!((found.trees.features.skill - features).abs() < 0.15, "{features}");
    assert!(found.trees.shuffled.skill < 0.05);
    assert!(found.trees.benign_captures.unwrap().skill < 0.2);
    assert_eq!(found.sampled, 30_000);
    assert!(found.rows > 300_000, "the sample is of all rows: {}", found.rows);
    // The same seed gives the same result.
    let again = audit(&[lab("run-1").unwrap(), lab("run-2").unwrap()], &options);
    assert_eq!(serde_json::to_string(&found).unwrap(), serde_json::to_string(&again).unwrap());
}

/// Rows of two numbers that correlate with the class, and further columns.
fn csv(folder: &Path, name: &str, more: &str, cells: impl Fn(u32, bool) -> String) -> PathBuf {
    let noise = |n: u32, of: u32| (n.wrapping_mul(2_654_435_761) >> 7) % of;
    let line = |n: u32| {
        let attack = noise(n, 3) == 0;
        let (a, b) = (noise(n + 77, 1_000) + if attack { 400 } else { 0 }, noise(n + 7_001, 5_000));
        format!("{a},{b}{},{}", cells(n, attack), if attack { "ddos" } else { "BENIGN" })
    };
    let header = format!("bytes,gap{more},Label");
    write(&folder.join(name), std::iter::once(header).chain((0..3_000).map(line)))
}

#[test]
fn clean_rows_get_notes_only() {
    let folder = tempfile::tempdir().unwrap();
    let found = audit(&[csv(folder.path(), "clean.csv", "", |_, _| String::new())], &ReadOptions::default());
    assert!(found.findings.iter().all(|finding| finding.severity == Severity::Note), "{:?}", found.findings);
    assert_eq!(found.classes.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["normal", "ddos"]);
    assert!(found.verdict.starts_with("No finding"));
    let bytes = found.columns.iter().find(|column| column.name == "bytes").unwrap();
    assert!((0.2..0.7).contains(&bytes.power.skill), "{bytes:?}");
}

#[test]
fn leaks_by_label_port_address_and_index_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let cells = |n: u32, attack: bool| {
        let port = if attack { 22 } else { 1_000 + n % 50 };
        let address = if attack { "10.0.0.66".to_owned() } else { format!("10.0.0.{}", n % 9) };
        format!(",{},{port},{address},{n}", u32::from(attack) * 7)
    };
    let file = csv(folder.path(), "leaky.csv", ",secret,Destination Port,srcip,serial", cells);
    let found = audit(std::slice::from_ref(&file), &ReadOptions::default());
    for (check, column) in [("column", "secret"), ("port", "Destination Port"), ("address", "srcip")] {
        let finding = found.findings.iter().find(|f| f.check == check && f.column.as_deref() == Some(column));
        assert_eq!(finding.map(|f| f.severity), Some(Severity::Fatal), "{check}: {:?}", found.findings);
    }
    // It counts the rows, but the rows are not sorted by class.
    let serial = found.columns.iter().find(|column| column.name == "serial").unwrap();
    assert_eq!(serial.role, citronella_learn::audit::Role::Index);
    assert!(serial.power.skill < 0.2);
    let dropped = ["secret", "Destination Port", "srcip"].map(str::to_owned).to_vec();
    let clean = audit(std::slice::from_ref(&file), &ReadOptions { dropped, ..ReadOptions::default() });
    assert!(!clean.is_fatal(), "{:?}", clean.findings);
    let dropped = vec!["colour".to_owned()];
    let error = read(&[file], &[], &ReadOptions { dropped, ..ReadOptions::default() }).unwrap_err();
    assert!(error.to_string().contains("\"colour\" is not a column"), "{error}");
}

#[test]
fn sorted_rows_and_duplicates_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let line =
        |n: u32| format!("{},{}", n % 40 + n / 1_000 * 100, ["normal", "flood", "scan"][n as usize / 1_000]);
    let lines = std::iter::once("size,class".to_owned()).chain((0..3_000).map(line));
    let found = audit(&[write(&folder.path().join("sorted.csv"), lines)], &ReadOptions::default());
    assert_eq!(severity(&found, "order"), Some(Severity::Warning));
    assert_eq!(severity(&found, "duplicates"), Some(Severity::Fatal));
    assert_eq!(found.duplicates.in_training, 1.0);
    assert_eq!(found.duplicates.conflicting, 0.0);
}

#[test]
fn class_constants_and_conflicting_labels_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let cells =
        |n: u32, attack: bool| format!(",{},{}", if attack { "eth" } else { ["a", "b"][n as usize % 2] }, 5);
    let found = audit(&[csv(folder.path(), "x.csv", ",tool,always", cells)], &ReadOptions::default());
    let [constant] = found.class_constants.as_slice() else { panic!("{:?}", found.class_constants) };
    assert_eq!(
        (constant.column.as_str(), constant.class.as_str(), constant.value.as_str()),
        ("tool", "ddos", "eth")
    );
    assert!(found.findings.iter().any(|f| f.check == "constant" && f.text.contains("always")));
    let lines = std::iter::once("size,class".to_owned())
        .chain((0..400).map(|n| format!("{},{}", n % 10, ["normal", "flood"][n / 10 % 2])));
    let found = audit(&[write(&folder.path().join("y.csv"), lines)], &ReadOptions::default());
    assert_eq!((found.duplicates.conflicting, found.duplicates.max_accuracy), (1.0, 0.5));
    assert_eq!(severity(&found, "conflicting_labels"), Some(Severity::Warning));
}

#[test]
fn a_published_folder_by_attacker_and_by_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = support::published(folder.path(), &[("normal", 200), ("flood", 200), ("scan_A", 200)]);
    let by_attacker = audit(std::slice::from_ref(&path), &ReadOptions::default());
    assert_eq!(by_attacker.classes.len(), 3);
    assert_eq!(severity(&by_attacker, "mislabelled_benign"), None);
    let by_file = audit(&[path], &ReadOptions { labels: LabelRule::File, ..ReadOptions::default() });
    assert_eq!(severity(&by_file, "mislabelled_benign"), Some(Severity::Fatal));
    assert_eq!(severity(&by_file, "class_per_file"), Some(Severity::Fatal));
    assert_eq!(severity(&by_file, "time"), Some(Severity::Fatal));
}

#[test]
fn refusals_name_the_problem_and_its_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let options = ReadOptions::default();
    let error = |path: PathBuf| read(&[path], &[], &options).unwrap_err().to_string();
    let two = error(write(&at("two.csv"), ["a,label,class", "1,x,y"].map(str::to_owned)));
    assert!(two.contains("several columns look like a label") && two.contains("--label COLUMN"), "{two}");
    let none = error(write(&at("none.csv"), ["a,b", "1,2"].map(str::to_owned)));
    assert!(none.contains("no column looks like a label") && none.contains("a, b"), "{none}");
    let few = error(write(&at("few.csv"), [header(), connect(1, 64, 4000, true)]));
    assert!(few.contains("1 usable rows of 1 classes"), "{few}");
    fs::write(at("noise.bin"), [0xff, 0xfe, 0, 1]).unwrap();
    assert!(error(at("noise.bin")).contains("neither a capture"));
    assert!(error(at("missing.csv")).contains("check the path"));
    let Some(run_1) = lab("run-1") else { return };
    let label = ReadOptions { label: Some("x".into()), ..ReadOptions::default() };
    let capture = read(&[run_1.join("normal.pcap.zst")], &[], &label).unwrap_err().to_string();
    assert!(capture.contains("has no label column"), "{capture}");
}

#[test]
fn captures_without_a_manifest_are_a_class_each_and_their_link_layer_is_audited() {
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/mqttset");
    if !shared.is_dir() {
        println!("skipped: {} is not there", shared.display());
        return;
    }
    let mut files: Vec<PathBuf> = fs::read_dir(shared).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|e| e == "pcap" || e == "pcapng"));
    files.sort();
    let found = audit(&files, &ReadOptions { rows: 30_000, ..ReadOptions::default() });
    assert_eq!(found.classes.len(), files.len());
    assert_eq!(severity(&found, "class_per_file"), Some(Severity::Fatal));
    assert_eq!(severity(&found, "time"), Some(Severity::Fatal));
    assert!(severity(&found, "link_layer").is_some());
}

#[test]
fn nsl_kdd_and_its_own_test() {
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/nsl-kdd");
    if !shared.is_dir() {
        println!("skipped: {} is not there", shared.display());
        return;
    }
    let (train, test) = (shared.join("KDDTrain+.txt.zst"), shared.join("KDDTest+.txt.zst"));
    let options = ReadOptions { rows: 30_000, binary: false, ..ReadOptions::default() };
    let rows = read(&[train], &[test], &options).unwrap();
    assert_eq!((rows.files[0].rows, rows.files[1].rows, rows.columns.len()), (125_973, 22_544, 42));
    let found = Audit::of(&rows, options.labels, options.seed);
    let new = found.findings.iter().find(|finding| finding.check == "new_classes").unwrap();
    assert!(new.text.starts_with("1") && new.text.contains("mscan"), "{}", new.text);
    let (seen, unseen) =
        (found.trees.all.attack_skill.unwrap(), found.trees.unseen_all.unwrap().attack_skill.unwrap());
    assert!(seen > 0.85 && unseen < seen - 0.1, "{seen} {unseen}");
    assert_eq!(severity(&found, "unseen_recording"), Some(Severity::Warning));
}

#[test]
fn the_page_is_complete_and_hostile_names_are_escaped() {
    let folder = tempfile::tempdir().unwrap();
    let hostile = "<script>x</script>";
    let cells = |n: u32, _: bool| format!(",{hostile}{}", n % 3);
    let found = audit(&[csv(folder.path(), "x.csv", &format!(",{hostile}"), cells)], &ReadOptions::default());
    let page = found.report().html().unwrap();
    assert!(!page.contains("<script") && !page.contains("NaN"));
    assert_eq!(page.matches("<svg").count(), 2);
    assert!(page.contains("The score of each column alone"));
}
