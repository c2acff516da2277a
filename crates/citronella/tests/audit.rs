//! `citronella audit`: the table, the JSON document, exit code 1 with --strict, the report.
#![allow(clippy::unwrap_used)]

mod support;

use support::{Folder, assert_contains, done, lab, refused, texts};

#[test]
fn strict_fails_only_on_fatal_findings() {
    let folder = Folder::new();
    let (stdout, _) = done(citronella!("audit", "--preset", "paper-binary", lab("run-2")));
    assert_contains(
        &stdout,
        &["FATAL: timestamp alone", "skill", "findings make a score on this data meaningless"],
    );
    let mut strict = citronella!("audit", "--strict", "--json", "--preset", "paper-binary", lab("run-2"));
    let (code, stdout, _) = texts(&strict.output().unwrap());
    let document: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((code, document["findings"][0]["severity"].as_str()), (Some(1), Some("fatal")));
    let rows: String = (0..400)
        .map(|n: u32| format!("{},{}\n", n * 37 % 101, ["normal", "flood"][n as usize / 7 % 2]))
        .collect();
    let clean = folder.write("clean.csv", format!("size,label\n{rows}"));
    let (stdout, _) = done(citronella!("audit", "--strict", &clean));
    assert_contains(&stdout, &["400 of 400 rows sampled, 1 file", "A score on this data needs"]);
}

#[test]
fn the_report_has_a_page_and_its_figures() {
    let folder = Folder::new();
    let report = folder.path("report");
    done(citronella!("audit", "--rows", "5000", "--report", &report, lab("run-1"), lab("run-2")));
    let page = std::fs::read_to_string(report.join("report.html")).unwrap();
    assert_contains(&page, &["audit of a data set", "When each class was recorded", "timestamp (time)"]);
    let figures: serde_json::Value =
        serde_json::from_slice(&std::fs::read(report.join("metrics.json")).unwrap()).unwrap();
    assert_eq!(figures["sampled"], 5008);
}

#[test]
fn bad_input_is_refused_in_one_line() {
    let folder = Folder::new();
    let two = folder.write("two.csv", "a,label,class\n1,x,y\n");
    assert_contains(&refused(citronella!("audit", &two)), &["two.csv", "--label COLUMN"]);
    assert_contains(
        &refused(citronella!("audit", "--preset", "nobody", lab("run-1"))),
        &["no preset", "paper-binary"],
    );
    assert_contains(&refused(citronella!("audit", folder.path("missing"))), &["missing", "check the path"]);
}
