//! Recordings replayed in rounds, each later and with other network addresses: nothing is lost, memory does not grow,
//! each round has the output of a process that sees this round only, and the alerts of the first round. The test here
//! has a few short rounds, `tests/replay_day.sh` a day of packet time.
#![cfg(target_os = "linux")]
#![allow(missing_docs, clippy::unwrap_used)]

#[path = "support/rounds.rs"]
mod rounds;
mod support;

use std::{
    fs,
    io::Write,
    ops::Range,
    path::Path,
    process::{Command, Stdio},
};

use rounds::{MAX_ROUNDS, Rounds};
use serde_json::Value;
use support::{Folder, lab, texts};

/// Resident memory of a process and its peak, in KiB.
fn memory(process: u32) -> [u64; 2] {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    ["VmRSS:", "VmHWM:"].map(|name| {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    })
}

/// Output of `detect` for some rounds.
struct RoundsOutput {
    summary: Value,
    /// Sorted verdicts of each round, a line each, with times and addresses mapped to the first round.
    verdicts: Vec<Vec<String>>,
    /// Sorted alerts of each round, mapped alike.
    alerts: Vec<Vec<String>>,
    /// Memory of the process after each round.
    memory: Vec<[u64; 2]>,
}

/// Sends rounds to one process.
fn detect(rounds: &mut Rounds, numbers: Range<u32>) -> RoundsOutput {
    let folder = Folder::new();
    let (eve, verdicts) = (folder.path("eve.json"), folder.path("verdicts.csv"));
    let mut child = Command::new(env!("CARGO_BIN_EXE_citronella"))
        .args(["detect", "-r", "-", "--json"])
        .args([Path::new("--eve"), &eve, Path::new("--verdicts"), &verdicts])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    Rounds::write_header(&mut stdin).unwrap();
    let mut memory_by_round = Vec::new();
    let end = numbers.end as usize;
    for round in numbers {
        rounds.send(round, &mut stdin).unwrap();
        // The process has read everything except what the pipe holds.
        memory_by_round.push(memory(child.id()));
    }
    stdin.flush().unwrap();
    drop(stdin);
    let (code, stdout, stderr) = texts(&child.wait_with_output().unwrap());
    assert_eq!(code, Some(0), "{stderr}");
    let verdicts = fs::read_to_string(&verdicts).unwrap();
    let eve = fs::read_to_string(&eve).unwrap();
    let by_round = |numbered: Vec<(usize, String)>| {
        let mut lines = vec![Vec::new(); end];
        numbered.into_iter().for_each(|(round, line)| lines[round].push(line));
        lines.iter_mut().for_each(|lines| lines.sort_unstable());
        lines
    };
    RoundsOutput {
        summary: serde_json::from_str(&stdout).unwrap(),
        verdicts: by_round(verdicts.lines().skip(1).map(|line| verdict(line, rounds)).collect()),
        alerts: by_round(eve.lines().filter_map(|line| alert(line, rounds)).collect()),
        memory: memory_by_round,
    }
}

/// Maps a row of the verdicts to the first round; returns its round and the row.
fn verdict(line: &str, rounds: &Rounds) -> (usize, String) {
    let cells: Vec<&str> = line.split(',').collect();
    let time = |cell: &str| {
        let (seconds, nanos) = cell.split_once('.').unwrap();
        rounds
            .round_and_offset(seconds.parse::<u64>().unwrap() * 1_000_000_000 + nanos.parse::<u64>().unwrap())
    };
    let ((round, first), (_, last)) = (time(cells[0]), time(cells[1]));
    let [from, to] = [cells[2], cells[4]].map(|address| rounds.address_in_first_round(address, round));
    let row = [&[&from, cells[3], &to], &cells[5..]].concat().join(",");
    (round, format!("{row},{first},{last}"))
}

/// Maps an alert to the first round, without ids and without the reason why an incident ended; returns its round and the
/// record.
fn alert(line: &str, rounds: &Rounds) -> Option<(usize, String)> {
    let mut record: Value = serde_json::from_str(line).unwrap();
    if record["event_type"] != "alert" {
        return None;
    }
    let time = |value: &Value| {
        let time = jiff::Timestamp::strptime("%Y-%m-%dT%H:%M:%S%.f%z", value.as_str().unwrap()).unwrap();
        rounds.round_and_offset(u64::try_from(time.as_nanosecond()).unwrap())
    };
    let (round, _) = time(&record["alert"]["context"]["first_seen"]);
    for name in ["timestamp", "flow_id", "community_id", "pcap_cnt"] {
        record.as_object_mut().unwrap().remove(name);
    }
    let start = time(&record["flow"]["start"]).1;
    record["flow"]["start"] = start.into();
    let context = &mut record["alert"]["context"];
    for name in ["incident", "end"] {
        context[name] = Value::Null;
    }
    for name in ["first_seen", "last_seen"] {
        context[name] = time(&context[name]).1.into();
    }
    Some((round, rounds.text_in_first_round(&record.to_string(), round)))
}

