//! Recordings in a loop, later and from other networks each time: nothing is lost, nothing grows, every round is told
//! as by a program that begins with it, and has the alerts of the first. A few short rounds here; a day of packet time
//! with `tests/replay_day.sh`.
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

use rounds::{MOST_ROUNDS, Rounds};
use serde_json::Value;
use support::{Folder, lab, texts};

/// Kibibytes of memory that a process holds, and the most that it held.
fn memory(process: u32) -> [u64; 2] {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    ["VmRSS:", "VmHWM:"].map(|name| {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    })
}

/// What detection told of some rounds.
struct Told {
    summary: Value,
    /// Of each round, a verdict a line, times and addresses as in the first round; in order.
    verdicts: Vec<Vec<String>>,
    /// Of each round, the alerts; the same.
    alerts: Vec<Vec<String>>,
    /// What the process held after each round.
    memory: Vec<[u64; 2]>,
}

/// Sends rounds through one program.
fn detect(rounds: &mut Rounds, numbers: Range<u32>) -> Told {
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
    Rounds::begin(&mut stdin).unwrap();
    let mut held = Vec::new();
    let end = numbers.end as usize;
    for round in numbers {
        rounds.send(round, &mut stdin).unwrap();
        // What it has not read yet fits into a pipe.
        held.push(memory(child.id()));
    }
    stdin.flush().unwrap();
    drop(stdin);
    let (code, stdout, stderr) = texts(&child.wait_with_output().unwrap());
    assert_eq!(code, Some(0), "{stderr}");
    let verdicts = fs::read_to_string(&verdicts).unwrap();
    let eve = fs::read_to_string(&eve).unwrap();
    let by_round = |placed: Vec<(usize, String)>| {
        let mut lines = vec![Vec::new(); end];
        placed.into_iter().for_each(|(round, line)| lines[round].push(line));
        lines.iter_mut().for_each(|lines| lines.sort_unstable());
        lines
    };
    Told {
        summary: serde_json::from_str(&stdout).unwrap(),
        verdicts: by_round(verdicts.lines().skip(1).map(|line| verdict(line, rounds)).collect()),
        alerts: by_round(eve.lines().filter_map(|line| alert(line, rounds)).collect()),
        memory: held,
    }
}

/// A row of the verdicts and its round.
fn verdict(line: &str, rounds: &Rounds) -> (usize, String) {
    let cells: Vec<&str> = line.split(',').collect();
    let time = |cell: &str| {
        let (seconds, nanos) = cell.split_once('.').unwrap();
        rounds.place(seconds.parse::<u64>().unwrap() * 1_000_000_000 + nanos.parse::<u64>().unwrap())
    };
    let ((round, first), (_, last)) = (time(cells[0]), time(cells[1]));
    let [from, to] = [cells[2], cells[4]].map(|address| rounds.address_as_in_the_first(address, round));
    let row = [&[&from, cells[3], &to], &cells[5..]].concat().join(",");
    (round, format!("{row},{first},{last}"))
}

