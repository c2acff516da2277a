//! Alerts of `detect` as EVE records, also with a full disk, a closed pipe, an invalid configuration or model, and a clock
//! that jumps.

#![allow(clippy::unwrap_used)] // tests

#[path = "../../eve/tests/eve_fields/mod.rs"]
mod eve_fields;
mod support;

use std::{
    fs,
    io::Write,
    path::Path,
    process::{Command, Stdio},
};

use serde_json::Value;
use support::{Folder, assert_contains, done, lab, refused, texts};

const BRUTEFORCE: &str = "run-2/mqtt_bruteforce.pcap.zst";

fn records(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn read(path: &Path) -> Vec<Value> {
    records(&fs::read_to_string(path).unwrap())
}

fn of<'a>(records: &'a [Value], kind: &str) -> Vec<&'a Value> {
    records.iter().filter(|record| record["event_type"] == kind).collect()
}

/// Stage and class of each alert.
fn stages(records: &[Value]) -> Vec<String> {
    let context = |alert: &&Value| {
        let context = &alert["alert"]["context"];
        format!("{} {}", context["stage"].as_str().unwrap(), context["class"].as_str().unwrap())
    };
    of(records, "alert").iter().map(context).collect()
}

/// The file header and the packets of a recording: seconds, then the rest of the packet header and the frame.
fn packets(name: &str) -> (Vec<u8>, Vec<(u32, Vec<u8>)>) {
    let bytes = zstd::decode_all(fs::File::open(lab(name)).unwrap()).unwrap();
    let (head, mut rest) = bytes.split_at(24);
    let mut packets = Vec::new();
    while let Some((header, after)) = rest.split_at_checked(16) {
        let word = |at: usize| u32::from_le_bytes(header[at..at + 4].try_into().unwrap());
        let (frame, after) = after.split_at(word(8) as usize);
        packets.push((word(0), [&header[4..], frame].concat()));
        rest = after;
    }
    (head.to_vec(), packets)
}