/// The fields of an alert that must be equal in each round, and its number of flows.
fn key_and_flows(alert: &str) -> (String, f64) {
    let record: Value = serde_json::from_str(alert).unwrap();
    let (signature, context) = (&record["alert"]["signature_id"], &record["alert"]["context"]);
    let key = [
        &context["stage"],
        &context["class"],
        &record["alert"]["source"]["ip"],
        signature,
        &context["detected_by"],
        &context["rules"],
    ];
    (key.map(Value::to_string).join(" "), context["flows"].as_f64().unwrap())
}

/// Flow, times and class of a verdict, without the score.
fn classification(verdict: &str) -> String {
    let cells: Vec<&str> = verdict.split(',').collect();
    [&cells[..7], &cells[9..]].concat().join(",")
}

/// Compares the output with what was sent, and the alerts of every round with those of the first.
///
/// The peers of a host are kept in sets of bounded size, by hashes of their addresses. Other addresses evict other peers,
/// so a port that a scanner tries again counts as new in one round and not in another. Scores differ accordingly, and a
/// flow between two attack classes, or close to a threshold, may be classified differently.
fn check(output: &RoundsOutput, packets: u64) {
    let number = |name: &str| output.summary[name].as_u64().unwrap();
    // Nothing is lost: every packet is scored or skipped, every flow that begins ends and has a verdict.
    assert_eq!(number("packets"), packets);
    assert_eq!(number("packets_scored") + number("packets_without_flow"), packets);
    assert_eq!(number("flows_started"), number("flows"));
    assert_eq!(output.verdicts.iter().map(Vec::len).sum::<usize>() as u64, number("flows"));
    for name in ["restarts", "flows_lost", "flows_evicted", "hosts_evicted", "endpoints_evicted"] {
        assert_eq!(number(name), 0, "{name}");
    }
    for name in ["records_shed", "records_lost"] {
        assert_eq!(number(name), 0, "{name}");
    }
    assert_eq!(output.alerts.iter().map(Vec::len).sum::<usize>() as u64, number("alerts"));
    let first: Vec<(String, f64)> = sorted(output.alerts[0].iter().map(|alert| key_and_flows(alert)));
    let classified = sorted(output.verdicts[0].iter().map(|verdict| classification(verdict)));
    for (round, (alerts, verdicts)) in output.alerts.iter().zip(&output.verdicts).enumerate() {
        let alerts = sorted(alerts.iter().map(|alert| key_and_flows(alert)));
        let stage = |name: &str| alerts.iter().filter(|(key, _)| key.starts_with(name)).count();
        assert!(stage("\"begin") > 0 && stage("\"begin") == stage("\"end"), "round {round}: {alerts:#?}");
        let keys = |alerts: &[(String, f64)]| alerts.iter().map(|(key, _)| key.clone()).collect::<Vec<_>>();
        assert_eq!(keys(&alerts), keys(&first), "round {round}");
        // Compare flows at the end of incidents only: one flow more or less may open an incident earlier.
        let ends = alerts.iter().zip(&first).filter(|((key, _), _)| key.starts_with("\"end"));
        let (mut flows_in_first, mut difference) = (0.0, 0.0);
        for ((key, flows), (_, expected)) in ends {
            let by = (flows - expected).abs();
            (flows_in_first, difference) = (flows_in_first + expected, difference + by);
            assert!(
                by <= expected / 4.0 + 2.0,
                "round {round}: {key}: {flows} flows, {expected} in the first round"
            );
        }
        assert!(
            difference <= flows_in_first / 200.0,
            "round {round}: incidents differ by {difference} of {flows_in_first} flows"
        );
        let now = sorted(verdicts.iter().map(|verdict| classification(verdict)));
        assert_eq!(now.len(), classified.len(), "round {round}");
        let changed = || now.iter().zip(&classified).filter(|(now, first)| now != first);
        let other_class = changed().count();
        let other_flag = changed().filter(|(now, first)| is_normal(now) != is_normal(first)).count();
        assert!(
            other_class * 20 <= classified.len(),
            "round {round}: {other_class} verdicts of another class"
        );
        assert!(
            other_flag * 1_000 <= classified.len(),
            "round {round}: {other_flag} flows flagged in one round only"
        );
        let [resident, peak] = output.memory[round].map(|kib| kib as f64 / 1024.0);
        eprintln!(
            "round {round}: {} alerts of {flows_in_first} flows, {difference} more or less than in the first; {} verdicts, {other_class} of another class, {other_flag} of them normal in one round only; {resident:.1} MiB resident, {peak:.1} at peak",
            alerts.len(),
            now.len()
        );
    }
    // Memory is constant after the second round, except for the table of hosts: all hosts of a round are new, up to 65,536
    // are kept, and the table doubles its capacity, so it is at least half full.
    let new_hosts = initiators(&output.verdicts[0]) * output.memory.len().saturating_sub(2) as u64;
    let [_, warm] = output.memory[1.min(output.memory.len() - 1)];
    let [_, peak] = *output.memory.last().unwrap();
    let allowed = warm + warm / 20 + 2_048 + 2 * new_hosts;
    eprintln!("{} KiB more than after the second round, of {} allowed", peak - warm, allowed - warm);
    assert!(peak <= allowed, "{:?}", output.memory);
}

