//! `citronella explain`: a flow that `detect` flagged, its contributions and their sum.
#![allow(clippy::unwrap_used)]

mod support;

use serde_json::Value;
use support::{Folder, assert_contains, done, lab, refused};

fn json(command: assert_cmd::Command) -> Value {
    serde_json::from_str(&done(command).0).unwrap()
}

fn sum(values: &Value) -> f64 {
    values.as_array().unwrap().iter().map(|item| item["contribution"].as_f64().unwrap()).sum()
}

#[test]
fn a_flagged_flow_is_explained_by_row_number_and_by_endpoints() {
    let folder = Folder::new();
    let capture = lab("run-2/mqtt_bruteforce.pcap.zst");
    let verdicts = done(citronella!("detect", "-r", &capture, "--verdicts", "-")).0;
    let mut lines = verdicts.lines();
    let header: Vec<&str> = lines.next().unwrap().split(',').collect();
    let rows: Vec<Vec<&str>> = lines.map(|line| line.split(',').collect()).collect();
    let cell =
        |row: &[&str], name: &str| row[header.iter().position(|column| *column == name).unwrap()].to_owned();
    let index = rows.iter().position(|row| cell(row, "class") == "mqtt_bruteforce").unwrap();
    let row = &rows[index];
    let number = (index + 1).to_string();
    let svg = folder.path("heat.svg");
    let explanation =
        json(citronella!("explain", "-r", &capture, "--flow", &number, "--json", "--report", &svg));
    assert_eq!(explanation["src_port"].to_string(), cell(row, "src_port"));
    assert_eq!(explanation["class"], "mqtt_bruteforce");
    assert_eq!(explanation["packets_to_alert"].to_string(), cell(row, "packets_to_alert"));
    let packets = explanation["packets"].as_array().unwrap();
    assert_eq!(packets.last().unwrap()["packet"], explanation["packets_to_alert"]);
    // Completeness, to 1 %.
    let total = explanation["output"].as_f64().unwrap() - explanation["baseline"].as_f64().unwrap();
    assert!(total > 1.0, "{total}");
    for parts in [sum(&explanation["by_feature"]), sum(&explanation["packets"])] {
        assert!((parts - total).abs() <= 0.01 * total, "{parts} of {total}");
    }
    let picture = std::fs::read_to_string(svg).unwrap();
    assert!(picture.starts_with("<svg") && picture.contains("<title>packet 1"));

    let endpoints = format!(
        "{}:{}-{}:{}",
        cell(row, "dst_ip"),
        cell(row, "dst_port"),
        cell(row, "src_ip"),
        cell(row, "src_port")
    );
    let by_endpoints = json(citronella!("explain", "-r", &capture, "--flow", &endpoints, "--json"));
    assert_eq!(by_endpoints, explanation);
    let page = folder.path("page");
    let text = done(citronella!("explain", "-r", &capture, "--flow", &number, "--report", &page)).0;
    assert_contains(&text, &["flagged as mqtt_bruteforce", "log-odds", "meaning", "strongest feature"]);
    assert!(page.join("report.html").is_file());
}

#[test]
fn a_long_benign_flow_is_explained_from_its_last_state_reset() {
    let capture = lab("run-2/normal.pcap.zst");
    let window = json(citronella!("card", "--json"))["training"]["verdict"]["window"].as_u64().unwrap();
    let verdicts = done(citronella!("detect", "-r", &capture, "--verdicts", "-")).0;
    let long = verdicts
        .lines()
        .skip(1)
        .position(|line| line.split(',').nth(7).unwrap().parse::<u64>().unwrap() > window + 10);
    let number = (long.unwrap() + 1).to_string();
    let packet = window + 5;
    let explanation = json(citronella!(
        "explain",
        "-r",
        &capture,
        "--flow",
        &number,
        "--packet",
        packet.to_string(),
        "--json"
    ));
    let packets = explanation["packets"].as_array().unwrap();
    assert_eq!((packets.len(), &packets[0]["packet"]), (5, &Value::from(window + 1)));
    // The log-odds agree with the probabilities.
    let of = |class: &Value| explanation["probabilities"][class.as_str().unwrap()].as_f64().unwrap();
    let log_odds =
        (of(&explanation["explained"]["log_odds_of"]) / of(&explanation["explained"]["against"])).ln();
    let output = explanation["output"].as_f64().unwrap();
    assert!((output - log_odds).abs() < 0.01 * log_odds.abs().max(1.0), "{output} {log_odds}");
    let short = ["explain", "--flow", &number, "--packet", "1000000000", "-r"];
    let mut command = support::program();
    command.args(short).arg(&capture);
    assert_contains(&refused(command), &["no packet 1000000000 in the flow"]);
}

#[test]
fn flows_that_do_not_exist_and_stdin_are_errors() {
    let capture = lab("run-2/normal.pcap.zst");
    assert_contains(
        &refused(citronella!("explain", "-r", &capture, "--flow", "99999999")),
        &["no such flow", "detect -r"],
    );
    assert_contains(
        &refused(citronella!("explain", "-r", &capture, "--flow", "bob")),
        &["--flow bob", "such as 17"],
    );
    assert_contains(&refused(citronella!("explain", "-r", "-", "--flow", "1")), &["read twice"]);
}
