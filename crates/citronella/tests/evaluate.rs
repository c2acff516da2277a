//! `citronella evaluate` with sequence models: figures per flow, verdicts equal to those of `detect`, errors.

#![allow(clippy::unwrap_used)] // tests

mod support;

use std::{fs, path::PathBuf};

use support::{Folder, assert_contains, connect_frame, done, lab, pcap, refused, trained};

/// A manifest with one capture of run-2.
fn one_capture(folder: &Folder, scenario: &str) -> PathBuf {
    part_of(folder, "run-2", &[scenario])
}

/// A folder named after a recording, with some of its captures and a manifest.
fn part_of(folder: &Folder, recording: &str, scenarios: &[&str]) -> PathBuf {
    let whole = fs::read_to_string(lab(recording).join("manifest.csv")).unwrap();
    let mut manifest = whole.lines().next().unwrap().to_owned() + "\n";
    for scenario in scenarios {
        let file = format!("{scenario}.pcap.zst");
        folder.write(&format!("{recording}/{file}"), fs::read(lab(recording).join(&file)).unwrap());
        manifest += whole.lines().find(|line| line.contains(&file)).unwrap();
        manifest += "\n";
    }
    folder.write(&format!("{recording}/manifest.csv"), manifest)
}

#[test]
fn verdicts_equal_those_of_detect_and_figures_follow_from_them() {
    let folder = Folder::new();
    let manifest = one_capture(&folder, "malformed");
    let (ours, detects) = (folder.path("evaluate.csv"), folder.path("detect.csv"));
    let (stdout, stderr) = done(citronella!("evaluate", "--json", "--verdicts", &ours, &manifest));
    done(citronella!("detect", "--verdicts", &detects, "-r", folder.path("run-2/malformed.pcap.zst")));
    let text = fs::read_to_string(&ours).unwrap();
    assert_eq!(text, fs::read_to_string(&detects).unwrap());

    let document: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    let attacker = document["data"][0]["attackers"][0].as_str().unwrap();
    let (mut benign, mut false_alerts, mut attack, mut detected) = (0, 0, 0, 0);
    for line in text.lines().skip(1) {
        let cells: Vec<&str> = line.split(',').collect();
        let is_flagged = cells[8] != "normal";
        assert_eq!(is_flagged, !cells[10].is_empty(), "{line}");
        if cells[2] == attacker || cells[4] == attacker {
            attack += 1;
            detected += u64::from(is_flagged);
        } else {
            benign += 1;
            false_alerts += u64::from(is_flagged);
        }
    }
    let number = |name: &str| document[name].as_u64().unwrap();
    assert_eq!((number("benign_flows"), number("false_alerts")), (benign, false_alerts));
    assert_eq!((number("attack_flows"), number("flows")), (attack, attack + benign));
    assert!((document["recall"].as_f64().unwrap() - detected as f64 / attack as f64).abs() < 1e-12);
    assert_eq!(document["confusion"]["classes"][7], "malformed");
    assert!(document["macro_f1"].as_f64().unwrap() > 0.9);
    assert!(document["false_positive_rate_upper_95"].as_f64() > document["false_positive_rate"].as_f64());
    assert!(document["calibration"]["ece"].as_f64().unwrap() < 0.2);
    assert_eq!(document["baselines"][0]["name"], "ten threshold rules");
    // The model was trained on the capture.
    assert_contains(&stderr, &["warning: the model was trained on", "malformed.pcap.zst", "optimistic"]);
    assert_eq!(document["trained_on_this_data"].as_array().unwrap().len(), 1);
}

#[test]
fn baselines_must_not_be_trained_on_test_data() {
    let folder = Folder::new();
    let manifest = one_capture(&folder, "mqtt_bruteforce");
    let message = refused(citronella!("evaluate", "--train", lab("run-2"), &manifest));
    assert_contains(&message, &["--train and DATA share run-2/mqtt_bruteforce.pcap.zst"]);

    let report = folder.path("report");
    let (stdout, _) =
        done(citronella!("evaluate", "--train", lab("run-1"), "--report", &report, "--json", &manifest));
    let document: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    let named = |name: &str| {
        let all = document["baselines"].as_array().unwrap();
        all.iter().find(|other| other["name"].as_str().unwrap().starts_with(name)).unwrap().clone()
    };
    for name in
        ["ten threshold", "random forest", "one rule", "destination port", "timestamp", "always the most"]
    {
        assert_eq!(named(name)["flows"], document["flows"], "{name}: on the same flows");
    }
    assert_eq!(named("always the most")["mcc"], 0.0);
    assert!(fs::read_to_string(report.join("report.html")).unwrap().contains("Time to detection"));
    assert!(report.join("metrics.json").is_file());
}

