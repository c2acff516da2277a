//! The TOML file: its defaults, and what errors report.

#![allow(clippy::unwrap_used)] // tests

use citronella_config::{ConfigFile, DEFAULT_TOML};

fn load(text: &str) -> Result<ConfigFile, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("c.toml");
    std::fs::write(&path, text).unwrap();
    ConfigFile::load(&path).map_err(|error| error.to_string())
}

#[test]
fn the_commented_file_has_every_key_and_its_default() {
    let defaults = ConfigFile::default();
    assert_eq!(toml::from_str::<ConfigFile>(DEFAULT_TOML).unwrap(), defaults);
    // Keys without a default are commented out.
    let uncommented = DEFAULT_TOML
        .lines()
        .map(|line| match line.strip_prefix("# ") {
            Some(rest) if rest.contains(" = ") || rest.starts_with("[[") => rest,
            _ => line,
        })
        .collect::<Vec<_>>()
        .join("\n");
    let all = toml::from_str::<ConfigFile>(&uncommented).unwrap();
    assert!(all.detect.model.is_some() && all.detect.threads.is_some());
    assert!(all.detect.false_alerts_per_day.is_some());
    assert!(all.capture.filter.is_some());
    assert!(all.eve.file.is_some() && all.state.folder.is_some());
    let entry = toml::Value::try_from(&all.suppress[0]).unwrap();
    assert_eq!(entry.as_table().unwrap().len(), 7);
    let written = toml::Value::try_from(&defaults).unwrap();
    for (section, keys) in written.as_table().unwrap() {
        for key in keys.as_table().into_iter().flat_map(|table| table.keys()) {
            let is_shown = DEFAULT_TOML.contains(&format!("\n{key} = "))
                || DEFAULT_TOML.contains(&format!("[{section}.{key}]"));
            assert!(is_shown, "{section}.{key}");
        }
    }
    assert_eq!(load(DEFAULT_TOML).unwrap(), defaults);
    assert_eq!(load("").unwrap(), defaults);
}

#[test]
fn an_error_has_the_line_and_the_most_similar_key() {
    for (text, parts) in [
        ("[alerts]\nflws = 3\n", &["c.toml:2: unknown key `flws`; did you mean `flows`?", "window_secs"][..]),
        ("\n\n[alert]\n", &["c.toml:3: unknown key `alert`; did you mean `alerts`?"]),
        ("[rules]\nheld = true\n", &["c.toml:2", "a number above 0, or false"]),
        ("[rules]\nheld = -1\n", &["c.toml:2", "a number above 0, or false"]),
        ("[eve]\ntypes = ['alerts']\n", &["c.toml:2: unknown value `alerts`; did you mean `alert`?"]),
        ("[alerts]\nflows = 'many'\n", &["c.toml:2", "invalid type"]),
        ("[alerts\n", &["c.toml:1"]),
        ("[[suppress]]\nsource = '10.0.0'\n", &["c.toml:2", "10.0.0"]),
        ("[capture]\nnetworks = ['10.0.0']\n", &["c.toml:2", "10.0.0"]),
    ] {
        let message = load(text).unwrap_err();
        for part in parts {
            assert!(message.contains(part), "{part:?} is not in {message}");
        }
    }
    let missing = ConfigFile::load("none.toml".as_ref()).unwrap_err();
    assert_eq!(missing.to_string(), "none.toml: cannot read");
}

#[test]
fn a_value_out_of_range_is_rejected_with_its_key() {
    for (section, key, bad) in [
        ("detect", "false_alerts_per_day", "-1.0"),
        ("detect", "threads", "0"),
        ("detect", "threads", "257"),
        ("alerts", "flows", "0"),
        ("alerts", "flows_of", "{ flood = 0 }"),
        ("alerts", "window_secs", "0"),
        ("alerts", "settle_secs", "61.0"),
        ("alerts", "minor_share", "1.5"),
        ("alerts", "quiet_secs", "0"),
        ("alerts", "updates_secs", "[300, 60]"),
        ("alerts", "updates_secs", "[0, 60]"),
        ("alerts", "per_minute", "0"),
        ("alerts", "max_incidents", "1048577"),
        ("capture", "snaplen", "63"),
        ("capture", "ring_mib", "4097"),
        ("eve", "queue_mib", "0"),
        ("eve", "rotate_mib", "1073741825"),
    ] {
        let message = load(&format!("[{section}]\n{key} = {bad}\n")).unwrap_err();
        assert!(message.contains(&format!("c.toml: {section}.{key}: must be ")), "{message}");
    }
    assert!(load("[[suppress]]\n").unwrap_err().contains("suppress: an entry without a key"));
}

#[test]
fn networks_may_be_addresses() {
    let file = load("[capture]\nnetworks = ['10.0.0.0/8', 'fd00::1']\n").unwrap();
    let networks: Vec<_> = file.capture.networks.iter().map(|network| network.0.to_string()).collect();
    assert_eq!(networks, ["10.0.0.0/8", "fd00::1/128"]);
}

#[test]
fn class_names_are_those_of_the_model_or_of_rules() {
    let classes = ["normal", "scan_A"].map(str::to_owned);
    let check = |text: &str| {
        let file = load(text).unwrap();
        file.check_class_names("c.toml".as_ref(), &classes).map_err(|error| error.to_string())
    };
    let message = check("[alerts.flows_of]\nscan_B = 2\n").unwrap_err();
    assert_eq!(
        message,
        "c.toml: alerts.flows_of: \"scan_B\" is not one of scan_A, unknown; did you mean `scan_A`?"
    );
    assert!(check("[[suppress]]\nclass = 'helt'\n").unwrap_err().contains("did you mean `held`?"));
    // The benign class cannot be suppressed; a class that has a default is permitted for every model.
    assert!(check("[[suppress]]\nclass = 'normal'\n").is_err());
    check("[alerts.flows_of]\nflood = 2\nscan_A = 2\n[[suppress]]\nclass = 'held'\n").unwrap();
}
