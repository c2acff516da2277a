//! Bad input: exit code 2, one clear message on stderr, no file left behind.

#![allow(clippy::unwrap_used)] // tests

mod support;

use std::fs;

use support::{
    Folder, arp_frame, assert_contains, connect_frame, done, lab, pcap, pcapng, program, refused, rows,
    texts, trained,
};

/// Asserts that `extract` rejects a file `name` with these bytes, with a message that contains `parts`, and leaves no output.
#[track_caller]
fn assert_extract_rejects(name: &str, bytes: &[u8], parts: &[&str]) {
    let folder = Folder::new();
    let input = folder.write(name, bytes);
    for output in ["rows.csv", "rows.parquet"] {
        let message = refused(citronella!("extract", "--level", "packet", "-o", folder.path(output), &input));
        assert_contains(&message, &[&[name], parts].concat());
    }
    assert_eq!(folder.names(), [name], "no partial output, no temporary file");
}

#[test]
fn extract_rejects_an_empty_file() {
    assert_extract_rejects("empty.pcap", b"", &["the file is empty", "begins with a pcap or pcapng header"]);
}

#[test]
fn extract_rejects_a_text_file() {
    let parts = ["not a capture", "the text \"Dear diary, toda", "expected a pcap or pcapng file"];
    assert_extract_rejects("notes.pcap", b"Dear diary, today I recorded nothing.\n", &parts);
}

#[test]
fn extract_rejects_a_truncated_pcap_unless_accept_cut_is_given() {
    let whole = pcap(&[connect_frame(4000), connect_frame(4001), connect_frame(4002)]);
    let cut = &whole[..whole.len() - 5];
    let parts = ["cut short in packet 3 at byte 202", "5 more bytes", "the 2 whole packets", "--accept-cut"];
    assert_extract_rejects("cut.pcap", cut, &parts);

    let folder = Folder::new();
    let input = folder.write("cut.pcap", cut);
    let (stdout, stderr) = done(citronella!("extract", "--level", "packet", "--accept-cut", &input));
    assert_eq!(stdout.lines().count(), 1 + 2, "a header and the whole packets");
    assert_contains(&stderr, &["warning: ", "cut short in packet 3"]);
}

#[test]
fn extract_rejects_a_truncated_zstd_stream() {
    let bytes = fs::read(lab("run-2").join("scan_sU.pcap.zst")).unwrap();
    let parts = ["the zstd stream breaks off in packet", "of the decompressed stream", "--accept-cut"];
    assert_extract_rejects("cut.pcap.zst", &bytes[..bytes.len() / 2], &parts);
}

#[test]
fn extract_rejects_a_capture_without_ip() {
    let parts = ["no packet makes a row of this level", "`citronella inspect` shows the protocols"];
    assert_extract_rejects("arp.pcap", &pcap(&[arp_frame(), arp_frame()]), &parts);
    assert_extract_rejects("nothing.pcap", &pcap(&[]), &parts);

    let folder = Folder::new();
    let (stdout, _) = done(citronella!("inspect", "--json", folder.write("arp.pcap", pcap(&[arp_frame()]))));
    let summary: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((summary["packets"].as_u64(), summary["not_ip_packets"].as_u64()), (Some(1), Some(1)));
}

/// The pcapng draft requires readers to skip blocks of unknown types.
#[test]
fn unknown_pcapng_blocks_are_skipped_and_counted() {
    let folder = Folder::new();
    let input = folder.write("odd.pcapng", pcapng(&[connect_frame(4000), connect_frame(4001)]));
    let (stdout, stderr) = done(citronella!("extract", "--level", "packet", &input));
    assert_eq!(stdout.lines().count(), 1 + 2);
    assert_contains(&stderr, &["odd.pcapng: skipped 1 pcapng blocks of unknown types"]);
    let (_, stderr) = done(citronella!("inspect", &input));
    assert_contains(&stderr, &["skipped 1 pcapng blocks of unknown types"]);
}

#[test]
fn a_manifest_with_a_missing_file_is_rejected() {
    let folder = Folder::new();
    folder.write("here.pcap", pcap(&[connect_frame(4000)]));
    let text = "scenario,file,attacker\nnormal,here.pcap,\nflood,gone.pcap,10.0.0.1\n";
    let manifest = folder.write("manifest.csv", text);
    let output = folder.path("out");
    for command in [
        citronella!("extract", "--level", "packet", "-o", &output, &manifest),
        citronella!("train", "--preset", "paper-binary", "-o", &output, &manifest),
    ] {
        let message = refused(command);
        assert_contains(
            &message,
            &["manifest.csv, line 3", "gone.pcap is missing from the manifest's folder"],
        );
    }
    assert_eq!(folder.names(), ["here.pcap", "manifest.csv"]);
}