#[test]
fn a_truncated_capture_is_evaluated_up_to_its_last_whole_packet() {
    let folder = Folder::new();
    let whole = pcap(&[connect_frame(4000), connect_frame(4001)]);
    folder.write("cut.pcap", &whole[..whole.len() - 5]);
    let manifest = folder.write("manifest.csv", "scenario,file,attacker\nnormal,cut.pcap,\n");
    let (stdout, stderr) = done(citronella!("evaluate", "--json", &manifest));
    assert_contains(
        &stderr,
        &["warning: ", "cut.pcap", "cut short in packet 2", "only the packets before are evaluated"],
    );
    let document: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((&document["flows"], &document["recall"]), (&1.into(), &serde_json::Value::Null));
    assert_contains(document["notes"][0].as_str().unwrap(), &["No attack flows"]);
}

#[test]
fn an_attack_from_several_sources_is_one_attack() {
    let folder = Folder::new();
    folder.write("a.pcap", pcap(&[connect_frame(4000), connect_frame(4001)]));
    let text = "scenario,file,attacker\nworm,a.pcap,10.0.0.9 10.0.0.1\n";
    let manifest = folder.write("manifest.csv", text);
    let (stdout, _) = done(citronella!("evaluate", "--json", &manifest));
    let document: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((&document["attack_flows"], &document["attacks"]), (&2.into(), &1.into()));
    // The model does not have this class.
    assert_eq!(document["per_attack"][0]["class"], "worm");
    // Flows from the attacker's honest ports are benign.
    let text = "scenario,file,attacker,honest_ports\nworm,a.pcap,10.0.0.9 10.0.0.1,4001-4001\n";
    let manifest = folder.write("manifest.csv", text);
    let (stdout, _) = done(citronella!("evaluate", "--json", &manifest));
    let document: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((&document["attack_flows"], &document["benign_flows"]), (&1.into(), &1.into()));
}

#[test]
fn data_that_is_not_a_recording_is_an_error() {
    let folder = Folder::new();
    let text = folder.write("notes.txt", "Dear diary\n");
    let capture = folder.write("a.pcap", pcap(&[connect_frame(4000)]));
    let empty = folder.write("empty/.keep", "").parent().unwrap().to_owned();
    let rows = folder.path("rows.csv");
    done(citronella!("extract", "--level", "packet", "-o", &rows, &capture));
    for (data, found) in [
        (&text, "a text file that is not a manifest"),
        (&rows, "a table that is not a manifest"),
        (&capture, "a binary file"),
        (&empty, "a folder without a manifest.csv"),
    ] {
        let message = refused(citronella!("evaluate", data));
        assert_contains(&message, &[found, "a sequence model reads recordings", "manifest.csv"]);
    }
    let manifest = folder.write("manifest.csv", "scenario,file,attacker\nnormal,notes.txt,\n");
    let verdicts = folder.path("verdicts.csv");
    let message = refused(citronella!("evaluate", "--verdicts", &verdicts, &manifest));
    assert_contains(&message, &["notes.txt", "not a capture"]);
    assert!(!verdicts.exists());
}

#[test]
fn options_of_sequence_models_are_errors_for_models_of_rows() {
    let folder = Folder::new();
    let model = trained(&folder);
    let verdicts = folder.path("verdicts.csv");
    let command = citronella!("evaluate", "--model", &model, "--verdicts", &verdicts, lab("run-2"));
    assert_contains(
        &refused(command),
        &["--verdicts, --train and --false-alerts-per-day need a sequence model", "packet level"],
    );
}

/// Two small recordings: a training of seconds.
fn small(folder: &Folder) -> [PathBuf; 2] {
    ["run-1", "run-2"].map(|run| part_of(folder, run, &["mqtt_bruteforce", "slowite"]))
}