fn capture(head: &[u8], packets: &[(u32, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = head.to_vec();
    for (second, rest) in packets {
        bytes.extend(second.to_le_bytes());
        bytes.extend(rest);
    }
    bytes
}

#[test]
fn an_attack_raises_alerts_at_its_start_and_end_and_records_are_valid() {
    let folder = Folder::new();
    let eve = folder.path("eve.json");
    let types = "alert,stats,flow,mqtt,anomaly,tls";
    let (stdout, _) = done(citronella!("detect", "-r", lab(BRUTEFORCE), "--eve", &eve, "--eve-types", types));
    assert_contains(&stdout, &["incident", "mqtt_bruteforce", "model and rule"]);
    let records = read(&eve);
    for record in &records {
        assert_eq!(eve_fields::faults(record), Vec::<String>::new(), "{record}");
    }
    let stages = stages(&records);
    assert_eq!(stages.first().unwrap(), "begin mqtt_bruteforce");
    assert_eq!(stages.last().unwrap(), "end mqtt_bruteforce");
    assert!(stages.len() <= 4 && stages[1..stages.len() - 1].iter().all(|stage| stage.starts_with("update")));
    let begin = of(&records, "alert")[0];
    let alert = &begin["alert"];
    assert_eq!(alert["signature_id"], 1_883_004);
    assert_eq!((&alert["source"]["ip"], &begin["src_ip"]), (&"10.40.3.59".into(), &"10.40.3.59".into()));
    assert_eq!(alert["context"]["targets"], serde_json::json!(["10.40.3.64"]));
    assert_eq!(alert["metadata"]["mitre_technique_id"], serde_json::json!(["T1110.001"]));
    // Within five seconds of the first flagged packet, which is one of the first packets of the attack.
    assert!(alert["context"]["first_seen"].as_str() < Some("2026-11-23T12:05:39"), "{begin}");
    assert!(begin["timestamp"].as_str() < Some("2026-11-23T12:05:42"), "{}", begin["timestamp"]);
    let flows = of(&records, "flow");
    assert!(flows.iter().any(|flow| flow["flow_id"] == begin["flow_id"]), "an alert's flow has a record");
    let stats = of(&records, "stats");
    let packets = packets(BRUTEFORCE).1.len();
    assert!(stats.len() >= 10);
    assert_eq!(stats.last().unwrap()["stats"]["decoder"]["pkts"], packets);
    assert_eq!(stats.last().unwrap()["metadata"]["flowints"]["records_lost"], 0);
    // The default types.
    let (stdout, _) = done(citronella!("detect", "-r", lab(BRUTEFORCE), "--eve", "-"));
    let records = self::records(&stdout);
    assert_eq!(of(&records, "alert").len() + of(&records, "stats").len(), records.len());
}

#[test]
fn fail_on_alert_exits_with_1_on_attacks_only() {
    let (stdout, _) =
        done(citronella!("detect", "-r", lab("benign-1/normal.pcap.zst"), "--json", "--fail-on-alert"));
    let summary: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((&summary["incidents"], &summary["alerts"]), (&serde_json::json!([]), &0.into()));
    let run = |arguments: &[&str]| {
        let mut command = support::program();
        command.arg("detect").arg("-r").arg(lab(BRUTEFORCE)).args(arguments);
        texts(&command.output().unwrap()).0
    };
    assert_eq!(run(&["--fail-on-alert"]), Some(1));
    let folder = Folder::new();
    let config = folder.write("quiet.toml", "[[suppress]]\nsource = \"10.40.3.59\"\n");
    assert_eq!(run(&["--fail-on-alert", "--config", config.to_str().unwrap()]), Some(0));
}

#[test]
fn fewer_false_alerts_per_day_raise_the_thresholds() {
    let threshold = |per_day: &str| {
        let mut command = support::program();
        command.args(["detect", "--eve", "-", "--false-alerts-per-day", per_day, "-r"]).arg(lab(BRUTEFORCE));
        of(&records(&done(command).0), "alert")[0]["alert"]["context"]["threshold"].as_f64().unwrap()
    };
    assert!(threshold("0") > threshold("100000"));
    let folder = Folder::new();
    let config = folder.write("c.toml", "[detect]\nfalse_alerts_per_day = -1.0\n");
    let message = refused(citronella!("config", "check", config));
    assert_contains(&message, &["false_alerts_per_day: must be 0 or more"]);
}

#[test]
fn the_command_line_overrides_the_configuration_file() {
    let folder = Folder::new();
    let (first, second) = (folder.path("first.json"), folder.path("second.json"));
    let text = format!("[eve]\nfile = {first:?}\ntypes = [\"stats\"]\n");
    let config = folder.write("c.toml", text);
    done(citronella!("detect", "-r", lab(BRUTEFORCE), "--config", &config));
    assert!(of(&read(&first), "alert").is_empty() && !of(&read(&first), "stats").is_empty());
    done(citronella!(
        "detect",
        "-r",
        lab(BRUTEFORCE),
        "--config",
        &config,
        "--eve",
        &second,
        "--eve-types",
        "alert"
    ));
    assert!(of(&read(&second), "stats").is_empty() && !of(&read(&second), "alert").is_empty());
}

#[test]
fn an_invalid_configuration_or_model_is_rejected_with_file_and_line() {
    let folder = Folder::new();
    let config = folder.write("c.toml", "[alerts]\nquiet_sec = 3\n");
    for arguments in [vec!["config", "check"], vec!["detect", "-r", "x.pcap", "--config"]] {
        let mut command = support::program();
        command.args(arguments).arg(&config);
        assert_contains(
            &refused(command),
            &["c.toml:2", "unknown key `quiet_sec`", "did you mean `quiet_secs`?"],
        );
    }
    let message = refused(citronella!("config", "check", folder.path("none.toml")));
    assert_contains(&message, &["none.toml: cannot read"]);
    let (shown, _) = done(citronella!("config", "show"));
    let (stdout, _) = done(citronella!("config", "check", folder.write("all.toml", shown)));
    assert_contains(&stdout, &["all.toml: valid configuration"]);
    let model =
        fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/sequence.safetensors")).unwrap();
    let damaged = folder.write("damaged.safetensors", &model[..model.len() / 2]);
    let config = folder.write("m.toml", format!("[detect]\nmodel = {damaged:?}\n"));
    let message = refused(citronella!("detect", "-r", lab(BRUTEFORCE), "--config", config));
    assert_contains(&message, &["damaged.safetensors"]);
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_logged_once_and_detection_continues() {
    let folder = Folder::new();
    let verdicts = folder.path("verdicts.csv");
    let output = citronella!("detect", "-r", lab(BRUTEFORCE), "--eve", "/dev/full", "--verdicts", &verdicts)
        .output()
        .unwrap();
    let (code, stdout, stderr) = texts(&output);
    assert_eq!(code, Some(2));
    assert_contains(&stdout, &["mqtt_bruteforce"]);
    assert_eq!(stderr.matches("/dev/full: cannot write: No space left on device").count(), 1, "{stderr}");
    assert_contains(&stderr, &["free some space", "retrying", "records were not written"]);
    assert!(fs::read_to_string(verdicts).unwrap().lines().count() > 900);
}

#[cfg(unix)]
#[test]
fn a_closed_pipe_is_logged_once_and_detection_continues() {
    let folder = Folder::new();
    let verdicts = folder.path("verdicts.csv");
    let mut child = Command::new(env!("CARGO_BIN_EXE_citronella"))
        .args(["detect", "--eve", "-", "--eve-types", "alert,stats,flow,mqtt", "--verdicts"])
        .arg(&verdicts)
        .arg("-r")
        .arg(lab(BRUTEFORCE))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    let (code, _, stderr) = texts(&output);
    assert_eq!(code, Some(2));
    assert_eq!(stderr.matches("stdout: cannot write").count(), 1, "{stderr}");
    assert_contains(&stderr, &["its reader has closed it"]);
    assert!(fs::read_to_string(verdicts).unwrap().lines().count() > 900);
}

#[test]
fn a_clock_set_back_and_packets_out_of_order_raise_one_incident() {
    let folder = Folder::new();
    let (head, packets) = packets(BRUTEFORCE);
    let middle = packets.len() / 2;
    let set_back: Vec<_> = packets
        .iter()
        .enumerate()
        .map(|(n, (second, rest))| (if n < middle { *second } else { second - 3_600 }, rest.clone()))
        .collect();
    // One of two capture queues, each with its own flows, is ten seconds behind the other.
    let mut late = packets.clone();
    late.sort_by_key(|(second, rest)| {
        let port = |at: usize| u32::from(rest[12 + at]) << 8 | u32::from(rest[13 + at]);
        second + 10 * ((port(34) + port(36)) % 2)
    });
    for (name, packets) in [("set-back.pcap", set_back), ("late.pcap", late)] {
        let path = folder.write(name, capture(&head, &packets));
        let (stdout, _) = done(citronella!("detect", "-r", path, "--eve", "-"));
        let stages = stages(&records(&stdout));
        let starts: Vec<_> = stages.iter().filter(|stage| stage.starts_with("begin")).collect();
        let ends: Vec<_> = stages.iter().filter(|stage| stage.starts_with("end")).collect();
        assert_eq!(starts, ["begin mqtt_bruteforce"], "{name}");
        assert_eq!(ends, ["end mqtt_bruteforce"], "{name}");
    }
}

#[cfg(unix)]
#[test]
fn an_incident_continues_after_a_kill_and_a_restart_with_state() {
    let folder = Folder::new();
    let state = folder.path("state");
    let (head, packets) = packets(BRUTEFORCE);
    // State is saved every minute of packet time. Cut after 100 s of 114.
    let cut = packets.iter().position(|(second, _)| *second > packets[0].0 + 100).unwrap();
    let (first, second) = packets.split_at(cut);
    let eve = |n: u32| folder.path(&format!("eve-{n}.json"));
    let detect = |n: u32, capture: &Path| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_citronella"));
        command.arg("detect").arg("-r").arg(capture).arg("--state").arg(&state).arg("--eve").arg(eve(n));
        command
    };
    let mut child = detect(1, Path::new("-")).stdin(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(&capture(&head, first)).unwrap();
    stdin.flush().unwrap();
    let file = state.join("citronella.state");
    for _ in 0..600 {
        if file.exists() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(file.exists(), "no state was saved");
    drop(stdin);

    let rest = folder.write("rest.pcap", capture(&head, second));
    let output = detect(2, &rest).output().unwrap();
    let (code, _, stderr) = texts(&output);
    assert_eq!(code, Some(0));
    assert_contains(&stderr, &["1 open incidents"]);
    // The incident was opened before the restart; no second one is opened.
    assert!(!stages(&read(&eve(2))).iter().any(|stage| stage.starts_with("begin")));

    // A damaged file is renamed and ignored.
    let mut bytes = fs::read(&file).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&file, bytes).unwrap();
    let (code, _, stderr) = texts(&detect(3, &rest).output().unwrap());
    assert_eq!(code, Some(0));
    assert_contains(&stderr, &["is damaged", "set aside as", "citronella.state.aside"]);
    assert_eq!(stages(&read(&eve(3)))[0], "begin mqtt_bruteforce");
}

#[cfg(target_os = "linux")]
#[test]
fn sighup_reloads_the_configuration_and_ignores_an_invalid_one() {
    use std::io::{BufRead, BufReader};
    let folder = Folder::new();
    let config = folder.write("c.toml", "[alerts]\nflows = 4\n");
    let eve = folder.path("eve.json");
    let mut child = Command::new(env!("CARGO_BIN_EXE_citronella"))
        .args(["detect", "-i", "lo", "--config"])
        .arg(&config)
        .arg("--eve")
        .arg(&eve)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    let mut until = |part: &str| lines.by_ref().find(|line| line.contains(part));
    if until("capturing from").is_none() {
        child.wait().unwrap();
        eprintln!("skipped: no right to capture from lo");
        return;
    }
    let signal = |name: &str| {
        assert!(Command::new("kill").args([name, &child.id().to_string()]).status().unwrap().success());
    };
    fs::write(&config, "[alerts]\nflws = 5\n").unwrap();
    fs::rename(&eve, folder.path("moved.json")).unwrap();
    signal("-HUP");
    let line = until("the previous configuration stays in force").unwrap();
    assert_contains(&line, &["c.toml:2", "did you mean `flows`?"]);
    fs::write(&config, "[alerts]\nflows = 5\n").unwrap();
    signal("-HUP");
    assert!(until("were read again").is_some());
    signal("-TERM");
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(eve.is_file() && folder.path("moved.json").is_file());
    assert!(!of(&read(&eve), "stats").is_empty());
}

/// A pipe may be read for months: its record file is rotated as well.
#[cfg(unix)]
#[test]
fn sighup_reopens_the_record_file_of_a_pipe() {
    use std::io::Write;
    let folder = Folder::new();
    let (eve, moved) = (folder.path("eve.json"), folder.path("moved.json"));
    let mut child = Command::new(env!("CARGO_BIN_EXE_citronella"))
        .args(["detect", "-r", "-", "--eve-types", "stats,flow", "--eve"])
        .arg(&eve)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let capture = zstd::decode_all(fs::File::open(lab("run-2/normal.pcap.zst")).unwrap()).unwrap();
    let (first, rest) = capture.split_at(capture.len() / 2);
    let mut input = child.stdin.take().unwrap();
    input.write_all(first).unwrap();
    while !fs::metadata(&eve).is_ok_and(|file| file.len() > 0) {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    fs::rename(&eve, &moved).unwrap();
    assert!(Command::new("kill").args(["-HUP", &child.id().to_string()]).status().unwrap().success());
    input.write_all(rest).unwrap();
    drop(input);
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(fs::metadata(&eve).unwrap().len() > 0 && fs::metadata(&moved).unwrap().len() > 0);
}