/// An alert and its round, without what numbers it, and whether an incident ended with the packets or by their silence.
fn alert(line: &str, rounds: &Rounds) -> Option<(usize, String)> {
    let mut record: Value = serde_json::from_str(line).unwrap();
    if record["event_type"] != "alert" {
        return None;
    }
    let time = |value: &Value| {
        let time = jiff::Timestamp::strptime("%Y-%m-%dT%H:%M:%S%.f%z", value.as_str().unwrap()).unwrap();
        rounds.place(u64::try_from(time.as_nanosecond()).unwrap())
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
    Some((round, rounds.as_in_the_first(&record.to_string(), round)))
}

/// The words of a record that have to be the same in each round, and the flows that it counts.
fn in_short(alert: &str) -> (String, f64) {
    let record: Value = serde_json::from_str(alert).unwrap();
    let (signature, context) = (&record["alert"]["signature_id"], &record["alert"]["context"]);
    let words = [
        &context["stage"],
        &context["class"],
        &record["alert"]["source"]["ip"],
        signature,
        &context["found_by"],
        &context["rules"],
    ];
    (words.map(Value::to_string).join(" "), context["flows"].as_f64().unwrap())
}

/// Flow, times and class of a verdict.
fn called(verdict: &str) -> String {
    let cells: Vec<&str> = verdict.split(',').collect();
    [&cells[..7], &cells[9..]].concat().join(",")
}

/// Holds what was told to what was sent, and every round's alerts to the first's.
///
/// A host remembers whom it met last in sets of bounded size, by hashes of addresses: from other addresses other ends
/// are pushed out of them, and a port that a scanner tries again counts as new in one round and not in another. Scores
/// follow, and a flow that lies between two kinds of attack, or at a threshold, is called differently.
fn check(told: &Told, packets: u64) {
    let number = |name: &str| told.summary[name].as_u64().unwrap();
    // Nothing lost: packets in, packets scored; flows begun, flows ended, a verdict for each.
    assert_eq!(number("packets"), packets);
    assert_eq!(number("packets_scored") + number("packets_passed_over"), packets);
    assert_eq!(number("flows_begun"), number("flows"));
    assert_eq!(told.verdicts.iter().map(Vec::len).sum::<usize>() as u64, number("flows"));
    for name in ["restarts", "lost_flows", "evicted_flows", "forgotten_hosts", "forgotten_service_ends"] {
        assert_eq!(number(name), 0, "{name}");
    }
    for name in ["shed", "lost"] {
        assert_eq!(told.summary["records"][name], 0, "{name}");
    }
    assert_eq!(told.alerts.iter().map(Vec::len).sum::<usize>() as u64, number("alerts_told"));
    let first: Vec<(String, f64)> = sorted(told.alerts[0].iter().map(|alert| in_short(alert)));
    let calls = sorted(told.verdicts[0].iter().map(|verdict| called(verdict)));
    for (round, (alerts, verdicts)) in told.alerts.iter().zip(&told.verdicts).enumerate() {
        let alerts = sorted(alerts.iter().map(|alert| in_short(alert)));
        let stage = |name: &str| alerts.iter().filter(|(words, _)| words.starts_with(name)).count();
        assert!(stage("\"begin") > 0 && stage("\"begin") == stage("\"end"), "round {round}: {alerts:#?}");
        let words =
            |alerts: &[(String, f64)]| alerts.iter().map(|(words, _)| words.clone()).collect::<Vec<_>>();
        assert_eq!(words(&alerts), words(&first), "round {round}");
        // What incidents came to; when they begin, one flow more or less may hasten them.
        let ends = alerts.iter().zip(&first).filter(|((words, _), _)| words.starts_with("\"end"));
        let (mut sum, mut off) = (0.0, 0.0);
        for ((words, flows), (_, before)) in ends {
            let by = (flows - before).abs();
            (sum, off) = (sum + before, off + by);
            assert!(by <= before / 4.0 + 2.0, "round {round}: {words}: {flows} flows, {before} in the first");
        }
        assert!(off <= sum / 200.0, "round {round}: {off} of {sum} flows of incidents more or less");
        let here = sorted(verdicts.iter().map(|verdict| called(verdict)));
        assert_eq!(here.len(), calls.len(), "round {round}");
        let others = || here.iter().zip(&calls).filter(|(here, first)| here != first);
        let otherwise = others().count();
        let newly = others().filter(|(here, first)| is_normal(here) != is_normal(first)).count();
        assert!(otherwise * 20 <= calls.len(), "round {round}: {otherwise} verdicts of another class");
        assert!(newly * 1_000 <= calls.len(), "round {round}: {newly} calls more or less");
        let [now, most] = told.memory[round].map(|kib| kib as f64 / 1024.0);
        eprintln!(
            "round {round}: {} alerts of {sum} flows, {off} more or less than in the first; {} verdicts, {otherwise} of another class, {newly} of them normal in one round only; {now:.1} MiB held, {most:.1} at most",
            alerts.len(),
            here.len()
        );
    }
    // Memory after the second round is what it stays, but for hosts, all of them new in each round and remembered until
    // there are 65,536: in tables that double, which are at least half full.
    let new_hosts = hosts(&told.verdicts[0]) * told.memory.len().saturating_sub(2) as u64;
    let [_, warm] = told.memory[1.min(told.memory.len() - 1)];
    let [_, most] = *told.memory.last().unwrap();
    let allowed = warm + warm / 20 + 2_048 + 2 * new_hosts;
    eprintln!("{} KiB more than after the second round, of {} allowed", most - warm, allowed - warm);
    assert!(most <= allowed, "{:?}", told.memory);
}

/// How many hosts began the flows of some verdicts.
fn hosts(verdicts: &[String]) -> u64 {
    let initiators = verdicts.iter().filter_map(|verdict| verdict.split(',').next());
    initiators.collect::<std::collections::HashSet<_>>().len() as u64
}

fn is_normal(called: &str) -> bool {
    called.split(',').nth(6) == Some("normal")
}

/// Holds a round to what a program told that heard of no other.
fn check_alone(rounds: &mut Rounds, round: u32, told: &Told) {
    let alone = detect(rounds, round..round + 1);
    let at = round as usize;
    for (there, here) in [(&alone.verdicts[at], &told.verdicts[at]), (&alone.alerts[at], &told.alerts[at])] {
        assert_eq!(there.len(), here.len(), "round {round}");
        let differ: Vec<_> = there.iter().zip(here).filter(|(there, here)| there != here).collect();
        assert!(differ.is_empty(), "round {round}: {} differ, first {:#?}", differ.len(), differ[0]);
    }
}

fn sorted<T: PartialOrd>(items: impl Iterator<Item = T>) -> Vec<T> {
    let mut items: Vec<T> = items.collect();
    items.sort_by(|a, b| a.partial_cmp(b).unwrap());
    items
}

#[test]
fn rounds_of_attacks_are_told_alike_and_nothing_is_lost() {
    let (run, tools) = (lab("run-2"), lab("tools-2"));
    let mut rounds = Rounds::of(&[
        (&run, &["normal.pcap.zst", "scan_sU.pcap.zst", "mqtt_bruteforce.pcap.zst"]),
        (&tools, &["ncrack_slow.pcap.zst"]),
    ]);
    let told = detect(&mut rounds, 0..4);
    check(&told, 4 * rounds.packets());
    check_alone(&mut rounds, 3, &told);
}

/// Fourteen recordings, for as many hours of packet time as `CITRONELLA_HOURS` says.
#[test]
#[ignore = "takes two minutes and a release build: tests/replay_day.sh"]
fn a_day_is_told_alike_and_nothing_is_lost() {
    let hours: u64 = std::env::var("CITRONELLA_HOURS").map_or(24, |hours| hours.parse().unwrap());
    let mut folders: Vec<_> = fs::read_dir(lab("")).unwrap().map(|entry| entry.unwrap().path()).collect();
    // The others share networks, bear VLAN tags, or hold devices so near a threshold that hashes of addresses decide.
    const SENT: [&str; 9] =
        ["run-", "tools-1", "tools-2", "hard-1", "hard-2", "hard-3", "benign-1", "benign-2", "benign-3"];
    let is_sent = |folder: &Path| {
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        SENT.iter().any(|sent| name.starts_with(sent))
    };
    folders.retain(|folder| folder.join("manifest.csv").exists() && is_sent(folder));
    folders.sort();
    let all: Vec<(&Path, &[&str])> = folders.iter().map(|folder| (folder.as_path(), &[][..])).collect();
    let mut rounds = Rounds::of(&all);
    let count = (hours * 3_600).div_ceil(rounds.round_secs()) as u32;
    assert!(count <= MOST_ROUNDS, "at most {} hours", u64::from(MOST_ROUNDS) * rounds.round_secs() / 3_600);
    let packets = u64::from(count) * rounds.packets();
    eprintln!("{count} rounds of {} s and {} packets", rounds.round_secs(), rounds.packets());
    let begun = std::time::Instant::now();
    let told = detect(&mut rounds, 0..count);
    eprintln!("{packets} packets in {:.1} s", begun.elapsed().as_secs_f64());
    eprintln!("false calls a day to be expected: {}", told.summary["false_calls_per_day"]);
    check(&told, packets);
    (0..count).for_each(|round| check_alone(&mut rounds, round, &told));
    eprintln!(
        "each round told as by a program that begins with it, all in {:.1} s",
        begun.elapsed().as_secs_f64()
    );
}
