//! `explain` as a user meets it: the flow that `detect` called, what moved it, and that the parts add up.
#![allow(clippy::unwrap_used)]

mod support;

use serde_json::Value;
use support::{Folder, assert_says, done, lab, refused};

fn json(command: assert_cmd::Command) -> Value {
    serde_json::from_str(&done(command).0).unwrap()
}

fn sum(values: &Value) -> f64 {
    values.as_array().unwrap().iter().map(|item| item["adds"].as_f64().unwrap()).sum()
}

#[test]
fn a_called_flow_is_explained_under_the_number_and_the_ends_that_detect_gives_it() {
    let folder = Folder::new();
    let capture = lab("run-2/mqtt_bruteforce.pcap.zst");
    let verdicts = done(citronella!("detect", "-r", &capture, "--verdicts", "-")).0;
    let mut lines = verdicts.lines();
    let header: Vec<&str> = lines.next().unwrap().split(',').collect();
    let rows: Vec<Vec<&str>> = lines.map(|line| line.split(',').collect()).collect();
    let cell =
        |row: &[&str], name: &str| row[header.iter().position(|column| *column == name).unwrap()].to_owned();
    let place = rows.iter().position(|row| cell(row, "class") == "mqtt_bruteforce").unwrap();
    let row = &rows[place];
    let number = (place + 1).to_string();
    let svg = folder.path("heat.svg");
    let found = json(citronella!("explain", "-r", &capture, "--flow", &number, "--json", "--report", &svg));
    assert_eq!(found["src_port"].to_string(), cell(row, "src_port"));
    assert_eq!(found["class"], "mqtt_bruteforce");
    assert_eq!(found["packets_to_alert"].to_string(), cell(row, "packets_to_alert"));
    let packets = found["packets"].as_array().unwrap();
    assert_eq!(packets.last().unwrap()["packet"], found["packets_to_alert"]);
    // Completeness, to 1 %.
    let moved = found["output"].as_f64().unwrap() - found["baseline"].as_f64().unwrap();
    assert!(moved > 1.0, "{moved}");
    for parts in [sum(&found["by_feature"]), sum(&found["packets"])] {
        assert!((parts - moved).abs() <= 0.01 * moved, "{parts} of {moved}");
    }
    let picture = std::fs::read_to_string(svg).unwrap();
    assert!(picture.starts_with("<svg") && picture.contains("<title>packet 1"));

    let ends = format!(
        "{}:{}-{}:{}",
        cell(row, "dst_ip"),
        cell(row, "dst_port"),
        cell(row, "src_ip"),
        cell(row, "src_port")
    );
    let by_ends = json(citronella!("explain", "-r", &capture, "--flow", &ends, "--json"));
    assert_eq!(by_ends, found);
    let page = folder.path("page");
    let text = done(citronella!("explain", "-r", &capture, "--flow", &number, "--report", &page)).0;
    assert_says(&text, &["called mqtt_bruteforce", "log-odds", "meaning", "mostly by"]);
    assert!(page.join("report.html").is_file());
}

#[test]
fn a_long_benign_flow_is_explained_from_where_its_state_began_anew() {
    let capture = lab("run-2/normal.pcap.zst");
    let window = json(citronella!("card", "--json"))["training"]["verdict"]["window"].as_u64().unwrap();
    let verdicts = done(citronella!("detect", "-r", &capture, "--verdicts", "-")).0;
    let long = verdicts
        .lines()
        .skip(1)
        .position(|line| line.split(',').nth(7).unwrap().parse::<u64>().unwrap() > window + 10);
    let number = (long.unwrap() + 1).to_string();
    let asked = window + 5;
    let found = json(citronella!(
        "explain",
        "-r",
        &capture,
        "--flow",
        &number,
        "--packet",
        asked.to_string(),
        "--json"
    ));
    let packets = found["packets"].as_array().unwrap();
    assert_eq!((packets.len(), &packets[0]["packet"]), (5, &Value::from(window + 1)));
    // The log-odds are those of the probabilities that detection has.
    let of = |class: &Value| found["probabilities"][class.as_str().unwrap()].as_f64().unwrap();
    let log_odds = (of(&found["explained"]["log_odds_of"]) / of(&found["explained"]["against"])).ln();
    let output = found["output"].as_f64().unwrap();
    assert!((output - log_odds).abs() < 0.01 * log_odds.abs().max(1.0), "{output} {log_odds}");
    let short = ["explain", "--flow", &number, "--packet", "1000000000", "-r"];
    let mut command = support::program();
    command.args(short).arg(&capture);
    assert_says(&refused(command), &["packet 1000000000 was asked for"]);
}

#[test]
fn what_cannot_be_explained_is_said() {
    let capture = lab("run-2/normal.pcap.zst");
    assert_says(
        &refused(citronella!("explain", "-r", &capture, "--flow", "99999999")),
        &["no such flow", "detect -r"],
    );
    assert_says(
        &refused(citronella!("explain", "-r", &capture, "--flow", "bob")),
        &["--flow bob", "such as 17"],
    );
    assert_says(&refused(citronella!("explain", "-r", "-", "--flow", "1")), &["read twice"]);
}