#[test]
fn a_csv_file_with_a_missing_column_is_rejected() {
    let folder = Folder::new();
    let whole = rows(folder.write("a.pcap", pcap(&[connect_frame(4000)])));
    let without_ttl = whole.lines().map(|line| {
        let cells: Vec<&str> =
            line.split(',').enumerate().filter(|(at, _)| *at != 4).map(|(_, c)| c).collect();
        cells.join(",") + "\n"
    });
    let input = folder.write("short.csv", without_ttl.collect::<String>());
    let command =
        citronella!("train", "--preset", "paper-binary", "-o", folder.path("m.safetensors"), &input);
    assert_contains(&refused(command), &["short.csv: the header lacks ttl;", "add what is missing"]);
    assert_eq!(folder.names(), ["a.pcap", "short.csv"]);
}

#[test]
fn a_model_of_another_version_a_damaged_model_and_unsuitable_rows_are_rejected() {
    let folder = Folder::new();
    let model = trained(&folder);

    let mut bytes = fs::read(&model).unwrap();
    let entry = br#"\"format\":1,"#;
    let at = bytes.windows(entry.len()).position(|window| window == entry).unwrap();
    bytes[at + entry.len() - 2] = b'9';
    let other = folder.write("other.safetensors", &bytes);
    let message = refused(citronella!("evaluate", "--model", &other, lab("run-2")));
    assert_contains(
        &message,
        &["other.safetensors: format version 9", "this program reads version 1", "train"],
    );

    let half = folder.write("half.safetensors", &bytes[..bytes.len() / 2]);
    let message = refused(citronella!("evaluate", "--model", &half, lab("run-2")));
    assert_contains(&message, &["half.safetensors: not a complete safetensors file", "train the model"]);

    let gone = folder.path("gone.safetensors");
    assert_contains(
        &refused(citronella!("evaluate", "--model", &gone, lab("run-2"))),
        &["gone.safetensors", "check"],
    );

    let flows = folder.path("flows.csv");
    let capture = lab("run-2").join("scan_sU.pcap.zst");
    done(citronella!("extract", "--level", "uniflow", "-o", &flows, &capture));
    let message = refused(citronella!("evaluate", "--model", &model, &flows));
    assert_contains(&message, &["flows.csv: the header lacks", "these are rows of the uniflow level"]);

    let unlabelled = folder.path("mine.csv");
    done(citronella!("extract", "--level", "packet", "-o", &unlabelled, &capture));
    let message = refused(citronella!("evaluate", "--model", &model, &unlabelled));
    assert_contains(&message, &["mine.csv, row 2: is_attack is empty", "--attacker"]);
}

#[test]
fn a_folder_or_a_missing_file_instead_of_a_capture_is_rejected() {
    let folder = Folder::new();
    let path = folder.write("sub/a.pcap", pcap(&[connect_frame(4000)]));
    let message = refused(citronella!("inspect", path.parent().unwrap()));
    assert_contains(&message, &["sub: is a folder; give a capture file"]);
    assert_contains(
        &refused(citronella!("inspect", folder.path("gone.pcap"))),
        &["gone.pcap", "check the path"],
    );
    let message = refused(citronella!("extract", "--level", "packet", path.parent().unwrap()));
    assert_contains(&message, &["sub: a folder without a manifest.csv"]);
}

#[test]
fn unknown_presets_and_invalid_configurations_are_rejected() {
    let folder = Folder::new();
    let output = citronella!("train", "--preset", "nope", lab("run-2")).output().unwrap();
    let (code, stdout, stderr) = texts(&output);
    assert_eq!((code, stdout.as_str()), (Some(2), ""));
    assert_contains(&stderr, &["'nope'", "no such preset; there are paper-binary, paper-multiclass"]);

    for (text, parts) in [
        ("preset = \"paper-binary\"\nepoch = 1\n", ["line 2: unknown field `epoch`", "`epochs`"]),
        ("preset = \"nope\"\n", ["preset \"nope\": no such preset", "paper-multiclass-no-time"]),
        ("preset = \"paper-binary\nseed = 1\n", ["line 1: ", "invalid"]),
        (
            "preset = \"paper-binary\"\nsplit = \"half\"\n",
            ["split \"half\"", "expected random, capture, time"],
        ),
        ("seed = 7\n", ["no preset", "--preset"]),
    ] {
        let config = folder.write("run.toml", text);
        let message = refused(citronella!("train", "--config", &config, lab("run-2")));
        assert_contains(&message, &parts);
    }
    assert_eq!(folder.names(), ["run.toml"]);
}

#[test]
fn wrong_usage_has_exit_code_2() {
    for arguments in [&["extract"][..], &["extract", "--level", "nothing", "a.pcap"], &["fly"]] {
        let (code, stdout, stderr) = texts(&program().args(arguments).output().unwrap());
        assert_eq!((code, stdout.as_str()), (Some(2), ""), "{arguments:?}");
        assert_contains(&stderr, &["--help"]);
    }
}