/// Number of distinct initiators in some verdicts.
fn initiators(verdicts: &[String]) -> u64 {
    let initiators = verdicts.iter().filter_map(|verdict| verdict.split(',').next());
    initiators.collect::<std::collections::HashSet<_>>().len() as u64
}

fn is_normal(classification: &str) -> bool {
    classification.split(',').nth(6) == Some("normal")
}

/// Compares a round with the output of a process that sees this round only.
fn check_single_round(rounds: &mut Rounds, round: u32, output: &RoundsOutput) {
    let single = detect(rounds, round..round + 1);
    let index = round as usize;
    for (expected, actual) in
        [(&single.verdicts[index], &output.verdicts[index]), (&single.alerts[index], &output.alerts[index])]
    {
        assert_eq!(expected.len(), actual.len(), "round {round}");
        let differ: Vec<_> =
            expected.iter().zip(actual).filter(|(expected, actual)| expected != actual).collect();
        assert!(differ.is_empty(), "round {round}: {} differ, first {:#?}", differ.len(), differ[0]);
    }
}

fn sorted<T: PartialOrd>(items: impl Iterator<Item = T>) -> Vec<T> {
    let mut items: Vec<T> = items.collect();
    items.sort_by(|a, b| a.partial_cmp(b).unwrap());
    items
}

#[test]
fn rounds_have_equal_output_and_nothing_is_lost() {
    let (run, tools) = (lab("run-2"), lab("tools-2"));
    let mut rounds = Rounds::load(&[
        (&run, &["normal.pcap.zst", "scan_sU.pcap.zst", "mqtt_bruteforce.pcap.zst"]),
        (&tools, &["ncrack_slow.pcap.zst"]),
    ]);
    let output = detect(&mut rounds, 0..4);
    check(&output, 4 * rounds.packets());
    check_single_round(&mut rounds, 3, &output);
}

/// Fourteen recordings, for `CITRONELLA_HOURS` hours of packet time (default 24).
#[test]
#[ignore = "takes two minutes and a release build: tests/replay_day.sh"]
fn rounds_of_a_day_have_equal_output_and_nothing_is_lost() {
    let hours: u64 = std::env::var("CITRONELLA_HOURS").map_or(24, |hours| hours.parse().unwrap());
    let mut folders: Vec<_> = fs::read_dir(lab("")).unwrap().map(|entry| entry.unwrap().path()).collect();
    // The other recordings share networks, have VLAN tags, or have devices so close to a threshold that address hashes
    // decide.
    const INCLUDED: [&str; 9] =
        ["run-", "tools-1", "tools-2", "hard-1", "hard-2", "hard-3", "benign-1", "benign-2", "benign-3"];
    let is_included = |folder: &Path| {
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        INCLUDED.iter().any(|prefix| name.starts_with(prefix))
    };
    folders.retain(|folder| folder.join("manifest.csv").exists() && is_included(folder));
    folders.sort();
    let all: Vec<(&Path, &[&str])> = folders.iter().map(|folder| (folder.as_path(), &[][..])).collect();
    let mut rounds = Rounds::load(&all);
    let count = (hours * 3_600).div_ceil(rounds.round_secs()) as u32;
    assert!(count <= MAX_ROUNDS, "at most {} hours", u64::from(MAX_ROUNDS) * rounds.round_secs() / 3_600);
    let packets = u64::from(count) * rounds.packets();
    eprintln!("{count} rounds of {} s and {} packets", rounds.round_secs(), rounds.packets());
    let started = std::time::Instant::now();
    let output = detect(&mut rounds, 0..count);
    eprintln!("{packets} packets in {:.1} s", started.elapsed().as_secs_f64());
    eprintln!("expected false alerts a day: {}", output.summary["expected_false_positives_per_day"]);
    check(&output, packets);
    (0..count).for_each(|round| check_single_round(&mut rounds, round, &output));
    eprintln!(
        "each round has the output of a process that sees it only; {:.1} s in all",
        started.elapsed().as_secs_f64()
    );
}