#[test]
fn training_does_not_depend_on_the_number_of_threads() {
    let folder = Folder::new();
    let [first, second] = small(&folder);
    let config =
        folder.write("run.toml", "preset = \"sequence\"\nepochs = 4\nvariants = 1\nwindows = 1024\n");
    let models = ["1", "2"].map(|threads| {
        let model = folder.path(&format!("{threads}.safetensors"));
        let (stdout, _) = done(citronella!(
            "train",
            "--config",
            &config,
            "--threads",
            threads,
            "-o",
            &model,
            &first,
            &second
        ));
        assert_contains(&stdout, &["leave-one-recording-out", "run-1", "run-2"]);
        fs::read(model).unwrap()
    });
    assert!(models[0] == models[1]);

    let model = folder.path("1.safetensors");
    let (stdout, stderr) = done(citronella!("evaluate", "--json", "--model", &model, &second));
    let document: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(document["model"]["preset"], "sequence");
    assert_contains(
        &stderr,
        &["the model was trained on run-2/mqtt_bruteforce.pcap.zst, run-2/slowite.pcap.zst"],
    );
    assert!(document["pr_auc"].as_f64().unwrap() > 0.9, "{}", document["pr_auc"]);
}

#[test]
fn leave_one_recording_out_with_several_seeds() {
    let folder = Folder::new();
    let [first, second] = small(&folder);
    let command = citronella!(
        "evaluate",
        "--leave-one-out",
        "--seeds",
        "2",
        "--epochs",
        "1",
        "--json",
        &first,
        &second
    );
    let (stdout, _) = done(command);
    let document: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(document["seeds"], serde_json::json!([42, 43]));
    let recordings = document["recordings"].as_array().unwrap();
    assert_eq!(recordings.iter().map(|r| &r["recording"]).collect::<Vec<_>>(), ["run-1", "run-2"]);
    let figures = |held: &serde_json::Value, name: &str| -> Vec<f64> {
        held["by_seed"].as_array().unwrap().iter().map(|f| f[name].as_f64().unwrap()).collect()
    };
    let parts: f64 = recordings.iter().map(|held| figures(held, "flows")[0]).sum();
    assert_eq!(figures(&document["all"], "flows"), [parts, parts]);
    let [a, b] = figures(&document["all"], "macro_f1")[..] else { panic!("two seeds") };
    assert!(a != b, "another seed is another training");
    assert!((document["all"]["spread"]["macro_f1"]["mean"].as_f64().unwrap() - (a + b) / 2.0).abs() < 1e-12);
    for other in document["baselines"].as_array().unwrap() {
        assert_eq!(other["flows"].as_f64(), Some(parts), "{}: on the same flows", other["name"]);
    }

    // Recordings of --always are in the training sets, but not evaluated.
    let third = part_of(&folder, "run-3", &["slowite"]);
    let mut command = citronella!("evaluate", "--leave-one-out", "--seeds", "1", "--epochs", "1", "--json");
    command.args([&first, &second]).arg("--always").arg(&third);
    let (stdout, _) = done(command);
    let with: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(figures(&with["all"], "flows"), [parts]);
    assert_eq!(with["always"], serde_json::json!(["run-3"]));
    let forest = |document: &serde_json::Value| {
        let all = document["baselines"].as_array().unwrap();
        all.iter().find(|one| one["name"] == "random forest on whole flows").unwrap().clone()
    };
    assert_eq!(forest(&with)["flows"].as_f64(), Some(parts));
    assert_ne!(forest(&with), forest(&document), "the baselines are trained on it, too");
    assert_ne!(figures(&with["all"], "macro_f1")[0], a);

    let message = refused(citronella!("evaluate", "--leave-one-out", &first));
    assert_contains(&message, &["1 recordings", "needs at least two with attacks"]);
    let message = refused(citronella!("evaluate", "--leave-one-out", &first, &second, "--always", &first));
    assert_contains(&message, &["the same name"]);
    let message = refused(citronella!("evaluate", "--leave-one-out", &first, &first));
    assert_contains(&message, &["the same name"]);
}

#[test]
fn options_that_do_not_fit_the_preset_are_errors() {
    let folder = Folder::new();
    let model = folder.path("m.safetensors");
    for (arguments, expected) in [
        (&["--preset", "sequence", "--split", "random"][..], "it takes no split"),
        (&["--preset", "sequence", "--report", "r"], "evaluate --leave-one-out --report"),
        (&["--preset", "sequence", "--epochs", "0"], "--epochs must be at least 1"),
    ] {
        let mut command = citronella!("train", "-o", &model, lab("run-2"));
        command.args(arguments);
        assert_contains(&refused(command), &[expected]);
    }
    let config = folder.write("run.toml", "preset = \"paper-binary\"\nhidden = [32]\n");
    let message = refused(citronella!("train", "--config", &config, "-o", &model, lab("run-2")));
    assert_contains(&message, &["run.toml", "hidden needs the preset sequence"]);
    assert_eq!(folder.names(), ["run.toml"]);
}
